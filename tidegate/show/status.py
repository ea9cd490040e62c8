"""Prints what `status` found."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.window import ALWAYS, Window
from tidegate.dataset_status import Counts, DatasetStatus
from tidegate.project_lake import ProjectLake
from tidegate.show.labels import number, size_text, window_label

# Columns that are shown only if there is something to show.
_RARE = ("changed_since", "already_gone", "held", "quarantined", "erased", "removed")


def show_datasets(console: Console, lake: str, found: Sequence[DatasetStatus]) -> None:
    """Print a line for each dataset."""
    console.print(f"Lake: {lake}")
    if not found:
        console.print("No dataset is in it yet. Next: tidegate archive NAME --dry-run, or tidegate ingest --dry-run")
        return
    rare = [name for name in _RARE if any(getattr(status.counts, name) for status in found)]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("dataset")
    table.add_column("table")
    table.add_column("windows", justify="right")
    _add_counts(table, rare)
    for status in found:
        table.add_row(status.dataset, status.table, number(len(status.windows)), *_cells(status.counts, rare))
    console.print(table)


def show_windows(console: Console, place: ProjectLake, status: DatasetStatus) -> None:
    """Print a line for each window of a dataset."""
    archive = f", archive {status.archive}" if status.is_archive else ""
    console.print(f"{status.table}{archive}, in {place.lake.url} (folder {status.dataset})")
    rare = [name for name in _RARE if getattr(status.counts, name)]
    table = Table(box=box.SIMPLE_HEAD, show_footer=len(status.windows) > 1)
    table.add_column("window", "total")
    _add_counts(table, rare, _cells(status.counts, rare))
    for window in status.windows:
        table.add_row(_label(window.window, place.settings.zone), *_cells(window.counts, rare))
    console.print(table)


def _label(window: Window, zone: ZoneInfo) -> str:
    return "all time" if window == ALWAYS else window_label(window.start, window.end, zone)


def show_not_verified(console: Console, found: Sequence[DatasetStatus]) -> None:
    """Say which datasets come from databases that Tidegate was never tried on."""
    names = [status.dataset for status in found if not status.verified_dialect]
    if names:
        console.print(f"Not verified against a server: the dialect of SQL Server, which {', '.join(names)} came by.")


def _add_counts(table: Table, rare: Sequence[str], totals: Sequence[str] = ()) -> None:
    headings = ["generations", "rows", "size", "deleted", "not purged", *(name.replace("_", " ") for name in rare)]
    for heading, total in zip(headings, totals or [""] * len(headings), strict=False):
        table.add_column(heading, total, justify="right")
    table.add_column("last run", totals[-1] if totals else "")


def _cells(counts: Counts, rare: Sequence[str]) -> list[str]:
    return [
        number(counts.generations),
        number(counts.rows),
        size_text(counts.bytes),
        number(counts.deleted),
        number(counts.unpurged),
        *(number(getattr(counts, name)) for name in rare),
        _minute(counts.last_run),
    ]


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
