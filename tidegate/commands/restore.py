"""`tidegate restore`: put archived rows back."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.moments import MOMENT
from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.restore import RestoreReport


@command(
    "restore",
    "Put archived rows back, and prove them equal.",
    examples=[
        "tidegate restore flights --from 2013-02-01 --to 2013-03-01 --into public.flights_february",
        "tidegate restore flights --key 17 --key 42 --on-conflict skip",
    ],
)
@click.argument("name")
@click.option("--from", "from_", type=MOMENT, metavar="TIME", help="Rows from here on.")
@click.option("--to", type=MOMENT, metavar="TIME", help="Rows before this moment.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="The row with this key; may be given several times.")
@click.option("--into", metavar="TABLE", help="The table that receives the rows.  [default: the archive's own]")
@click.option(
    "--on-conflict",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="If the table holds a row with the same key: restore nothing, or all but that row.",
)
def restore(
    output: Output,
    config_dir: Path,
    *,
    name: str,
    from_: datetime | None,
    to: datetime | None,
    keys: tuple[str, ...],
    into: str | None,
    on_conflict: str,
) -> None:
    """Put archived rows of NAME back into its table, or into another one, and prove them equal.

    All rows or none, in one transaction. The lake keeps them. A KEY of several columns is a line of CSV: 7,abc
    """
    from schemas.project import Project
    from schemas.restore import RestoreRequest

    # What is wrong with the options is said at once, before Prefect takes its seconds to start.
    Project.load(config_dir).archive(name)
    RestoreRequest.of(from_=from_, to=to, keys=keys or None, into=into, on_conflict=on_conflict)

    from tidegate.call_flow import call_flow
    from tidegate.show.restore import show_restore

    report: RestoreReport = call_flow(
        output,
        "flows.restore:restore_table",
        archive=name,
        from_=from_,
        to=to,
        keys=list(keys) or None,
        into=into,
        on_conflict=on_conflict,
        config_dir=config_dir,
    )
    output.give(report.as_json(), lambda console: show_restore(console, report))
