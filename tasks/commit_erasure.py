"""Writes the generations of one dataset again without the rows that go, and lets them take the old ones' place."""

from collections.abc import Callable
from datetime import UTC, datetime

from blocks.erasures import Erasures
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.machine_errors import machine_errors
from schemas.duration import Duration
from schemas.erasure import NOTHING_ERASED, Erasure, GenerationErasure, Replaced
from schemas.errors import ProofFailed
from schemas.manifest import DataFile, Manifest
from tasks.erasure_family import Member
from tasks.matched_rows import MatchedRows
from tasks.rewrite_generation import rewrite_generation


def commit_erasure(
    lake: Lake,
    member: Member,
    planned: tuple[GenerationErasure, ...],
    *,
    run_id: str,
    reason: str | None,
    grace: Duration,
    before_commit: Callable[[], None],
) -> tuple[Erasure, tuple[GenerationErasure, ...]]:
    """Erase the rows that were found in a dataset, all at once for readers.

    Args:
        lake: The lake.
        member: The dataset, and its rows.
        planned: Its generations that hold such rows.
        run_id: Recorded.
        reason: Recorded.
        grace: How long the old copies stay.
        before_commit: Called when all is written, and nothing is changed for readers; what it raises ends it.

    Returns:
        The record, and the generations with those that took their place.

    Raises:
        ProofFailed: A file of the lake is damaged, or a new one is not what it should be.
        Busy: Another run took this erasure for dead.
    """
    erasures = Erasures(lake, member.ledger.dataset)
    by_path = {generation.manifest.path: generation.manifest for generation in member.generations}
    moment = datetime.now(UTC)
    number, stem = erasures.begin(run_id)
    new: list[Manifest] = []
    with machine_errors("The rows cannot be erased", NOTHING_ERASED), lake.scratch() as scratch:
        for one in planned:
            manifest = rewrite_generation(
                member.connection, lake, by_path[one.manifest], member.rows, stem, scratch,
                erased_at=moment, run_id=run_id, reason=reason,
            )  # fmt: skip
            erasures.draft(manifest)
            new.append(manifest)
    _refuse_if_left(member.rows, new, stem)
    before_commit()
    done = tuple(one.model_copy(update={"by": manifest.path}) for one, manifest in zip(planned, new, strict=True))
    erasure = Erasure(
        dataset=member.ledger.dataset,
        number=number,
        id=stem,
        run_id=run_id,
        reason=reason,
        replaced=tuple(
            Replaced(manifest=one.manifest, by=str(one.by), rows=one.rows, quarantined=one.quarantined) for one in done
        ),
        erased_at=moment,
        old_copies_until=grace.after(moment),
    )
    erasures.commit(erasure)
    return erasure, done


def _refuse_if_left(rows: MatchedRows, new: list[Manifest], stem: str) -> None:
    """Look for the rows once more, in the files that were just written."""

    def written(files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
        return tuple(file for file in files if stem in file.path)

    only_new = [
        Generation(m.model_copy(update={"files": written(m.files), "quarantine": written(m.quarantine)})) for m in new
    ]
    left = rows.left_in(only_new)
    if left:
        raise ProofFailed(
            f"{left} of the rows are still in the files that were written without them.",
            state=NOTHING_ERASED,
            next_step="A predicate must hold for a row or not, whenever it is asked. If yours does, please report it.",
        )
