"""Prints what publishing did: the tables, how many of their rows were new, and what to run next."""

from rich import box
from rich.table import Table
from rich.text import Text

from schemas.publish_report import PublishedReport, PublishReport, PublishState
from tidegate.show.labels import number
from tidegate.show.output import Output

_STYLES = {
    PublishState.PLANNED: "cyan",
    PublishState.DONE: "green",
    PublishState.UNCHANGED: "dim",
    PublishState.FAILED: "bold red",
}


def show_publish(output: Output, report: PublishReport) -> None:
    """Print the report of publishing on standard output."""
    console = output.console
    console.print(_tables(report))
    for table in report.tables:
        if table.note:
            console.print(f"{table.publication}, {table.target}: {table.note}.")
    if report.state == "planned":
        console.print(f"Next: {output.command('publish', *dict.fromkeys(t.publication for t in report.tables))}")


def _tables(report: PublishReport) -> Table:
    planned = report.state == "planned"
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("publication", "from", "to", "state", "how"):
        table.add_column(heading)
    table.add_column("rows", justify="right")
    if not planned:
        for heading in ("inserted", "updated", "seconds"):
            table.add_column(heading, justify="right")
    for one in report.tables:
        more = [] if planned else [*_changes(one), f"{one.seconds:.1f}"]
        table.add_row(
            one.publication,
            one.dataset or f"{len(one.inputs)} tables",
            one.target,
            Text(one.state.value, style=_STYLES[one.state]),
            one.action,
            number(one.rows) if one.dataset else f"{one.rows} views" if one.rows else "",
            *more,
        )
    return table


def _changes(one: PublishedReport) -> list[str]:
    return [number(one.inserted), number(one.updated)] if one.action == "upsert" else ["", ""]
