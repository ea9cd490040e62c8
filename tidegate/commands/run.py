"""`tidegate run`: build the tables of pipelines."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.build_report import BuildReport


@command(
    "run",
    "Build the tables of pipelines: raw to staging to consume.",
    examples=[
        "tidegate run --all --dry-run",
        "tidegate run orders_staging",
        "tidegate run --all",
        "tidegate run orders_staging --full --json",
    ],
)
@click.argument("pipelines", metavar="[PIPELINE]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All pipelines that are enabled.")
@click.option("--full", is_flag=True, help="Build tables though nothing that they are made of has changed.")
@click.option("--dry-run", is_flag=True, help="Only show what would be built, with its SQL; nothing is written.")
def run(
    output: Output,
    config_dir: Path,
    *,
    pipelines: tuple[str, ...],
    every: bool,
    full: bool,
    dry_run: bool,
) -> None:
    """Run each PIPELINE of pipelines.yaml, in the order in which they need each other.

    A table is computed beside the lake, its quality checks look at all rows, and only then does it take the place of
    what was there. A pipeline whose inputs are as they were is left alone. One that fails leaves its table as it was;
    those that need it are skipped, and the others go on.

    Where pipelines.yaml has `dbt:`, --all runs the dbt project after them; its name is dbt.
    """
    if every == bool(pipelines):
        raise click.UsageError("Name the pipelines to run, or give --all for all that are enabled; not both.")
    from schemas.build_report import BuildFailed
    from schemas.project import Project
    from tasks.build.order import plan_build

    # What is wrong with the configuration is said at once, before Prefect takes its seconds to start.
    project = Project.load(config_dir)
    plan_build(project, pipelines)

    from tidegate.call_flow import call_flow
    from tidegate.show.build import show_build

    try:
        report: BuildReport = call_flow(
            output,
            "flows.build:build_pipelines",
            pipelines=list(pipelines) or None,
            full=full,
            dry_run=dry_run,
            config_dir=config_dir,
        )
    except BuildFailed as failure:
        if not output.as_json:
            show_build(output, failure.report, project.settings)
        raise
    output.give(report.as_json(), lambda _: show_build(output, report, project.settings))
