"""Build the tables of the staging and consume layers, in the order in which they need each other.

python flows/build.py orders_staging
python flows/build.py --all --dry-run
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.open_lake import open_lake
from schemas.build_report import BuildReport
from schemas.project import Project
from tasks.build.dbt_project import run_dbt
from tasks.build.order import plan_build
from tasks.build.schedule import collect_build, run_plan
from tasks.catalog.tidy_run_log import tidy_run_log
from tasks.prefect_tasks import build_task, dbt_task
from tasks.publish_report import publish_build


@flow(name="build-pipelines")
def build_pipelines(
    pipelines: list[str] | None = None,
    full: bool = False,
    dry_run: bool = False,
    config_dir: Path = Path("config"),
) -> BuildReport:
    """Run each pipeline as soon as what it reads is built; those whose inputs are as they were are left alone.

    A pipeline that fails leaves its table as it was, and keeps only those that need it from being run.

    Args:
        pipelines: Names of pipelines in pipelines.yaml; all that are enabled if not given.
        full: Build tables though nothing has changed.
        dry_run: Only say what would be built, and with which SQL.
        config_dir: The project's configuration.

    Raises:
        ConfigError: The configuration is wrong, or names what is not there; nothing was touched.
        BuildFailed: Some pipelines failed; it carries the report of all.
    """
    project = Project.load(config_dir)
    plan = plan_build(project, pipelines or ())
    run_id = str(flow_run.id)
    if not dry_run:
        open_lake(project.settings.lake, project.settings.temp_dir).check(write=True)
    reports = run_plan(
        plan,
        lambda pipeline, planned: build_task.submit(
            config_dir=config_dir,
            pipeline=pipeline.name,
            run_id=run_id,
            full=full,
            dry_run=dry_run,
            planned=planned,
        ),
        project.settings.parallel_windows,
    )
    if plan.dbt:
        reports += run_dbt(
            reports,
            lambda lost, planned: dbt_task.submit(
                config_dir=config_dir, run_id=run_id, full=full, dry_run=dry_run, lost=lost, planned=planned
            ),
        )
    disabled = () if pipelines else tuple(p.name for p in project.pipelines if not p.enabled)
    if not dry_run:
        tidy_run_log(project.settings)
    return publish_build(collect_build(reports, run_id, dry_run=dry_run, disabled=disabled))


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("build")
