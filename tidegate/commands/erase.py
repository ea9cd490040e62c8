"""`tidegate erase`: forget rows for good."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.erasure import ErasureReport


@command(
    "erase",
    "Erase rows from the lake for good.",
    examples=[
        "tidegate erase flights --key 17 --key 42 --dry-run",
        'tidegate erase flights --key 17 --reason "request 2024-113" --yes',
        "tidegate erase flights --where \"carrier = 'C3' AND dest = 'BOS'\" --dry-run",
    ],
)
@click.argument("name")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="The row with this key; may be given several times.")
@click.option("--where", metavar="SQL", help="Rows for which this condition holds, in DuckDB's SQL.")
@click.option("--reason", metavar="TEXT", help="Why. It is stored for good: name no person in it.")
@click.option("--dry-run", is_flag=True, help="Only count the rows, by generation and file; nothing is written.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--without-source", is_flag=True, help="The source is gone: do not ask it whether it still holds them.")
def erase(
    output: Output,
    config_dir: Path,
    *,
    name: str,
    keys: tuple[str, ...],
    where: str | None,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    without_source: bool,
) -> None:
    """Erase archived rows of NAME: all versions of them, in all generations and in quarantine, all at once.

    A condition is one expression over the archived columns; a row goes with all its versions if one of them fits. Only
    files that hold such rows are written again. Rows that the source still holds, or that a legal hold covers, are
    refused. Neither keys nor conditions are stored anywhere, in Prefect either; they may stay in your shell's history.
    The files that held the rows leave the lake after erase_grace (settings.yaml). A KEY of several columns is a line
    of CSV: 7,abc
    """
    from schemas.erasure import ErasureRequest
    from schemas.project import Project

    project = Project.load(config_dir)
    wanted = project.archive(name)
    request = ErasureRequest.of(keys=keys or None, where=where, reason=reason)

    from tidegate.confirm import can_ask, confirm, refuse_unasked
    from tidegate.show.erasure import show_erasure

    if not (dry_run or yes or can_ask(output)):
        refuse_unasked("Rows are erased")
    if not yes:
        from tasks.erase import erase_rows
        from tidegate.prefect_for_blocks import prefect_for_blocks

        with prefect_for_blocks(output, project, wanted):
            planned = erase_rows(project, wanted, request, "dry run", dry_run=True, without_source=without_source)
        if dry_run:
            output.give(planned.as_json(), lambda console: show_erasure(console, planned, project.settings.zone))
            return
        show_erasure(output.messages, planned, project.settings.zone)
        confirm(name, "These rows will be erased for good.")

    from pydantic import SecretStr

    from tidegate.call_flow import call_flow

    report: ErasureReport = call_flow(
        output,
        "flows.erase:erase_from_lake",
        archive=name,
        keys=[SecretStr(key) for key in keys] or None,
        where=None if where is None else SecretStr(where),
        reason=reason,
        without_source=without_source,
        config_dir=config_dir,
    )
    output.give(report.as_json(), lambda console: show_erasure(console, report, project.settings.zone))
