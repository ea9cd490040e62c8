"""Prints the catalog: a line for each table, and what failed."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.catalog import Catalog, OtherRuns, TableSummary
from tidegate.show.ages import age_text
from tidegate.show.labels import number, size_text
from tidegate.show.output import Output
from tidegate.show.printable import printable

STATE_STYLES = {"done": "green", "unchanged": "dim", "failed": "bold red", "damaged": "bold red"}
_QUALITY_STYLES = {"passed": "green", "warned": "yellow", "quarantined": "yellow", "refused": "bold red", "none": "dim"}
_LONGEST_ERROR = 400


def show_catalog(console: Console, catalog: Catalog) -> None:
    """Print the tables of a lake, then the errors of last runs that failed."""
    console.print(f"Lake: {catalog.lake}")
    if not catalog.tables and not catalog.others:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("table", "from"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "size"):
        table.add_column(heading, justify="right")
    for heading in ("newest data", "last run", "quality"):
        table.add_column(heading)
    for one in catalog.tables:
        table.add_row(
            Text(printable(one.dataset)),
            Text(printable(one.source)),
            rows_text(one),
            size_text(one.bytes) if one.bytes else number(0),
            age_text(one.newest_data_at),
            last_run_text(one),
            quality_text(one),
        )
    console.print(table)
    if catalog.others:
        console.print(_others(catalog.others))
    if any(one.rows_are == "at_most" for one in catalog.tables):
        console.print("≤ counts stored versions of rows by key; tidegate catalog TABLE counts what readers see.")
    for failed in catalog.tables:
        if failed.last_run_state == "failed":
            say_what_failed(console, failed.dataset, failed.last_error)
    for other in catalog.others:
        if other.last_run_state == "failed":
            say_what_failed(console, other.name, other.last_error)


def say_what_to_run_first(output: Output) -> None:
    """Say how something comes into an empty lake."""
    output.console.print("No table is in it yet.")
    steps = [output.command("ingest", "--dry-run"), output.command("archive", "NAME", "--dry-run")]
    output.console.print("Next: " + "\n      ".join(steps))


def say_what_failed(console: Console, what: str, error: str | None) -> None:
    """Print why the last run of something failed."""
    reason = " ".join((error or "no reason was noted").split())
    cut = reason if len(reason) <= _LONGEST_ERROR else reason[:_LONGEST_ERROR] + "…"
    console.print(Text.assemble((f"{printable(what)}, last run failed: ", "bold red"), printable(cut)))


def rows_text(table: TableSummary) -> str:
    """Return the rows that readers see, or `≤` and those that they may see."""
    if table.damaged:
        return "?"
    return number(table.rows) if table.rows_are == "exact" else f"≤ {table.rows:,}"


def last_run_text(table: TableSummary) -> Text:
    """Return how the last run ended, and when it was."""
    if table.damaged:
        return Text("records damaged", style=STATE_STYLES["damaged"])
    if table.last_run_state is None:
        return Text("never", style="dim")
    state = "FAILED" if table.last_run_state == "failed" else table.last_run_state
    return Text.assemble((state, STATE_STYLES[table.last_run_state]), f" {age_text(table.last_run_at)}")


def quality_text(table: TableSummary) -> Text:
    """Return what the last checks found."""
    parts = [f"{table.refused} refused"] if table.refused else []
    parts += [f"{table.warned} warned"] if table.warned else []
    parts += [f"{table.quarantined:,} row{'s' * (table.quarantined > 1)} quarantined"] if table.quarantined else []
    text = ", ".join(parts) or ("no checks" if table.quality == "none" else "passed")
    return Text(text, style=_QUALITY_STYLES[table.quality])


def _others(others: Sequence[OtherRuns]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("job", "name", "last run"):
        table.add_column(heading)
    table.add_column("rows", justify="right")
    for one in others:
        state = "FAILED" if one.last_run_state == "failed" else one.last_run_state
        told = Text.assemble((state, STATE_STYLES[one.last_run_state]), f" {age_text(one.last_run_at)}")
        table.add_row(one.job, Text(printable(one.name)), told, number(one.rows))
    return table
