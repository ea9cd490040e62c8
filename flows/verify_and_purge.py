"""Prove committed generations to be in the lake, and delete from the source what is proven.

python flows/verify_and_purge.py flights
python flows/verify_and_purge.py flights --manifest _tidegate/manifests/flights/…/000001.json
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.ledger import generations_of
from blocks.open_lake import open_lake
from blocks.run_log import log_event
from blocks.scratch import temporary_folder
from schemas.errors import Busy, Interrupted, TidegateError
from schemas.project import Project
from schemas.purge_outcome import PurgeOutcome
from tasks.approval import demand_approval
from tasks.prefect_tasks import at_most, inspect_task, prove_task, purge_task
from tasks.purge_unit import by_window, discard, in_units
from tasks.vacuum_source import vacuum_source


@flow(name="verify-and-purge", flow_run_name="verify-and-purge-{archive}")
def verify_and_purge(
    archive: str, manifests: list[str] | None = None, config_dir: Path = Path("config"), run_id: str | None = None
) -> list[PurgeOutcome]:
    """Verify each generation against its attestation, then purge by proof, one generation at a time.

    Args:
        archive: Name of the archive in archives.yaml.
        manifests: Paths of the manifests, oldest first; if not given, all that no purge has finished, or, where
            the archive demands an approval, all that is approved.
        config_dir: The project's configuration.
        run_id: Names the receipts; the flow run's id by default.

    Returns:
        What became of each generation. A failed proof concerns its own generation only.

    Raises:
        NotApproved: The archive says `approve: true`, and not all of it was approved as it is now.
    """
    project = Project.load(config_dir)
    job = inspect_task(project, project.archive(archive).with_overrides(purge=True))
    approval = demand_approval(job, manifests)
    if manifests is None and approval is not None:
        manifests = list(approval.manifests)
    elif manifests is None:
        generations = generations_of(open_lake(job.settings.lake, job.settings.temp_dir), job)
        manifests = [g.manifest.path for g in by_window(generations) if not g.is_purged(job.holds_digest)]
    run = run_id or str(flow_run.id)
    outcomes: list[PurgeOutcome] = []
    with temporary_folder(job.settings.temp_dir) as scratch:
        proofs = at_most(2, prove_task, ({"job": job, "manifest_path": m, "scratch": scratch} for m in manifests))
        for unit, proven in in_units(job, manifests, proofs):
            try:
                verified = [proof.result() for proof in proven]
                receipts = purge_task(verified, job, run, approval)
            except (Interrupted, Busy):
                raise
            except TidegateError as error:
                log_event("purge_failed", manifests=",".join(unit), error=error.what.splitlines()[0])
                outcomes += [PurgeOutcome(manifest=m, error=str(error), exit_code=error.exit_code) for m in unit]
            else:
                outcomes += [PurgeOutcome.of(receipt) for receipt in receipts]
                discard(verified)
    vacuum_source(job, outcomes)
    return outcomes


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("verify-and-purge")
