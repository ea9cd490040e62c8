"""Finds whether a person has approved what is about to be deleted, and whether it is still what that person saw.

The only module that can make an `Approval`; where an archive says `approve: true`, nothing is purged without one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime

from blocks.lake import Lake
from blocks.ledger import Generation, generations_of
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from blocks.plans import FiledPlan, Plans
from blocks.source_place import place_of
from schemas.job import Job
from schemas.manifest import Manifest
from schemas.sealed_plan import NotApproved, PlannedPurge, PurgeScope

_SEAL = object()
_NOTHING_DELETED = "Nothing was deleted."


@dataclass(frozen=True, slots=True)
class Approval:
    """What may be deleted now: generations that approved plans name, and that are what these plans say they are.

    Attributes:
        manifests: By their paths, oldest window first.
    """

    manifests: Mapping[str, Manifest]
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only tasks.approval can make an Approval; call demand_approval()")

    def covers(self, manifest: Manifest) -> bool:
        """Return whether this very manifest was approved."""
        return self.manifests.get(manifest.path) == manifest


def refuse_unapproved(job: Job, manifest: Manifest, approval: Approval | None) -> None:
    """Let pass what the archive does not want to have approved, and what was approved.

    Raises:
        NotApproved: Anything else.
    """
    if job.archive.approve and (approval is None or not approval.covers(manifest)):
        raise NotApproved(
            f"Window {manifest.window}, generation {manifest.generation}: nobody has approved to delete its rows.",
            state="No row of this generation was deleted.",
            next_step=f"tidegate archive {job.archive.name} seals a plan of what would be deleted.",
        )


def demand_approval(job: Job, manifests: Sequence[str] | None, now: datetime | None = None) -> Approval | None:
    """Return the approval that covers all of the manifests, or None if the archive does not want to be asked.

    Args:
        job: The job, as it is now.
        manifests: Paths of the manifests of which rows are to be deleted; all that an approved plan names if None.
        now: The clock's by default.

    Raises:
        NotApproved: Not all of it is approved, or it is no longer what was approved; the message says what differs.
    """
    if not job.archive.approve:
        return None
    desk = Desk.of(job, now)
    approval = desk.approval()
    if manifests is None and approval.manifests:
        return approval
    lacking = [path for path in manifests or () if path not in approval.manifests]
    if manifests is None or lacking:
        raise desk.why_not(lacking or None)
    return approval


@dataclass(frozen=True, slots=True)
class Desk:
    """A job's plans, and what they are compared with: the lake, the source and the configuration of this moment."""

    job: Job
    lake: Lake
    scope: PurgeScope
    plans: tuple[FiledPlan, ...]
    generations: Mapping[str, Generation]
    now: datetime

    @classmethod
    def of(cls, job: Job, now: datetime | None = None) -> "Desk":
        """Read the plans and generations of a job's dataset."""
        lake = open_lake(job.settings.lake, job.settings.temp_dir)
        return cls(
            job,
            lake,
            PurgeScope.of(job, place_of(source_of(job).url)),
            tuple(Plans(lake, job.dataset).filed()),
            {generation.manifest.path: generation for generation in generations_of(lake, job)},
            now or datetime.now(UTC),
        )

    def find(self, plan_id: str) -> FiledPlan:
        """Return the plan of that id.

        Raises:
            NotApproved: This archive has none.
        """
        for filed in self.plans:
            if filed.plan.plan_id == plan_id:
                return filed
        raise NotApproved(
            f"The plan {plan_id} is none of the archive {self.job.archive.name} (folder {self.job.dataset}).",
            state=_NOTHING_DELETED,
            next_step="tidegate approve lists the plans that wait.",
        )

    def approval(self) -> Approval:
        """Return what approved plans still allow to be deleted."""
        manifests: dict[str, Manifest] = {}
        for filed in self.plans:
            if filed.approved:
                try:
                    manifests |= self.left_to_purge(filed)
                except NotApproved:
                    continue
        return Approval(dict(sorted(manifests.items(), key=lambda item: item[1].window.id)), _SEAL)

    def left_to_purge(self, filed: FiledPlan) -> dict[str, Manifest]:
        """Return what a plan still allows to be deleted, or would if it were approved.

        Raises:
            NotApproved: It can no longer be approved or gone on with; the message says why.
        """
        plan = filed.plan
        used = [planned for planned in plan.generations if self._used(planned)]
        found, differences = self._manifests([planned for planned in plan.generations if planned not in used])
        closed = self._closed(filed, used)
        if not closed:
            differences = self.scope_differences(filed) + differences
            if not filed.approved:
                differences += [f"{planned.manifest}: it was purged since" for planned in used]
        if closed or differences:
            raise NotApproved(
                f"The plan {plan.plan_id} of {plan.archive} no longer holds:\n"
                + "\n".join(f"  {difference}" for difference in ([closed] if closed else differences)),
                state=f"{_NOTHING_DELETED} What is archived stays in the lake.",
                next_step=f"tidegate archive {self.job.archive.name} seals a new plan.",
            )
        return found

    def scope_differences(self, filed: FiledPlan) -> list[str]:
        """Return what of source, table and configuration is not as it was when the plan was sealed."""
        return filed.plan.scope.differences(self.scope)

    def why_not(self, lacking: Sequence[str] | None) -> NotApproved:
        """Return the error for generations that no approval covers; None stands for any."""
        for filed in reversed(self.plans):
            if lacking is not None and not set(lacking) & set(filed.plan.manifests):
                continue
            try:
                self.left_to_purge(filed)
            except NotApproved as error:
                return error
            return NotApproved(
                f"The plan {filed.plan.plan_id} of {filed.plan.archive} waits for an approval.",
                state=_NOTHING_DELETED,
                next_step=f"tidegate approve {filed.plan.plan_id}",
            )
        return NotApproved(
            f"The archive {self.job.archive.name} is purged only by an approved plan, and there is none"
            + (f" for {', '.join(lacking)}." if lacking else "."),
            state=_NOTHING_DELETED,
            next_step=f"tidegate archive {self.job.archive.name} seals a plan of what would be deleted.",
        )

    def _closed(self, filed: FiledPlan, used: Sequence[PlannedPurge]) -> str:
        """Return why a plan is over, whatever it is about; "" if it is not."""
        plan, decision = filed.plan, filed.decision
        if filed.superseded_by:
            return f"the plan {filed.superseded_by} took its place"
        if decision is not None and decision.outcome == "refused":
            return f"it was {decision}"
        if filed.approved and len(used) == len(plan.generations):
            return "it was carried out already"
        # A purge that was approved and begun in time may take as long as it does.
        if self.now >= plan.expires_at and not (filed.approved and used):
            return f"it has expired at {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def _used(self, planned: PlannedPurge) -> bool:
        generation = self.generations.get(planned.manifest)
        return generation is not None and len(generation.receipts) > planned.receipts

    def _manifests(self, planned: Sequence[PlannedPurge]) -> tuple[dict[str, Manifest], list[str]]:
        """Return the manifests that are byte by byte what was sealed, and how the others differ."""
        found: dict[str, Manifest] = {}
        differences = []
        for entry in planned:
            generation = self.generations.get(entry.manifest)
            if generation is None:
                differences.append(f"{entry.manifest}: it is no committed generation any more")
                continue
            data = self.lake.read(entry.manifest)
            if hashlib.sha256(data).hexdigest() == entry.sha256:
                found[entry.manifest] = Manifest.from_bytes(data, entry.manifest)
            else:
                differences.append(f"{entry.manifest}: {_how_it_differs(generation.manifest, entry)}")
        return found, differences


def _how_it_differs(manifest: Manifest, planned: PlannedPurge) -> str:
    rows, digest = manifest.attestation.rows, manifest.attestation.digest
    told = []
    if rows != planned.rows:
        told.append(f"{planned.rows} rows when the plan was sealed, {rows} now")
    if digest != planned.digest:
        told.append(f"digest {planned.digest} when the plan was sealed, {digest} now")
    return "; ".join(told) or "another manifest with the same rows and digest"
