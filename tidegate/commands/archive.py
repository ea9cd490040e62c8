"""`tidegate archive`: archive a table's windows, prove them, delete what is proven."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.moments import MOMENT
from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.report import RunReport


@command(
    "archive",
    "Archive a table, prove it, delete what is proven.",
    examples=[
        "tidegate archive flights --dry-run",
        "tidegate archive flights --from 2013-01-01 --to 2013-02-01 --no-purge",
        'tidegate archive flights --older-than "90 days" --purge',
        "tidegate archive flights --yes",
        "tidegate archive flights --json",
    ],
)
@click.argument("name")
@click.option("--from", "from_", type=MOMENT, metavar="TIME", help="Rows from here on.")
@click.option("--to", type=MOMENT, metavar="TIME", help="Rows before this moment.")
@click.option("--older-than", metavar="SPAN", help='Rows older than this, such as "90 days" or "3 months".')
@click.option("--purge/--no-purge", default=None, help="Delete what is proven, or leave the table as it is.")
@click.option("--yes", is_flag=True, help="Approve at once, in your name, what `approve: true` would have wait.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done; nothing is written or deleted.")
def archive(
    output: Output,
    config_dir: Path,
    *,
    name: str,
    from_: datetime | None,
    to: datetime | None,
    older_than: str | None,
    purge: bool | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Archive the windows of NAME, prove each to be in the lake, and delete only what is proven.

    Options take the place of what archives.yaml says. A TIME is a date or a date and time; without an offset it is
    of the project's time zone. A run that was stopped is taken up by the same command; one with nothing to do
    changes nothing. If the archive says `approve: true`, nothing is deleted before `tidegate approve`.
    """
    from schemas.project import Project
    from schemas.report import RunFailed

    # What is wrong with the configuration is said at once, before Prefect takes its seconds to start.
    project = Project.load(config_dir)
    wanted = project.archive(name).with_overrides(from_=from_, to=to, older_than=older_than, purge=purge)

    from tidegate.call_flow import call_flow
    from tidegate.show.run import show_run
    from tidegate.whoami import whoami

    deletes = wanted.purge.mode != "none"
    try:
        report: RunReport = call_flow(
            output,
            "flows.archive:archive_table",
            archive=name,
            from_=from_,
            to=to,
            older_than=older_than,
            purge=purge,
            dry_run=dry_run,
            approve_as=whoami() if yes else None,
            config_dir=config_dir,
        )
    except RunFailed as failure:
        if not output.as_json:
            show_run(output, failure.report, project.settings, wanted, deletes=deletes)
        raise
    output.give(report.as_json(), lambda _: show_run(output, report, project.settings, wanted, deletes=deletes))
