"""Seals the plan of a purge: what was just proven to be in the lake, and would be deleted from the source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from blocks.plans import Plans
from blocks.run_log import log_event
from schemas.errors import ProofFailed
from schemas.job import Job
from schemas.manifest import Manifest
from schemas.purge_outcome import PurgeOutcome
from schemas.sealed_plan import EXPIRES_AFTER, PlannedPurge, SealedPlan
from tasks.approval import Desk
from tasks.verify import VerifiedGeneration


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of proving what is to be approved: a plan, if there is anything, and the proofs that failed."""

    plan: SealedPlan | None
    failed: tuple[PurgeOutcome, ...] = ()


def seal_plan(
    job: Job, verified: Sequence[VerifiedGeneration], run_id: str, now: datetime | None = None
) -> SealedPlan | None:
    """File what would be deleted, and return it; None if there is nothing.

    A plan that waits and says the same is returned as it is. Otherwise plans that wait for any of these generations
    are superseded by the new one: two plans never wait for the same rows.

    Args:
        job: The job.
        verified: The evidence that the generations are in the lake, in the order in which they are to be purged.
        run_id: Names the run that asks.
        now: The clock's by default.

    Raises:
        ProofFailed: A manifest was changed after it was proven.
    """
    if not verified:
        return None
    desk = Desk.of(job, now)
    generations = tuple(_planned(desk, evidence) for evidence in verified)
    superseded = []
    for filed in desk.plans:
        if not filed.waits(desk.now) or not set(filed.plan.manifests) & {g.manifest for g in generations}:
            continue
        if filed.plan.generations == generations and not desk.scope_differences(filed):
            return filed.plan
        superseded.append(filed.plan.plan_id)
    # Later than all that are there, whatever the clocks of other machines say: the newest one counts.
    last = max((filed.plan.made_at for filed in desk.plans), default=desk.now - timedelta(microseconds=1))
    plan = SealedPlan(
        plan_id=uuid4().hex[:8],
        archive=job.archive.name,
        dataset=job.dataset,
        run_id=run_id,
        made_at=max(desk.now, last + timedelta(microseconds=1)),
        expires_at=desk.now + EXPIRES_AFTER,
        scope=desk.scope,
        generations=generations,
        supersedes=tuple(superseded),
    )
    Plans(desk.lake, job.dataset).seal(plan)
    log_event("plan_sealed", plan=plan.plan_id, archive=plan.archive, **plan.totals)
    return plan


def _planned(desk: Desk, evidence: VerifiedGeneration) -> PlannedPurge:
    manifest = evidence.manifest
    data = desk.lake.read(manifest.path)
    generation = desk.generations.get(manifest.path)
    if generation is None or Manifest.from_bytes(data, manifest.path) != manifest:
        raise ProofFailed(
            f"{manifest.path}: this manifest is not the one that was proven a moment ago.",
            state="Nothing was deleted.",
            next_step=f"Find out who writes into the lake, then run: tidegate archive {manifest.archive}",
        )
    return PlannedPurge(
        manifest=manifest.path,
        sha256=hashlib.sha256(data).hexdigest(),
        table=manifest.table,
        window=manifest.window,
        generation=manifest.generation,
        rows=manifest.attestation.rows,
        size_bytes=manifest.size_bytes,
        digest=manifest.attestation.digest,
        receipts=len(generation.receipts),
    )
