"""Adds up what the ledger knows of a dataset, window by window."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.plans import Plans
from schemas.sealed_plan import SealedPlan
from schemas.window import Window

# How the clusters of dialects begin that were never tried on a server.
_NOT_VERIFIED = ("sqlserver:",)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of archived rows.

    Attributes:
        generations: Committed generations.
        rows: Rows in them that readers can see; a row that was archived again counts once for each version.
        bytes: Size of the files that readers see.
        unpurged: Rows of archived generations that no purge has finished.
        deleted: Rows that purges deleted.
        changed_since: Rows that purges left in the source, because they had changed after they were archived.
        already_gone: Rows that purges found gone.
        held: Rows that the last purge left alone, as a legal hold covers them.
        erased: Rows that were archived, and erased since.
        quarantined: Rows that a gate kept out.
        removed: Rows that were removed from the lake on purpose.
        last_run: When a generation was last committed or purged.
    """

    generations: int
    rows: int
    bytes: int
    unpurged: int
    deleted: int
    changed_since: int
    already_gone: int
    held: int
    erased: int
    quarantined: int
    removed: int
    last_run: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "last_run": self.last_run.isoformat()}


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """A window and what the ledger knows of it."""

    window: Window
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**self.window.model_dump(mode="json"), **self.counts.as_json()}


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """A dataset and what the ledger knows of it."""

    dataset: str
    archive: str
    table: str
    counts: Counts
    windows: tuple[WindowStatus, ...]
    is_archive: bool = True  # and not a table that was extracted or built
    waiting: tuple[SealedPlan, ...] = ()  # for an approval
    verified_dialect: bool = True  # whether Tidegate was tried on a server of the kind that the rows come from

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, the windows as their number."""
        named = {"dataset": self.dataset, "archive": self.archive, "table": self.table}
        waiting = [
            {"plan": plan.plan_id, "expires_at": plan.expires_at.isoformat(), **plan.totals} for plan in self.waiting
        ]
        return {
            **named,
            "windows": len(self.windows),
            **self.counts.as_json(),
            "waiting": waiting,
            "verified_dialect": self.verified_dialect,
        }


def dataset_status(lake: Lake, dataset: str) -> DatasetStatus:
    """Read a dataset's records and add them up.

    Raises:
        ProofFailed: A record is damaged.
    """
    generations = Ledger(lake, dataset).generations()
    windows: dict[Window, list[Generation]] = {}
    for generation in sorted(generations, key=lambda g: g.manifest.window.id):
        windows.setdefault(generation.manifest.window, []).append(generation)
    newest = generations[-1].manifest
    now = datetime.now(UTC)
    return DatasetStatus(
        dataset,
        newest.archive,
        f"pipeline {newest.built.pipeline}" if newest.built else newest.table,
        _counts(generations),
        tuple(WindowStatus(window, _counts(of_window)) for window, of_window in windows.items()),
        newest.is_archived,
        tuple(filed.plan for filed in Plans(lake, dataset).filed() if filed.waits(now)),
        not newest.attestation.snapshot.cluster.startswith(_NOT_VERIFIED),
    )


def _counts(generations: list[Generation]) -> Counts:
    # A generation may have been purged more than once; its last receipt says where its rows are now, and what an
    # earlier one deleted is gone by then.
    receipts = [receipt for generation in generations for receipt in generation.receipts]
    last = [generation.receipts[-1] for generation in generations if generation.receipts]
    kept = [f for g in generations for f in g.manifest.files if f.path not in g.removed]
    archived = sum(generation.manifest.attestation.rows for generation in generations)
    deleted = sum(receipt.deleted for receipt in receipts)
    return Counts(
        generations=len(generations),
        rows=sum(file.rows for file in kept),
        bytes=sum(file.size_bytes for file in kept),
        unpurged=sum(g.manifest.attestation.rows for g in generations if g.manifest.is_archived and not g.purged),
        deleted=deleted,
        changed_since=sum(receipt.changed_since for receipt in last),
        already_gone=max(0, sum(r.archived - r.changed_since - r.held for r in last) - deleted),
        held=sum(receipt.held for receipt in last),
        erased=sum(generation.manifest.erased_rows for generation in generations),
        quarantined=sum(file.rows for g in generations for file in g.quarantine),
        removed=archived - sum(file.rows for file in kept),
        last_run=max([g.manifest.committed_at for g in generations] + [r.finished_at for r in receipts]),
    )
