"""Watches, while a batch runs, how many sessions wait for locks that the batch holds.

Between two batches there is nothing to see: a batch is a transaction, and its locks end with it. So a thread looks
meanwhile, over a connection of its own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from blocks.run_log import log_event
from blocks.throttle.brake import Wait

SAMPLE_S = 0.1
AGAIN_S = 2.0  # before a lost connection is opened anew
FIRST_LOOK_S = 0.5

CountWaiting = Callable[[], int]
"""Says how many sessions wait for us now."""


class LockWatch:
    """The most sessions that were seen waiting during a batch. Blind (no connection), it holds the work back.

    Args:
        connect: Opens a connection for as long as the block lives, and gives what counts over it. May raise anything.
    """

    every_s = 1.0

    def __init__(self, connect: Callable[[], AbstractContextManager[CountWaiting]], sample_s: float = SAMPLE_S) -> None:
        self._connect, self._sample_s = connect, sample_s
        self._running, self._ended, self._sees = threading.Event(), threading.Event(), threading.Event()
        self._most = 0
        self._blind = "not connected yet"

    def look(self) -> Wait | None:
        """Return a wait as long as nobody can say who waits for us."""
        if self._sees.wait(FIRST_LOOK_S):
            return None
        return Wait(
            "lock_waits_unseen", f"who waits for our locks cannot be seen ({self._blind})", {"error": self._blind}
        )

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Look while the block, which is one batch, runs."""
        self._most = 0
        self._running.set()
        try:
            yield
        finally:
            self._running.clear()

    @property
    def most_waiting(self) -> int:
        """The most sessions seen waiting at once during the last batch."""
        return self._most

    @contextmanager
    def watching(self) -> Iterator["LockWatch"]:
        """Keep the connection and the thread for as long as the block lives."""
        thread = threading.Thread(target=self._watch, name="lock watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._running.set()  # wakes it up
            thread.join(10)

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                with self._connect() as count:
                    self._sees.set()
                    self._sample(count)
            except Exception as error:  # noqa: BLE001 - the thread has nobody to raise to; the work waits instead
                self._blind = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._sees.clear()
                log_event("lock_watch_lost", error=repr(self._blind))
                self._ended.wait(AGAIN_S)

    def _sample(self, count: CountWaiting) -> None:
        while not self._ended.is_set():
            self._running.wait()
            if not self._ended.wait(self._sample_s) and self._running.is_set():
                self._most = max(self._most, count())
