"""Prove committed generations to be in the lake, and delete from the source what is proven.

python flows/verify_and_purge.py flights
python flows/verify_and_purge.py flights --manifest _tidegate/manifests/flights/…/000001.json
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow
from prefect.runtime import flow_run

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.run_log import log_event
from schemas.errors import Busy, Interrupted, TidegateError
from schemas.project import Project
from schemas.purge_outcome import PurgeOutcome
from tasks.prefect_tasks import at_most, inspect_task, prove_task, purge_task


@flow(name="verify-and-purge", flow_run_name="verify-and-purge-{archive}")
def verify_and_purge(
    archive: str, manifests: list[str] | None = None, config_dir: Path = Path("config"), run_id: str | None = None
) -> list[PurgeOutcome]:
    """Verify each generation against its attestation, then purge by proof, one generation at a time.

    Args:
        archive: Name of the archive in archives.yaml.
        manifests: Paths of the manifests, oldest first; all that no purge has finished if not given.
        config_dir: The project's configuration.
        run_id: Names the receipts; the flow run's id by default.

    Returns:
        What became of each generation. A failed proof concerns its own generation only.
    """
    project = Project.load(config_dir)
    job = inspect_task(project, project.archive(archive).with_overrides(purge=True))
    if manifests is None:
        generations = Ledger(open_lake(job.settings.lake, job.settings.temp_dir), job.dataset).generations()
        manifests = [g.manifest.path for g in generations if not g.purged]
    run = run_id or str(flow_run.id)
    outcomes: list[PurgeOutcome] = []
    with TemporaryDirectory(prefix="tidegate-", dir=job.settings.temp_dir) as scratch:
        proofs = at_most(2, prove_task, ({"job": job, "manifest_path": m, "scratch": Path(scratch)} for m in manifests))
        for manifest, proof in zip(manifests, proofs, strict=True):
            try:
                verified = proof.result()
                receipt = purge_task(verified, job, run)
                verified.keys.unlink()
            except (Interrupted, Busy):
                raise
            except TidegateError as error:
                log_event("purge_failed", manifest=manifest, error=error.what.splitlines()[0])
                outcomes.append(PurgeOutcome(manifest=manifest, error=str(error), exit_code=error.exit_code))
            else:
                outcomes.append(PurgeOutcome.of(receipt))
    return outcomes


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("verify-and-purge")
