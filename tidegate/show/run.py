"""Prints what a run of `archive` did: the windows, what was left alone, and what to run next."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.plans import FiledPlan
from schemas.archive_config import Archive
from schemas.config import Settings
from schemas.report import RunReport, WindowReport, WindowState
from tidegate.show.labels import number, size_text, window_label
from tidegate.show.output import Output
from tidegate.show.plans import show_plan

_STYLES = {
    WindowState.PLANNED: "cyan",
    WindowState.ARCHIVED: "cyan",
    WindowState.WAITING: "yellow",
    WindowState.PURGED: "green",
    WindowState.FAILED: "bold red",
}
_COUNTS = ("archived", "deleted", "changed_since", "already_gone", "held", "quarantined")
_ALWAYS = ("archived", "deleted", "changed_since")


def show_run(output: Output, report: RunReport, settings: Settings, archive: Archive, *, deletes: bool) -> None:
    """Print the report of a run on standard output."""
    console = output.console
    listed = _with_work(report)
    if listed:
        console.print(windows_table(report, settings))
    if not report.windows:
        console.print(f"{archive.table} has no rows to archive in this scope, and nothing of it is in the lake.")
    elif len(listed) < len(report.windows):
        console.print(f"Windows with nothing to do: {len(report.windows) - len(listed):,}")
    for rows, what in (
        (report.rows_without_time, f"Rows without {archive.time_column}"),
        (report.rows_beyond_time, f"Rows whose {archive.time_column} is infinite, or outside the years 1 to 9998"),
    ):
        if rows:
            console.print(f"{what}: {rows:,}; they stay in the table.", style="yellow")
    if report.totals["changed_since"]:
        console.print("Rows that changed after they were archived stay in the table until they are archived again.")
    if report.state != "planned":
        console.print(f"Lake: {settings.lake} (folder {archive.resolved_folder})")
    if report.plan is not None:
        show_plan(console, output, FiledPlan(report.plan, report.decision), settings.zone)
    if report.state not in {"failed", "waiting"}:  # the error says it, or the plan
        _say_next(console, output, report, archive, deletes=deletes)


def _with_work(report: RunReport) -> list[WindowReport]:
    return [window for window in report.windows if window.state is not WindowState.EMPTY]


def windows_table(report: RunReport, settings: Settings) -> Table:
    """Return what became of each window in which there was something to do, and the totals."""
    listed = _with_work(report)
    planned = report.state == "planned"
    totals = report.totals
    counts = ["archived"] if planned else [name for name in _COUNTS if name in _ALWAYS or totals[name]]
    table = Table(box=box.SIMPLE_HEAD, show_footer=len(listed) > 1)
    table.add_column("window", "total")
    table.add_column("state")
    for name in counts:
        heading = "rows to look at" if planned else name.replace("_", " ")
        table.add_column(heading, number(totals[name]), justify="right")
    if not planned:
        table.add_column("in the lake", _size(totals["bytes"]), justify="right")
        table.add_column("seconds", f"{sum(w.seconds for w in report.windows):.1f}", justify="right")
    for w in listed:
        more = [] if planned else [_size(w.bytes), f"{w.seconds:.1f}"]
        table.add_row(
            window_label(w.start, w.end, settings.zone),
            Text(w.state.value, style=_STYLES[w.state]),
            *(number(getattr(w, name)) for name in counts),
            *more,
            style=_STYLES[w.state] if w.state is WindowState.FAILED else None,
        )
    return table


def _size(size_bytes: int) -> str:
    return size_text(size_bytes) if size_bytes else number(0)


def _say_next(console: Console, output: Output, report: RunReport, archive: Archive, *, deletes: bool) -> None:
    refused = report.decision is not None and report.decision.outcome == "refused"
    if report.state == "planned":
        steps = [output.command("archive", archive.name)]
    elif all(window.state is WindowState.EMPTY for window in report.windows):
        return
    elif deletes and not refused:
        steps = [output.command("status", archive.name), output.command("verify", archive.name)]
    else:
        console.print("Nothing was deleted by this plan." if refused else "Nothing was deleted: purging is off.")
        again = output.command("archive", archive.name, *([] if refused else ["--purge"]))
        steps = [output.command("verify", archive.name), again]
    console.print("Next: " + "\n      ".join(steps))
