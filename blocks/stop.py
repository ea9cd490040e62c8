"""Asks long work to stop at its next safe place: on SIGTERM, SIGINT, or when a stop file appears."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class StopRequest:
    """Whether the work should stop, and why."""

    def __init__(self, stop_file: Path | None = None) -> None:
        self._stop_file = stop_file
        self._signal: str | None = None

    @property
    def reason(self) -> str | None:
        """Why to stop: a signal's name or the stop file's path; None as long as the work may go on."""
        if self._signal is None and self._stop_file is not None and self._stop_file.exists():
            return f"the stop file {self._stop_file}"
        return self._signal

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the work looks at it between two batches."""
        self._signal = signal.Signals(number).name


@contextmanager
def stop_request(stop_file: Path | None = None) -> Iterator[StopRequest]:
    """Catch SIGTERM and SIGINT for as long as the block runs; outside of the main thread only the file counts."""
    request = StopRequest(stop_file)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
