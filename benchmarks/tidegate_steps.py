"""Tidegate's steps without Prefect, for the benchmark: export, verify, purge (which verifies first)."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.progress import Progress, listening
from schemas.job import Job
from schemas.project import Project
from tasks.export import export_window
from tasks.inspect_source import inspect_source
from tasks.plan import plan_windows
from tasks.purge import purge
from tasks.verify import prove


def export(job: Job, ledger: Ledger) -> dict[str, float]:
    plan = plan_windows(job, ledger.generations())
    with ThreadPoolExecutor(job.settings.parallel_windows) as pool:
        done = list(pool.map(lambda w: export_window(job, w.window, w.earlier, "bench"), plan.windows))
    return {"rows": sum(exported.rows for exported in done)}


def verify(job: Job, ledger: Ledger) -> dict[str, float]:
    rows = 0
    with TemporaryDirectory() as scratch:
        for generation in ledger.generations():
            rows += prove(job, generation.manifest.path, Path(scratch)).manifest.attestation.rows
    return {"rows": rows}


def purge_alone(job: Job, ledger: Ledger) -> dict[str, float]:
    """Prove everything first, so that the purge has the machine to itself, as the LIMIT loop has."""
    return verify_and_purge(job, ledger, ahead=False)


def verify_and_purge(job: Job, ledger: Ledger, *, ahead: bool = True) -> dict[str, float]:
    """Prove the next generation while the present one is purged, as the flow does."""
    ticks: list[tuple[float, int]] = []
    purging_s, deleted = 0.0, 0

    def tick(progress: Progress) -> None:
        if progress.phase == "purge":
            ticks.append((time.monotonic(), progress.rows))

    with TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool, listening(tick):
        proofs = [pool.submit(prove, job, g.manifest.path, Path(scratch)) for g in ledger.generations()]
        if not ahead:
            wait(proofs)
        for proof in proofs:
            verified = proof.result()
            started = time.monotonic()
            deleted += purge(verified, job, "bench").deleted
            purging_s += time.monotonic() - started
    # Between two batches of one generation only.
    batches = [b[0] - a[0] for a, b in pairwise(ticks) if b[1] > a[1]]
    tenth = max(1, len(batches) // 10)
    return {
        "rows": deleted,
        "rows_per_s": deleted / purging_s,
        "first_batches_ms": 1000 * sum(batches[:tenth]) / tenth,
        "last_batches_ms": 1000 * sum(batches[-tenth:]) / tenth,
    }


STEPS = {"export": export, "verify": verify, "purge": verify_and_purge, "purge-alone": purge_alone}


def main() -> None:
    config, *steps = sys.argv[1:]
    project = Project.load(config)
    job = inspect_source(project, project.archive("lineitem"))
    ledger = Ledger(open_lake(job.settings.lake), job.dataset)
    said: dict[str, float] = {}
    for step in steps:
        said |= STEPS[step](job, ledger)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
