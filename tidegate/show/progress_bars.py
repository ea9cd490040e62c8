"""Shows how far long work has come: bars on a terminal, nothing elsewhere (there are log lines there)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from blocks.progress import Progress, listening
from tidegate.show.labels import window_label
from tidegate.show.output import Output

_DONE = {
    "export": "archived", "verify": "proven", "purge": "purged", "restore": "restored", "extract": "extracted",
    "ingest": "read", "build": "built", "publish": "published",
}  # fmt: skip
_BARS = 4  # at a time; more windows than that are not worked on side by side


@contextmanager
def progress_bars(output: Output, first: str) -> Iterator[Callable[[str], None]]:
    """Show progress while the block runs; yields what changes the line above the bars."""
    if output.log_lines:
        yield lambda text: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=output.messages, transient=True) as bars, listening(shown := _Shown(bars, first)):
        yield shown.say


class _Shown:
    """One line for the whole, and a bar for each window that is being worked on. May be told from any thread."""

    def __init__(self, bars: Bars, first: str) -> None:
        self._bars = bars
        self._whole = bars.add_task(first, total=None, rows="")
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._done: dict[str, set[str]] = {}
        self._lock = Lock()

    def say(self, text: str) -> None:
        self._bars.update(self._whole, description=text)

    def __call__(self, progress: Progress) -> None:
        key = progress.phase, progress.what or progress.window.id
        rows = f"{progress.rows:,} of {progress.of_rows:,} {progress.unit}"
        if progress.waits:
            rows += f", waits: {progress.waits}"
        with self._lock:
            if progress.rows >= progress.of_rows:
                self._drop(key)
                self._done.setdefault(progress.phase, set()).add(key[1])
                counts = ", ".join(f"{_DONE.get(p, p)} {len(w)}" for p, w in self._done.items())
                self.say(f"{'Tables' if progress.what else 'Windows'}: {counts}")
                return
            if key not in self._tasks:
                while len(self._tasks) >= _BARS:
                    self._drop(next(iter(self._tasks)))
                what = progress.what or window_label(progress.window.start, progress.window.end)
                label = f"{progress.phase} {what}"
                self._tasks[key] = self._bars.add_task(label, total=progress.of_rows, rows=rows)
            self._bars.update(self._tasks[key], completed=progress.rows, total=progress.of_rows, rows=rows)

    def _drop(self, key: tuple[str, str]) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            self._bars.remove_task(task)
