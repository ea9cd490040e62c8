"""The error of a generation that is not in the lake as the source attested it."""

from pathlib import Path

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.job import Job
from tasks.name_differences import name_differences


def proof_failed(job: Job, lake: Lake, generation: Generation, findings: list[Finding], scratch: Path) -> ProofFailed:
    """Return the error that says what differs, what became of the rows so far, and what can be done."""
    manifest = generation.manifest
    told = [f"  {finding}" for finding in findings]
    if all(finding.check in {"digest", "rows"} for finding in findings):
        differing = name_differences(job, lake, generation, scratch)
        if differing:
            told.append(f"  For example the rows with key (and the columns that differ): {'; '.join(differing)}")
    restore = "Restore what is damaged from a backup or an older object version"
    if generation.purged or Ledger(lake, job.dataset).open_attempts(manifest):
        state = "This run deleted nothing of it; an earlier purge of it had begun, when its proof still held."
        next_step = (
            f"{restore}; the rows that it deleted are nowhere else. Then run: tidegate verify {manifest.archive}"
        )
    else:
        state = "No row was deleted on account of this generation; its rows are in the source."
        next_step = (
            f"{restore}, or move {manifest.path} out of the lake to have the window archived again; "
            f"then run: tidegate archive {manifest.archive}"
        )
    return ProofFailed(
        f"Window {manifest.window}, generation {manifest.generation}: the lake does not hold what the source "
        "attested.\n" + "\n".join(told),
        state=state,
        next_step=next_step,
    )
