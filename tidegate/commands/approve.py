"""`tidegate approve`: what waits for an approval, and the answer to it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from blocks.plans import FiledPlan
    from schemas.purge_outcome import PurgeOutcome
    from tidegate.project_lake import ProjectLake


@command(
    "approve",
    "Approve or refuse what `approve: true` has wait.",
    examples=[
        "tidegate approve",
        "tidegate approve 3f9a01c2 --dry-run",
        'tidegate approve 3f9a01c2 --reason "ticket 815"',
        'tidegate approve 77c0de55 --refuse --reason "not before the audit"',
    ],
)
@click.argument("plan", required=False)
@click.option("--refuse", is_flag=True, help="Refuse it: the rows stay in the source, and the archive in the lake.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")
@click.option("--by", metavar="NAME", help="Who decides; it is recorded.  [default: the system's user]")
@click.option("--dry-run", is_flag=True, help="Only show the plan, and whether it still holds.")
def approve(
    output: Output, config_dir: Path, *, plan: str | None, refuse: bool, reason: str, by: str | None, dry_run: bool
) -> None:
    """Approve PLAN, and delete by it what is proven once more; without PLAN, list the plans that wait.

    A plan is sealed by `tidegate archive NAME` where archives.yaml says `approve: true`. What is not as it was then
    (table, database, configuration, manifests, rows, digests) is named, and nothing is deleted. A plan that was
    approved and not carried out to its end is taken up by the same command.
    """
    from tidegate.project_lake import project_lake
    from tidegate.show.plans import show_decision, show_waiting
    from tidegate.whoami import whoami

    if refuse and dry_run:
        raise click.UsageError("--refuse and --dry-run do not go together.")
    if plan is None and (refuse or dry_run or reason or by):
        raise click.UsageError("Which plan? tidegate approve lists those that wait.")
    with project_lake(output, config_dir) as place:
        if plan is None:
            show_waiting(output, place)
            return
        filed = _find(place, plan)
        if refuse:
            from tasks.decide import refuse as refuse_plan

            decision = refuse_plan(place.lake, filed, by or whoami(), reason)
            body = {"archive": filed.plan.archive, "state": "refused", "decision": decision.as_json()}
            output.give(body, lambda console: show_decision(console, output, filed.plan, decision))
            return
        settings = place.settings
    if dry_run:
        from tidegate.show.plans import show_plan

        _check(filed, config_dir)
        body = {"archive": filed.plan.archive, "state": "planned", "plan": filed.plan.as_json()}
        output.give(body, lambda console: show_plan(console, output, filed, settings.zone))
        return
    _carry_out(output, config_dir, filed, by or whoami(), reason)


def _find(place: "ProjectLake", plan_id: str) -> "FiledPlan":
    from blocks.plans import all_plans
    from schemas.config_problems import did_you_mean
    from schemas.errors import ConfigError

    plans = {filed.plan.plan_id: filed for filed in all_plans(place.lake)}
    if plan_id not in plans:
        raise ConfigError(
            f"There is no plan {plan_id!r} in the lake {place.lake.url}{did_you_mean(plan_id, list(plans)) or '.'}",
            state="Nothing was deleted.",
            next_step="tidegate approve lists the plans that wait.",
        )
    return plans[plan_id]


def _check(filed: "FiledPlan", config_dir: Path) -> None:
    """Find what is not as it was when the plan was sealed; asks the source for its table's columns."""
    from schemas.project import Project
    from tasks.approval import Desk
    from tasks.inspect_source import inspect_source

    project = Project.load(config_dir)
    job = inspect_source(project, project.archive(filed.plan.archive).with_overrides(purge=True))
    desk = Desk.of(job)
    desk.left_to_purge(desk.find(filed.plan.plan_id))


def _carry_out(output: Output, config_dir: Path, filed: "FiledPlan", by: str, reason: str) -> None:
    from schemas.project import Project
    from tidegate.call_flow import call_flow
    from tidegate.show.outcomes import outcomes_as_json, show_outcomes

    plan = filed.plan
    # What no longer holds is said at once, before Prefect takes its seconds to start; only a block needs it anyway.
    project = Project.load(config_dir)
    if project.database(project.archive(plan.archive).source).connection.block is None:
        _check(filed, config_dir)
    outcomes: list[PurgeOutcome] = call_flow(
        output,
        "flows.approve:approve_plan",
        archive=plan.archive,
        plan=plan.plan_id,
        approve_as=by,
        reason=reason,
        config_dir=config_dir,
    )
    body = {**outcomes_as_json(plan.archive, outcomes), "plan": plan.plan_id}
    output.give(body, lambda console: show_outcomes(console, plan.archive, outcomes))
    from schemas.exit_codes import gravest

    raise click.exceptions.Exit(gravest(outcome.exit_code for outcome in outcomes))
