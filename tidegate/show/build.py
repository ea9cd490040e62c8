"""Prints what a build did: the pipelines, what their checks found, the SQL of a dry run, and what to run next."""

from rich import box
from rich.table import Table
from rich.text import Text

from schemas.build_report import BuildReport, PipelineReport, PipelineState
from schemas.config import Settings
from schemas.pipelines.dbt import PIPELINE as DBT
from schemas.pipelines.dbt import PREFIX as DBT_MODELS
from schemas.run_record import CheckResult
from tasks.views import view_name
from tidegate.show.labels import number, size_text
from tidegate.show.output import Output

_STYLES = {
    PipelineState.PLANNED: "cyan",
    PipelineState.DONE: "green",
    PipelineState.UNCHANGED: "dim",
    PipelineState.FAILED: "bold red",
    PipelineState.SKIPPED: "yellow",
}


def show_build(output: Output, report: BuildReport, settings: Settings) -> None:
    """Print the report of a build on standard output."""
    console = output.console
    for pipeline in report.pipelines:
        if pipeline.sql is not None:
            console.print(f"-- {pipeline.pipeline}: {', '.join(_dotted(i) for i in pipeline.inputs)} -> "
                          f"{_dotted(pipeline.dataset)} ({pipeline.mode})")  # fmt: skip
            console.print(pipeline.sql + "\n")
    console.print(_pipelines(report))
    for pipeline in report.pipelines:
        for check in pipeline.checks:
            if check.state != "passed":
                console.print(f"{pipeline.pipeline}: {_said(check)}")
        if pipeline.note:
            console.print(f"{pipeline.pipeline}: {pipeline.note}.")
    if report.disabled:
        console.print(f"Not enabled, and left out: {', '.join(report.disabled)}")
    console.print(f"Lake: {settings.lake}")
    if report.state == "failed":  # the error says it
        return
    if report.state == "planned":
        steps = [output.command("run", *dict.fromkeys(_named(pipeline.pipeline) for pipeline in report.pipelines))]
    else:
        shown = next((one for one in report.pipelines if one.rows), report.pipelines[0])
        steps = [output.command("query", f"SELECT * FROM {view_name(shown.dataset)} LIMIT 10")]
    console.print("Next: " + "\n      ".join(steps))


def _pipelines(report: BuildReport) -> Table:
    planned = report.state == "planned"
    totals = report.totals
    table = Table(box=box.SIMPLE_HEAD, show_footer=len(report.pipelines) > 1)
    table.add_column("pipeline", "total")
    table.add_column("table")
    table.add_column("state")
    table.add_column("mode")
    table.add_column("rows to read" if planned else "read", number(totals["read"]), justify="right")
    if not planned:
        table.add_column("stored", number(totals["rows"]), justify="right")
        table.add_column("quarantined", number(totals["quarantined"]), justify="right")
        table.add_column("checks", justify="right")
        table.add_column("in the lake", size_text(totals["bytes"]) if totals["bytes"] else number(0), justify="right")
        table.add_column("seconds", f"{sum(one.seconds for one in report.pipelines):.1f}", justify="right")
    for one in report.pipelines:
        table.add_row(
            one.pipeline,
            _dotted(one.dataset),
            Text(one.state.value, style=_STYLES[one.state]),
            one.mode,
            number(one.read),
            *([] if planned else _counts(one)),
        )
    return table


def _counts(one: PipelineReport) -> list[str]:
    passed = sum(check.state == "passed" for check in one.checks)
    return [
        number(one.rows),
        number(one.quarantined),
        f"{passed} of {len(one.checks)}" if one.checks else number(0),
        size_text(one.bytes) if one.bytes else number(0),
        f"{one.seconds:.1f}",
    ]


def _said(check: CheckResult) -> str:
    found = check.message or f"{check.failed} of {check.checked} rows"
    examples = f" (for example {', '.join(check.examples)})" if check.examples and not check.message else ""
    return f"{check.check}: {check.state}: {found}{examples}"


def _named(pipeline: str) -> str:
    # The models of a dbt project run together.
    return DBT if pipeline.startswith(DBT_MODELS) else pipeline


def _dotted(dataset: str) -> str:
    return dataset.replace("/", ".")
