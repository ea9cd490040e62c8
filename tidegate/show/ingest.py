"""Prints what an ingestion did: the tables, what changed in their columns, and what to run next."""

from rich import box
from rich.table import Table
from rich.text import Text

from schemas.config import Settings
from schemas.ingest_report import IngestReport, TableReport, TableState
from tasks.views import view_name
from tidegate.show.files import show_files_of
from tidegate.show.labels import number, size_text
from tidegate.show.output import Output

_STYLES = {
    TableState.PLANNED: "cyan",
    TableState.DONE: "green",
    TableState.UNCHANGED: "dim",
    TableState.FAILED: "bold red",
}


def show_ingest(output: Output, report: IngestReport, settings: Settings) -> None:
    """Print the report of an ingestion on standard output."""
    console = output.console
    console.print(_tables(report))
    for table in report.tables:
        if table.drift:
            console.print(f"The columns of {table.source}, {table.table} have changed: {'; '.join(table.drift)}.")
        show_files_of(output, table)
        if table.quarantined:
            rows = f"{number(table.quarantined)} row{'' if table.quarantined == 1 else 's'}"
            console.print(f"The gate of {table.source}, {table.table} has put aside {rows} of those that were read.")
    if report.disabled:
        console.print(f"Not enabled, and left out: {', '.join(report.disabled)}")
    console.print(f"Lake: {settings.lake}")
    if report.state == "failed":  # the error says it
        return
    if report.state == "planned":
        steps = [output.command("ingest")]
    else:
        shown = next((table for table in report.tables if table.rows), report.tables[0])
        query = f"SELECT count(*) FROM {view_name(shown.dataset)}"
        steps = [output.command("query", query), output.command("verify", shown.dataset)]
    console.print("Next: " + "\n      ".join(steps))


def _tables(report: IngestReport) -> Table:
    planned = report.state == "planned"
    totals = report.totals
    table = Table(box=box.SIMPLE_HEAD, show_footer=len(report.tables) > 1)
    table.add_column("source", "total")
    table.add_column("table")
    table.add_column("state")
    table.add_column("from")
    table.add_column("rows to read" if planned else "read", number(totals["read"]), justify="right")
    if not planned:
        table.add_column("new", number(totals["rows"]), justify="right")
        table.add_column("in the lake", _size(totals["bytes"]), justify="right")
        table.add_column("seconds", f"{sum(t.seconds for t in report.tables):.1f}", justify="right")
    for one in report.tables:
        more = [] if planned else [number(one.rows), _size(one.bytes), f"{one.seconds:.1f}"]
        table.add_row(
            one.source,
            one.table,
            Text(one.state.value, style=_STYLES[one.state]),
            _since(one),
            number(one.read),
            *more,
        )
    return table


def _since(table: TableReport) -> str:
    return "" if table.state is TableState.FAILED else "the beginning" if table.since is None else table.since


def _size(size_bytes: int) -> str:
    return size_text(size_bytes) if size_bytes else number(0)
