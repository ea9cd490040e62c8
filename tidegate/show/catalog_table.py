"""Prints what the catalog knows of one table."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.catalog import ColumnSummary, Node, RunSummary, SchemaVersion, TableDetails
from schemas.run_record import CheckResult
from tidegate.show.ages import age_text
from tidegate.show.catalog import STATE_STYLES, last_run_text, quality_text, rows_text, say_what_failed
from tidegate.show.labels import number, size_text
from tidegate.show.printable import printable

_CHECK_STYLES = {"passed": "green", "warned": "yellow", "quarantined": "yellow", "refused": "bold red"}
_SHOWN_RUNS = 10


def show_table(console: Console, details: TableDetails) -> None:
    """Print the details of a table: what it is, its columns, its history, its runs and checks, its neighbours."""
    table = details.table
    console.print(Text.assemble((printable(table.dataset), "bold"), f" in {details.lake}"))
    facts: list[tuple[str, str | Text]] = [
        ("from", printable(table.source)),
        ("rows", rows_text(table) if table.rows_are == "exact" else f"{rows_text(table)} (stored versions of rows)"),
        ("size", f"{size_text(table.bytes)} in files that count, {table.generations:,} generations"),
        ("key", printable(", ".join(details.key))),
        ("partitions", printable(", ".join(details.partition_by))),
        ("newest data", _moment(table.newest_data_at)),
        ("last looked at", _moment(table.checked_at)),
        ("last run", last_run_text(table)),
        ("quality", quality_text(table)),
        ("made from", _names(details.upstream)),
        ("used by", _names(details.downstream)),
    ]
    for name, value in facts:
        if value:
            console.print(Text.assemble((f"{name}: ", "bold"), value))
    if table.last_run_state == "failed":
        say_what_failed(console, table.dataset, table.last_error)
    if details.columns:
        console.print(_columns(details.columns))
    if details.statistics_at:
        rows = f"{details.statistics_rows:,} rows" if details.statistics_rows is not None else "rows"
        console.print(f"Statistics are of the {rows} that were built {age_text(details.statistics_at)}.", style="dim")
    if len(details.schema_versions) > 1:
        console.print(_versions(details.schema_versions))
    if details.checks:
        console.print(_checks(details.checks, details.checks_at))
    if details.runs:
        console.print(_runs(details.runs))


def _columns(columns: Sequence[ColumnSummary]) -> Table:
    known = any(column.nulls is not None for column in columns)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("column")
    table.add_column("type")
    if known:
        for heading in ("nulls", "distinct"):
            table.add_column(heading, justify="right")
        for heading in ("min", "max"):
            table.add_column(heading, overflow="fold")
    for column in columns:
        row = [Text(printable(column.name)), Text(column.type)]
        if known:
            distinct = "" if column.distinct is None else f"~{column.distinct:,}"
            row += [Text(_null_share(column)), Text(distinct)]
            row += [Text(printable(value or "")) for value in (column.minimum, column.maximum)]
        table.add_row(*row)
    return table


def _null_share(column: ColumnSummary) -> str:
    if column.nulls is None:
        return ""
    if column.null_share is None:
        return f"{column.nulls:,}"
    if 0 < column.null_share < 0.001:
        return "< 0.1 %"
    return f"{column.null_share:.1%}".replace("%", " %")


def _versions(versions: Sequence[SchemaVersion]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("schema", justify="right")
    table.add_column("since")
    table.add_column("generations", justify="right")
    table.add_column("columns", justify="right")
    table.add_column("changes", overflow="fold")
    for one in reversed(versions):
        changes = Text(printable("; ".join(one.changes)))
        table.add_row(str(one.version), _minute(one.since), number(one.generations), number(len(one.columns)), changes)
    return table


def _checks(checks: Sequence[CheckResult], at: datetime | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(f"checks of {_minute(at)}" if at else "checks", overflow="fold")
    table.add_column("result")
    for heading in ("checked", "failed"):
        table.add_column(heading, justify="right")
    table.add_column("what, and examples", overflow="fold")
    for check in checks:
        told = ": ".join(filter(None, [check.message, ", ".join(check.examples)]))
        table.add_row(
            Text(printable(check.check)),
            Text(check.state, style=_CHECK_STYLES[check.state]),
            number(check.checked),
            number(check.failed),
            Text(printable(told)),
        )
    return table


def _runs(runs: Sequence[RunSummary]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("run", "job", "state"):
        table.add_column(heading)
    for heading in ("read", "new rows", "quarantined", "size", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("file, or error", overflow="fold")
    for run in runs[:_SHOWN_RUNS]:
        told = ": ".join(filter(None, [run.file, " ".join((run.error or "").split())]))
        table.add_row(
            _minute(run.started_at),
            run.job,
            Text(run.state, style=STATE_STYLES[run.state]),
            number(run.read),
            number(run.rows),
            number(run.quarantined),
            size_text(run.bytes) if run.bytes else number(0),
            f"{run.seconds:.1f}",
            Text(printable(told)),
        )
    return table


def _names(nodes: Sequence[Node]) -> str:
    return ", ".join(printable(node.label) + ("" if node.in_lake else " (not in the lake)") for node in nodes)


def _moment(moment: datetime | None) -> str:
    return f"{_minute(moment)} ({age_text(moment)})" if moment else ""


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
