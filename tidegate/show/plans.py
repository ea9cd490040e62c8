"""Prints sealed plans: what would be deleted, what waits for an approval, and what was decided."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from rich import box
from rich.console import Console
from rich.table import Table

from blocks.plans import FiledPlan, all_plans
from schemas.sealed_plan import Decision, SealedPlan
from tidegate.project_lake import ProjectLake
from tidegate.show.labels import number, size_text, window_label
from tidegate.show.output import Output


def show_plan(console: Console, output: Output, filed: FiledPlan, zone: tzinfo) -> None:
    """Print what a plan would have deleted, and how to answer."""
    plan = filed.plan
    table = Table(box=box.SIMPLE_HEAD, show_footer=len(plan.generations) > 1)
    totals = plan.totals
    table.add_column("would be deleted", "total")
    table.add_column("table")
    table.add_column("generation", justify="right")
    table.add_column("rows", number(totals["rows"]), justify="right")
    table.add_column("in the lake", size_text(totals["bytes"]), justify="right")
    for planned in plan.generations:
        label = window_label(planned.window.start, planned.window.end, zone)
        size = size_text(planned.size_bytes)
        table.add_row(label, planned.table, number(planned.generation), number(planned.rows), size)
    console.print(table)
    rows = ", ".join(f"{rows:,} rows of {name}" for name, rows in plan.rows_by_table.items())
    console.print(f"Plan {plan.plan_id}: {rows} in {plan.scope.database} (source {plan.scope.source})")
    if plan.scope.mode == "drop_partition":
        console.print("Whole partitions would be dropped.")
    if plan.scope.where:
        console.print(f"Only rows with: {plan.scope.where}")
    if plan.scope.discarded:
        console.print(f"Columns that are not archived and would be lost: {', '.join(plan.scope.discarded)}")
    if plan.supersedes:
        console.print(f"It takes the place of what waited before: {', '.join(plan.supersedes)}")
    if filed.decision is not None:
        console.print(f"It was {filed.decision}.")
        return
    console.print("Nothing was deleted yet. Rows that change after they were archived will stay.")
    approve = output.command("approve", plan.plan_id)
    console.print(f"Next: {approve}\n      {approve} --refuse\n      until {_minute(plan.expires_at)}; then it expires")


def show_waiting(output: Output, place: ProjectLake) -> None:
    """Give the plans that wait, of all archives."""
    now = datetime.now(UTC)
    waiting = [filed.plan for filed in all_plans(place.lake) if filed.waits(now)]
    body = {"lake": place.lake.url, "plans": [plan.as_json() for plan in waiting]}
    output.give(body, lambda console: _list(console, output, place, waiting))


def say_what_waits(console: Console, output: Output, waiting: Iterable[SealedPlan]) -> None:
    """Print a line for each plan that waits."""
    for plan in waiting:
        console.print(
            f"{plan.archive}: plan {plan.plan_id} waits until {_minute(plan.expires_at)} for the approval to delete up "
            f"to {plan.totals['rows']:,} rows. Next: {output.command('approve', plan.plan_id)}"
        )


def show_decision(console: Console, output: Output, plan: SealedPlan, decision: Decision) -> None:
    """Print what was decided about a plan of which nothing is deleted."""
    console.print(f"The plan {plan.plan_id} of {plan.archive} was {decision}.")
    console.print("Its rows stay in the source, and the archive in the lake.")
    console.print(f"Next: {output.command('archive', plan.archive)} seals a new plan.")


def _list(console: Console, output: Output, place: ProjectLake, waiting: Sequence[SealedPlan]) -> None:
    console.print(f"Lake: {place.lake.url}")
    if not waiting:
        console.print("No plan waits for an approval.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("plan", "archive", "table", "database"):
        table.add_column(heading)
    for heading in ("windows", "rows", "size"):
        table.add_column(heading, justify="right")
    table.add_column("sealed")
    table.add_column("until")
    for plan in waiting:
        totals, scope = plan.totals, plan.scope
        table.add_row(
            plan.plan_id, plan.archive, scope.table, scope.database, number(totals["windows"]), number(totals["rows"]),
            size_text(totals["bytes"]), _minute(plan.made_at), _minute(plan.expires_at),
        )  # fmt: skip
    console.print(table)
    console.print(f"Next: {output.command('approve', waiting[-1].plan_id, '--dry-run')}")


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
