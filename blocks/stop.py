"""Asks long work to stop at its next safe place: on SIGTERM, SIGINT, or when a stop file appears."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_catching: "list[StopRequest]" = []


class StopRequest:
    """Whether the work should stop, and why."""

    def __init__(self, stop_file: Path | None = None, caught: "StopRequest | None" = None) -> None:
        self._stop_file, self._caught = stop_file, caught
        self._signal: str | None = None

    @property
    def reason(self) -> str | None:
        """Why to stop: a signal's name or the stop file's path; None as long as the work may go on."""
        if self._signal is None and self._stop_file is not None and self._stop_file.exists():
            return f"the stop file {self._stop_file}"
        return self._signal or (self._caught.reason if self._caught is not None else None)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the work looks at it between two batches."""
        self._signal = signal.Signals(number).name


@contextmanager
def stop_request(stop_file: Path | None = None) -> Iterator[StopRequest]:
    """Catch SIGTERM and SIGINT for as long as the block runs.

    Outside of the main thread signals count only if the main thread is in such a block: no other can catch them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest(stop_file, _catching[-1] if _catching else None)
        return
    request = StopRequest(stop_file)
    _catching.append(request)
    before = {number: signal.signal(number, request.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        _catching.remove(request)
        for number, handler in before.items():
            signal.signal(number, handler)
