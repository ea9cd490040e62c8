"""Waits for a slow server in another thread, so that a signal need not wait for it."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from blocks.http_api.patience import Stopped, stop_here

T = TypeVar("T")
_LOOK_S = 0.05


class TooSlow(Exception):
    """The work was not done in time; it was given up."""


def in_side_thread(work: Callable[[], T], stopped: Stopped, timeout_s: float | None = None) -> T:
    """Return what `work` returns, or raise what it raises.

    Raises:
        Interrupted: Somebody asked the work to stop. The thread is left to itself, and does not outlive the process.
        TooSlow: It took longer than `timeout_s`.
    """
    done, until = threading.Event(), None if timeout_s is None else time.monotonic() + timeout_s
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again by who waits)
            raised.append(error)
        done.set()

    threading.Thread(target=run, name="http-request", daemon=True).start()
    while not done.wait(_LOOK_S):
        stop_here(stopped)
        if until is not None and time.monotonic() > until:
            raise TooSlow
    if raised:
        raise raised[0]
    return returned[0]
