"""Tells whoever listens how far long work has come: the command line draws bars of it, Prefect an artifact."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.window import Window


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase (`export`, `verify`, `purge`, `restore`) of a window has come, in rows.

    Attributes:
        waits: What the work waits for, in words; None while it goes on.
        what: What is worked on, where it is not the window that tells.
        unit: What is counted, if it is not rows.
    """

    phase: str
    window: Window
    rows: int
    of_rows: int
    waits: str | None = None
    what: str = ""
    unit: str = "rows"


Listener = Callable[[Progress], None]
_listeners: list[Listener] = []


def report_progress(
    phase: str,
    window: Window,
    rows: int,
    of_rows: int,
    waits: str | None = None,
    what: str = "",
    unit: str = "rows",
) -> None:
    """Tell all listeners; cheap when there are none."""
    for listener in _listeners:
        listener(Progress(phase, window, rows, of_rows, waits, what, unit))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` with all progress of this process while the block runs; it may be called from any thread."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
