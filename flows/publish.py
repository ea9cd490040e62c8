"""Publish tables of the lake to where others read them: a PostgreSQL database, a DuckDB file.

python flows/publish.py
python flows/publish.py warehouse --dry-run
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.open_lake import open_lake
from schemas.project import Project
from schemas.publish_report import PublishReport
from tasks.catalog.tidy_run_log import tidy_run_log
from tasks.prefect_tasks import at_most, publish_task
from tasks.publish.collect_publish import collect_publish
from tasks.publish.publish_one import plan_publishing
from tasks.publish_report import publish_published


@flow(name="publish-tables")
def publish_tables(
    publications: list[str] | None = None,
    full: bool = False,
    dry_run: bool = False,
    config_dir: Path = Path("config"),
) -> PublishReport:
    """Copy each table whose rows have changed, whole and at once; readers never see a part of it.

    A table that fails is as it was, and does not keep the others from being published.

    Args:
        publications: Names of publications in publish.yaml; all if not given.
        full: Publish tables also if nothing in them has changed.
        dry_run: Only say what would be published.
        config_dir: The project's configuration.

    Raises:
        ConfigError: The configuration is wrong, or names what is not there; nothing was touched.
        PublishFailed: Some tables failed; it carries the report of all.
    """
    project = Project.load(config_dir)
    placements = plan_publishing(project, publications)
    run_id = str(flow_run.id)
    if not dry_run:
        open_lake(project.settings.lake, project.settings.temp_dir).check(write=True)  # for the run log
    publishing = at_most(
        project.settings.parallel_windows,
        publish_task,
        (
            {"config_dir": config_dir, "placement": one, "run_id": run_id, "full": full, "dry_run": dry_run}
            for one in placements
        ),
    )
    report = collect_publish(placements, publishing, run_id, dry_run=dry_run)
    if not dry_run:
        tidy_run_log(project.settings)
    return publish_published(report)


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("publish")
