"""Sealed plans for tests: proven and filed as the flow does it, without Prefect."""

from pathlib import Path
from tempfile import TemporaryDirectory

from service_bench import Bench

from blocks.ledger import generations_of
from schemas.sealed_plan import SealedPlan
from tasks.approval import demand_approval
from tasks.purge_unit import by_window, in_units, purge_unit
from tasks.seal_plan import seal_plan


def unpurged(bench: Bench) -> list[str]:
    """Return the manifests that no purge has finished, oldest window first, those of children too."""
    generations = by_window(generations_of(bench.lake, bench.job()))
    return [generation.manifest.path for generation in generations if not generation.purged]


def seal(bench: Bench, manifests: list[str] | None = None) -> SealedPlan:
    """Prove and seal what no purge has finished, or these manifests."""
    job = bench.job()
    with TemporaryDirectory(dir=bench.folder) as scratch:
        evidence = [bench.prove(path, Path(scratch)) for path in manifests or unpurged(bench)]
        plan = seal_plan(job, evidence, "run")
    assert plan is not None
    return plan


def purge_approved(bench: Bench, manifests: list[str] | None = None) -> int:
    """Purge what is approved, as `verify_and_purge` does; returns how many rows were deleted."""
    job = bench.job()
    approval = demand_approval(job, manifests)
    assert approval is not None
    paths = manifests or list(approval.manifests)
    units = [[bench.prove(path) for path in unit] for unit, _ in in_units(job, paths, paths)]
    return sum(receipt.deleted for unit in units for receipt in purge_unit(unit, job, "run", approval))
