"""Whether what a purge rests on still holds: asked before its first batch, and again every minute while it lasts.

A purge of a large window takes hours, and may wait for nights. Meanwhile somebody can erase rows, lose files, alter
the table, add a table that refers to it, or put rows under a legal hold.
"""

from collections.abc import Sequence

from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.source import Session
from schemas.errors import ConfigError, ProofFailed
from schemas.hold import holds_digest
from schemas.job import Job
from schemas.project import Project
from tasks.files_still_there import refuse_if_files_have_changed
from tasks.other_columns import refuse_other_columns
from tasks.purge_obstacles import described_now, purge_obstacles
from tasks.still_stands import refuse_unless_it_stands
from tasks.verify import VerifiedGeneration

_NOT_DELETED = "No row of this window was deleted."


def refuse_if_stale(session: Session, lake: Lake, job: Job, verified: Sequence[VerifiedGeneration]) -> None:
    """Refuse to delete by evidence that no longer holds.

    Args:
        session: Holds the table's archiver lock.
        lake: The lake.
        job: The job, as it was when its tables were inspected.
        verified: The evidence, for the job's dataset and those of its children.

    Raises:
        ProofFailed: Rows were erased, files have changed, the table has other columns, or its key is not unique.
        ConfigError: Something keeps rows from being deleted by now, or there are other legal holds.
    """
    _refuse_other_holds(job)
    now = described_now(session, job)
    for v in verified:
        member = now.of_dataset(v.manifest.dataset)
        refuse_unless_it_stands(Ledger(lake, v.manifest.dataset), v.manifest.path)
        refuse_if_files_have_changed(lake, v.manifest, v.versions)
        refuse_other_columns(member, v.manifest)
        _refuse_other_key(member, v)
    for what, next_step in purge_obstacles(session, now):
        raise ConfigError(what, state=_NOT_DELETED, next_step=next_step)


def _refuse_other_key(job: Job, verified: VerifiedGeneration) -> None:
    """Rows are deleted by the key that they were archived with: one that is not unique means others as well."""
    manifest = verified.manifest
    if frozenset(manifest.key) not in job.table.unique_keys:
        key = ", ".join(manifest.key) or "none"
        raise ProofFailed(
            f"Window {manifest.window} was archived with the key ({key}), which is no unique key of "
            f"{job.table.quoted}: no unique index covers exactly these columns with all of them NOT NULL.",
            state=_NOT_DELETED,
            next_step="Create a unique index over it. Or archive the window again by another key, in another folder.",
        )


def _refuse_other_holds(job: Job) -> None:
    archive = Project.load(job.config_dir).archive(job.archive.name)
    if holds_digest(archive.holds) != job.holds_digest:
        raise ConfigError(
            f"archives[{archive.name}].holds: the legal holds are others than when this run began.",
            state=_NOT_DELETED,
            next_step=f"tidegate archive {archive.name} goes on, with the holds as they are now.",
        )
