"""Prints what an erasure did, or would do: how many rows of which files, and no value."""

from datetime import tzinfo

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.erasure import ErasureReport
from tidegate.show.labels import number, window_label


def show_erasure(console: Console, report: ErasureReport, zone: tzinfo) -> None:
    """Print the report of an erasure."""
    totals = report.totals
    planned = report.state == "planned"
    table = Table(box=box.SIMPLE_HEAD, show_footer=totals["files"] > 1)
    table.add_column("window", "total")
    table.add_column("dataset")
    table.add_column("generation", justify="right")
    table.add_column("file")
    table.add_column("of rows", justify="right")
    table.add_column(
        "to erase" if planned else "erased", number(totals["rows"] + totals["quarantined"]), justify="right"
    )
    for one in report.generations:
        for file in one.files:
            table.add_row(
                window_label(one.window.start, one.window.end, zone),
                one.dataset,
                number(one.generation),
                f"{file.name}{' (quarantine)' if file.quarantine else ''}",
                number(file.of),
                number(file.rows),
            )
    console.print(table)
    if report.different_keys is not None:
        console.print(
            f"Different keys: {report.different_keys:,}. All versions of them that the lake holds are counted."
        )
    if report.missing_keys:
        places = ", ".join(str(place) for place in report.missing_keys)
        console.print(f"The lake holds no row with --key number {places}.", style="yellow")
    if planned:
        _show_obstacles(console, report)
        return
    console.print("The rows are gone from every view, query, restore and history of the lake.", style="green")
    if report.old_copies_until is not None and not report.swept_files:
        console.print(
            f"The files that held them stay unseen in the lake until {report.old_copies_until:%Y-%m-%d %H:%M} UTC; the "
            f"next run of tidegate expire {report.archive}, or of tidegate archive, removes them then."
        )
    elif report.swept_files:
        console.print(f"Files that held them and were removed: {report.swept_files:,}")


def _show_obstacles(console: Console, report: ErasureReport) -> None:
    if report.held_by:
        console.print(f"Under legal hold, so nothing can be erased: {', '.join(report.held_by)}.", style="yellow")
    if report.in_source:
        what = "rows with these keys" if report.different_keys is not None else "rows of these windows"
        console.print(
            f"The source still holds {report.in_source:,} {what}: delete them there first, or they would come back.",
            style="yellow",
        )
