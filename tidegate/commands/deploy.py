"""`tidegate deploy`: schedules of sources become deployments on a Prefect server."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from tidegate.source_deployments import SourceDeployment

_DONE = {"create": "created", "update": "updated", "unchanged": "unchanged", "pause": "switched off"}
_PLANNED = {"create": "to create", "update": "to update", "unchanged": "unchanged", "pause": "to switch off"}


@command(
    "deploy",
    "Make a deployment of every source that has a schedule.",
    examples=["tidegate deploy --dry-run", "tidegate deploy", "tidegate deploy --pool nightly --json"],
)
@click.option("--pool", default="tidegate", show_default=True, metavar="NAME", help="Work pool that runs them.")
@click.option("--dry-run", is_flag=True, help="Only show what would be created or changed.")
def deploy(output: Output, config_dir: Path, *, pool: str, dry_run: bool) -> None:
    """Create or update a deployment ingest-SOURCE for every enabled source with a `schedule` in sources.yaml.

    It needs a Prefect server (PREFECT_API_URL) and a work pool on it. A deployment that was made so is switched off
    when the schedule of its source is gone; no other deployment is touched, and what was switched off on the server
    stays off.
    """
    from schemas.project import Project

    project = Project.load(config_dir)
    from tidegate import source_deployments
    from tidegate.show.log_lines import show_log_lines

    show_log_lines(output)
    found = source_deployments.deploy(project, pool, dry_run=dry_run)
    body = {"state": "planned" if dry_run else "done", "pool": pool, "deployments": [asdict(one) for one in found]}
    output.give(body, lambda _: _show(output, found, pool, dry_run=dry_run))


def _show(output: Output, found: "list[SourceDeployment]", pool: str, *, dry_run: bool) -> None:
    from rich import box
    from rich.table import Table

    if not found:
        output.console.print("No enabled source has a schedule. Give one to a source in sources.yaml:")
        output.console.print('  schedule: "0 2 * * *"')
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("deployment", "source", "schedule", "time zone", "pool", "state"):
        table.add_column(name)
    for one in found:
        state = (_PLANNED if dry_run else _DONE)[one.change]
        off = "" if one.active or one.change == "pause" else " (off)"
        table.add_row(one.name, one.source, one.cron, one.timezone, one.pool, state + off)
    output.console.print(table)
    step = output.command("deploy", *(["--pool", pool] if pool != "tidegate" else [])) if dry_run else ""
    output.console.print(f"Next: {step or f'prefect worker start --pool {pool}'}")
