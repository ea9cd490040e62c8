"""The sealed plans of a dataset in the lake, and what was decided about them.

Layout below `_tidegate/`, one record a file, none ever changed:

    plans/<dataset>/<plan>.json        what would be deleted
    decisions/<dataset>/<plan>.json    approved or refused; put-if-absent, so that the first one counts
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from blocks.lake import Lake
from blocks.ledger import ROOT
from schemas.errors import LakeError
from schemas.sealed_plan import Decision, SealedPlan


@dataclass(frozen=True, slots=True)
class FiledPlan:
    """A sealed plan, and how it stands.

    Attributes:
        plan: What was sealed.
        decision: What was decided, or None.
        superseded_by: The newest later plan that names a generation of this one, or None.
    """

    plan: SealedPlan
    decision: Decision | None = None
    superseded_by: str | None = None

    @property
    def approved(self) -> bool:
        """Whether somebody approved it."""
        return self.decision is not None and self.decision.outcome == "approved"

    def waits(self, now: datetime) -> bool:
        """Return whether it can still be decided."""
        return self.decision is None and self.superseded_by is None and now < self.plan.expires_at


class Plans:
    """Reads and files the plans of one dataset."""

    def __init__(self, lake: Lake, dataset: str) -> None:
        self._lake = lake
        self._dataset = dataset

    def filed(self) -> list[FiledPlan]:
        """Return all plans, oldest first.

        Raises:
            ProofFailed: A record is damaged.
        """
        plans = [SealedPlan.from_bytes(data, path) for path, data in self._read("plans")]
        decisions = [Decision.from_bytes(data, path) for path, data in self._read("decisions")]
        decided = {decision.plan_id: decision for decision in decisions}
        found = []
        newest: dict[str, str] = {}  # manifest -> the newest plan that names it
        for plan in sorted(plans, key=lambda plan: (plan.made_at, plan.plan_id), reverse=True):
            later = next((newest[m] for m in plan.manifests if m in newest), None)
            found.append(FiledPlan(plan, decided.get(plan.plan_id), later))
            for manifest in plan.manifests:
                newest.setdefault(manifest, plan.plan_id)
        return found[::-1]

    def seal(self, plan: SealedPlan) -> None:
        """File a plan; from here on it waits."""
        path = self._path("plans", plan.plan_id)
        if not self._lake.put_if_absent(path, plan.to_bytes()):
            raise LakeError(
                f"The plan {path} is there already, and records are never changed.",
                state="Nothing was deleted.",
                next_step="Run the same command again.",
            )

    def decide(self, decision: Decision) -> Decision:
        """File a decision, and return the one that counts: the first one that was filed."""
        path = self._path("decisions", decision.plan_id)
        if self._lake.put_if_absent(path, decision.to_bytes()):
            return decision
        return Decision.from_bytes(self._lake.read(path), path)

    def _path(self, kind: str, plan_id: str) -> str:
        return f"{ROOT}/{kind}/{self._dataset}/{plan_id}.json"

    def _read(self, kind: str) -> Iterable[tuple[str, bytes]]:
        # Deeper, it belongs to a dataset in a folder of this one.
        folder = f"{ROOT}/{kind}/{self._dataset}/"
        listed = (entry.path for entry in self._lake.list(folder.rstrip("/")))
        paths = [p for p in listed if p.endswith(".json") and "/" not in p.removeprefix(folder)]
        return zip(paths, self._lake.read_many(paths), strict=True)


def all_plans(lake: Lake) -> list[FiledPlan]:
    """Return the plans of all datasets in the lake, oldest first."""
    prefix = f"{ROOT}/plans/"
    datasets = {entry.path.removeprefix(prefix).rsplit("/", 1)[0] for entry in lake.list(prefix.rstrip("/"))}
    found = [plan for dataset in datasets for plan in Plans(lake, dataset).filed()]
    return sorted(found, key=lambda filed: (filed.plan.made_at, filed.plan.plan_id))
