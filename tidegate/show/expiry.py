"""Prints what the retention of archived data did, or would do."""

from datetime import tzinfo

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.expiry import ExpiryReport, Outcome
from tidegate.show.labels import number, size_text, window_label

_STAYS = {Outcome.IN_SOURCE: "stays: not purged, and still in the source"}


def show_expiry(console: Console, report: ExpiryReport, zone: tzinfo) -> None:
    """Print the report of an expiry."""
    planned = report.state == "planned"
    if report.retention is None:
        console.print(f"{report.archive} has no retention in archives.yaml: nothing of it expires.")
    elif not report.generations:
        console.print(f"Nothing of {report.archive} in the lake is older than its retention of {report.retention}.")
    else:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("window", "dataset", "generation", "rows", "size", "outcome"):
            table.add_column(name, justify="right" if name in {"generation", "rows", "size"} else "left")
        for one in report.generations:
            gone = "would expire" if planned else "expired"
            held = f"stays: under legal hold ({', '.join(one.held_by)})"
            table.add_row(
                window_label(one.window.start, one.window.end, zone),
                one.dataset,
                number(one.generation),
                number(one.rows + one.quarantined),
                size_text(one.size_bytes),
                {Outcome.EXPIRED: gone, Outcome.HELD: held, **_STAYS}[one.outcome],
            )
        console.print(table)
    if report.old_copies:
        what = "would be removed" if planned else "were removed"
        console.print(f"Files of erased rows whose grace is over, and that {what}: {report.old_copies:,}")
