"""`tidegate expire`: let archived data go whose retention is over."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.expiry import ExpiryReport


@command(
    "expire",
    "Let archived data go whose retention is over.",
    examples=[
        "tidegate expire flights --dry-run",
        "tidegate expire flights --yes",
    ],
)
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show what would leave the lake; nothing is removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--without-source", is_flag=True, help="The source is gone: do not ask it what it still holds.")
def expire(output: Output, config_dir: Path, *, name: str, dry_run: bool, yes: bool, without_source: bool) -> None:
    """Remove the windows of NAME from the lake that ended longer ago than its retention (archives.yaml) says.

    What a legal hold covers stays, a generation as a whole; so does what was not purged as long as the source holds
    rows of its window. The files that erasures have superseded leave the lake, too, when erase_grace is over.
    """
    from schemas.project import Project

    project = Project.load(config_dir)
    wanted = project.archive(name)

    from tidegate.confirm import can_ask, confirm, refuse_unasked
    from tidegate.show.expiry import show_expiry

    if not (dry_run or yes or can_ask(output)):
        refuse_unasked("Data leaves the lake")
    if not yes:
        from tasks.expire import expire_windows
        from tidegate.prefect_for_blocks import prefect_for_blocks

        with prefect_for_blocks(output, project, wanted):
            planned = expire_windows(project, wanted, "dry run", dry_run=True, without_source=without_source)
        if dry_run:
            output.give(planned.as_json(), lambda console: show_expiry(console, planned, project.settings.zone))
            return
        show_expiry(output.messages, planned, project.settings.zone)
        if not (planned.totals["expired"] or planned.old_copies):
            return
        confirm(name, "This will leave the lake for good.")

    from tidegate.call_flow import call_flow

    report: ExpiryReport = call_flow(
        output, "flows.expire_lake:expire_lake", archive=name, without_source=without_source, config_dir=config_dir
    )
    output.give(report.as_json(), lambda console: show_expiry(console, report, project.settings.zone))
