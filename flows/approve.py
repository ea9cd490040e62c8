"""Approve the sealed plan of a purge, and delete by it what is proven once more.

python flows/approve.py 3f9a01c2
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.verify_and_purge import verify_and_purge
from schemas.project import Project
from schemas.purge_outcome import PurgeOutcome
from tasks.decide import approve
from tasks.prefect_tasks import inspect_task


@flow(name="approve-plan", flow_run_name="approve-{plan}")
def approve_plan(
    archive: str, plan: str, approve_as: str, reason: str = "", config_dir: Path = Path("config")
) -> list[PurgeOutcome]:
    """Record the approval of a plan that still holds, then verify and purge what it names.

    A plan that was approved before and not carried out to its end is gone on with.

    Args:
        archive: Name of the archive in archives.yaml.
        plan: The plan's id.
        approve_as: Who approves it.
        reason: Why; it is recorded.
        config_dir: The project's configuration.

    Returns:
        What became of each generation.

    Raises:
        NotApproved: The plan is refused, expired, used up, or no longer what was sealed.
    """
    project = Project.load(config_dir)
    job = inspect_task(project, project.archive(archive).with_overrides(purge=True))
    manifests = approve(job, plan, approve_as, reason)
    return verify_and_purge(archive, manifests, job.config_dir, str(flow_run.id))


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("approve")
