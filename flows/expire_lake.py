"""Let archived windows go whose retention is over, and the old copies of rows that were erased.

python flows/expire_lake.py flights --dry-run
python flows/expire_lake.py flights --yes
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from schemas.expiry import ExpiryReport
from schemas.project import Project
from tasks.prefect_tasks import expire_task
from tasks.publish_erasure import publish_expiry


@flow(name="expire-lake", flow_run_name="expire-{archive}")
def expire_lake(
    archive: str, without_source: bool = False, dry_run: bool = False, config_dir: Path = Path("config")
) -> ExpiryReport:
    """Remove the generations of windows that ended before the archive's retention, unless they have to stay.

    What a legal hold covers stays, and what was not purged and may still be in the source.

    Args:
        archive: Name of the archive in archives.yaml.
        without_source: Do not ask the source, which is gone.
        dry_run: Only say what would be done.
        config_dir: The project's configuration.

    Raises:
        ConfigError: A legal hold cannot be read; nothing left the lake.
    """
    project = Project.load(config_dir)
    report = expire_task(
        project, project.archive(archive), str(flow_run.id), dry_run=dry_run, without_source=without_source
    )
    return publish_expiry(report)


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("expire-lake")
