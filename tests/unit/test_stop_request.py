"""Who is told of a signal: the block that catches it, and threads whose main thread catches it."""

import os
import signal
import threading

from blocks.stop import stop_request


def told() -> str | None:
    """Return what a block in another thread is told."""
    found: list[str | None] = []

    def look() -> None:
        with stop_request() as stop:
            found.append(stop.reason)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def test_a_signal_that_the_main_thread_catches_is_told_to_the_others_for_as_long() -> None:
    assert told() is None
    with stop_request() as stop:
        assert told() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.reason, told()) == ("SIGTERM", "SIGTERM")
    assert told() is None
