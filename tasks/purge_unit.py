"""What is purged in one go: a generation by itself; with partitions or children, all generations of a window."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from blocks.ledger import Generation
from schemas.job import Job
from schemas.purge_records import Receipt
from tasks.approval import Approval
from tasks.drop_partition import drop_partition
from tasks.purge import purge
from tasks.purge_family import purge_family
from tasks.verify import VerifiedGeneration

P = TypeVar("P")


def in_units(job: Job, manifests: Iterable[str], proofs: Iterable[P]) -> Iterator[tuple[list[str], list[P]]]:
    """Yield manifests, oldest window first, and what is known of each, in portions that are purged in one go."""
    together = bool(job.children) or job.archive.purge.mode == "drop_partition"
    pairs = zip(manifests, proofs, strict=True)
    for _, unit in groupby(pairs, key=lambda pair: _window(pair[0]) if together else pair[0]):
        yield tuple(map(list, zip(*unit, strict=True)))  # type: ignore[misc]


def by_window(generations: Iterable[Generation]) -> list[Generation]:
    """Return generations window by window, oldest first, as `in_units` wants them."""
    return sorted(generations, key=lambda generation: (generation.manifest.window.start, generation.manifest.window.id))


def discard(verified: Iterable[VerifiedGeneration]) -> None:
    """Remove evidence that is used up."""
    for generation in verified:
        generation.keys.unlink()


def purge_unit(
    verified: Sequence[VerifiedGeneration], job: Job, run_id: str, approval: Approval | None = None
) -> list[Receipt]:
    """Delete what the evidence of one unit proves, in the way that the job says."""
    if job.archive.purge.mode == "drop_partition":
        return drop_partition(verified, job, run_id, approval)
    if job.children:
        return purge_family(verified, job, run_id, approval)
    return [purge(v, job, run_id, approval) for v in verified]


def _window(manifest: str) -> str:
    """Return the part of a manifest's path that is its window's id."""
    return manifest.rsplit("/", 2)[1]
