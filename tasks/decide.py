"""Decides about a sealed plan: the first decision counts, and none is ever changed."""

from datetime import UTC, datetime

from blocks.lake import Lake
from blocks.plans import FiledPlan, Plans
from blocks.run_log import log_event
from schemas.job import Job
from schemas.sealed_plan import Decision, How, NotApproved, Outcome, SealedPlan
from tasks.approval import Desk


def approve(
    job: Job, plan_id: str, by: str, reason: str = "", how: How = "cli", now: datetime | None = None
) -> list[str]:
    """Record the approval of a plan that still holds, and return the manifests that it leaves to be purged.

    A plan that was approved before, and not carried out to its end, is gone on with.

    Raises:
        NotApproved: The plan is none of this archive, or it is refused, expired, used up, or no longer what was
            sealed. Nothing was recorded, and nothing deleted.
    """
    desk = Desk.of(job, now)
    filed = desk.find(plan_id)
    manifests = desk.left_to_purge(filed)
    if not filed.approved:
        decision = decide(desk.lake, filed.plan, "approved", by, reason, how)
        if decision.outcome != "approved":
            raise _decided(filed.plan, decision)
    return list(manifests)


def refuse(lake: Lake, filed: FiledPlan, by: str, reason: str = "") -> Decision:
    """Record that a plan is refused. What is archived stays in the lake, and its rows stay in the source.

    Raises:
        NotApproved: It was decided already, or does not wait any more.
    """
    plan = filed.plan
    if filed.decision is not None:
        raise _decided(plan, filed.decision)
    if not filed.waits(datetime.now(UTC)):
        raise NotApproved(
            f"The plan {plan.plan_id} of {plan.archive} does not wait any more: "
            + (f"the plan {filed.superseded_by} took its place." if filed.superseded_by else "it has expired."),
            state="Nothing can be deleted by it.",
            next_step="tidegate approve lists the plans that wait.",
        )
    decision = decide(lake, plan, "refused", by, reason, "cli")
    if decision.outcome != "refused":
        raise _decided(plan, decision)
    return decision


def decide(lake: Lake, plan: SealedPlan, outcome: Outcome, by: str, reason: str, how: How) -> Decision:
    """File a decision, and return the one that counts, which is the first."""
    mine = Decision(
        plan_id=plan.plan_id, dataset=plan.dataset, outcome=outcome, by=by, reason=reason, how=how, at=datetime.now(UTC)
    )
    counts = Plans(lake, plan.dataset).decide(mine)
    log_event("plan_decided", plan=counts.plan_id, outcome=counts.outcome, by=counts.by, how=counts.how)
    return counts


def _decided(plan: SealedPlan, decision: Decision) -> NotApproved:
    return NotApproved(
        f"The plan {plan.plan_id} of {plan.archive} was {decision}. A decision is never changed.",
        state="Nothing new was recorded, and this command deleted nothing.",
        next_step=f"tidegate archive {plan.archive} "
        + ("seals a new plan." if decision.outcome == "refused" else "goes on with what is approved."),
    )
