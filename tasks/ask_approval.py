"""Asks for the approval of a purge: proves and seals what would be deleted, and waits for a person's answer.

A run from a deployment pauses with a form in Prefect's UI. Elsewhere, and if nobody answers, the plan simply goes on
waiting for `tidegate approve`. A paused run holds no connection, no snapshot and no lock.
"""

from collections.abc import Sequence
from contextvars import copy_context
from threading import Timer
from typing import Annotated
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, resume_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from blocks.open_lake import open_lake
from blocks.plans import Plans
from blocks.run_log import log_event
from blocks.scratch import temporary_folder
from schemas.errors import Busy, Interrupted, TidegateError
from schemas.job import Job
from schemas.purge_outcome import PurgeOutcome
from schemas.sealed_plan import Decision, How, SealedPlan
from tasks.approval import Desk
from tasks.decide import approve, decide
from tasks.prefect_tasks import at_most, prove_task
from tasks.seal_plan import Sealed, seal_plan
from tasks.verify import VerifiedGeneration

ASK_FOR_S = 24 * 60 * 60  # in a run from a deployment
POLL_S = 2
_GRACE_S = 600
_NOBODY = "(nobody answered)"
_SHOWN = 100


class Approval(RunInput):
    """The form."""

    approve: bool = Field(description="Delete from the source what is listed above.")
    name: Annotated[str, Field(min_length=1, description="Who decides; it is recorded.")]
    reason: str = Field(default="", description="It is recorded, too.")


def prove_and_seal(job: Job, manifests: Sequence[str], run_id: str) -> Sealed:
    """Prove what nobody has approved yet, and seal a plan of it. A failed proof concerns its own generation only."""
    approved = Desk.of(job).approval().manifests
    asked = [manifest for manifest in manifests if manifest not in approved]
    verified: list[VerifiedGeneration] = []
    failed: list[PurgeOutcome] = []
    with temporary_folder(job.settings.temp_dir) as scratch:
        proofs = at_most(2, prove_task, ({"job": job, "manifest_path": m, "scratch": scratch} for m in asked))
        for manifest, proof in zip(asked, proofs, strict=True):
            try:
                verified.append(proof.result())
                verified[-1].keys.unlink()  # the purge proves once more, and takes its own keys from that
            except (Interrupted, Busy):
                raise
            except TidegateError as error:
                failed.append(PurgeOutcome(manifest=manifest, error=str(error), exit_code=error.exit_code))
    return Sealed(seal_plan(job, verified, run_id), tuple(failed))


def ask_for_approval(
    job: Job, plan: SealedPlan | None, approve_as: str | None = None, ask_for_s: int | None = None
) -> Decision | None:
    """Return what was decided about a plan, or None if it goes on waiting.

    Args:
        job: The job.
        plan: The plan, or None if there is nothing to decide.
        approve_as: Approves at once, in this name.
        ask_for_s: How long the run pauses with a form; by default a day in a run from a deployment, and else not.

    Raises:
        NotApproved: It was approved here, but is no longer what was sealed, or somebody else refused it.
    """
    if plan is None:
        return None
    create_markdown_artifact(
        _described(plan), key=f"plan-{plan.archive.replace('_', '-')}", description=f"Plan {plan.plan_id}"
    )
    if approve_as:
        answer: Approval | None = Approval(approve=True, name=approve_as)
    else:
        answer = _answer(plan, (ASK_FOR_S if deployment.id else 0) if ask_for_s is None else ask_for_s)
    how: How = "--yes" if approve_as else "prefect"
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    if answer is None:
        log_event("plan_waits", plan=plan.plan_id, archive=plan.archive, **plan.totals)
    elif answer.approve:
        approve(job, plan.plan_id, answer.name, answer.reason, how)
    else:
        decide(lake, plan, "refused", answer.name, answer.reason, how)
    # Whatever was answered here: somebody may have been faster with `tidegate approve`.
    return next((f.decision for f in Plans(lake, plan.dataset).filed() if f.plan.plan_id == plan.plan_id), None)


def still_approved(job: Job, manifests: Sequence[str]) -> list[str]:
    """Return which of the manifests approved plans allow to be purged now."""
    approved = Desk.of(job).approval().manifests
    return [manifest for manifest in manifests if manifest in approved]


def _answer(plan: SealedPlan, ask_for_s: int) -> Approval | None:
    if ask_for_s <= 0:
        return None
    until = f"Without an answer, it waits for `tidegate approve {plan.plan_id}`."
    form = Approval.with_initial_data(description=f"{_described(plan)}\n\n{until}")
    # A pause that expires is a failed run to Prefect, whatever the flow makes of it: so it is ended before.
    timer = Timer(ask_for_s, copy_context().run, [_answer_for_nobody, str(flow_run.id)])
    timer.daemon = True
    timer.start()
    try:
        answer = pause_flow_run(
            wait_for_input=form, timeout=ask_for_s + _GRACE_S, poll_interval=POLL_S, key=plan.plan_id
        )
    except FlowPauseTimeout:
        return None
    finally:
        timer.cancel()
    return None if answer.name == _NOBODY else answer


def _answer_for_nobody(run_id: str) -> None:
    """End the pause of a run that nobody has answered; no harm is done if somebody does at this very moment."""
    try:
        resume_flow_run(UUID(run_id), run_input={"approve": False, "name": _NOBODY})
    except Exception as error:  # noqa: BLE001 (in a thread of its own, where nobody would see it)
        log_event("plan_goes_on_waiting", run=run_id, error=type(error).__name__)


def _described(plan: SealedPlan) -> str:
    """Return the question as markdown."""
    totals, scope = plan.totals, plan.scope
    lines = [
        f"# Plan {plan.plan_id}: delete up to "
        + ", ".join(f"{rows:,} rows of {table}" for table, rows in plan.rows_by_table.items()),
        "",
        f"From `{scope.database}` (source {scope.source}). They were archived as `{plan.archive}` and proven to be in "
        "the lake; a row that has changed since stays. The plan expires at "
        f"{plan.expires_at:%Y-%m-%d %H:%M} UTC.",
        "",
        "| window | table | rows | bytes |",
        "|---|---|---:|---:|",
        *(f"| {g.window} | {g.table} | {g.rows:,} | {g.size_bytes:,} |" for g in plan.generations[:_SHOWN]),
        f"| {totals['windows']:,} windows | all {totals['generations']:,} generations | {totals['rows']:,} "
        f"| {totals['bytes']:,} |",
    ]
    for told, names in (("Only rows", [scope.where] if scope.where else []), ("Columns lost", scope.discarded)):
        if names:
            lines += ["", f"{told}: `{', '.join(names)}`"]
    return "\n".join(lines)
