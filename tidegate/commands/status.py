"""`tidegate status`: what is in the lake, as the ledger has it. Asks no source."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output


@command(
    "status",
    "Show what is archived and purged.",
    examples=["tidegate status", "tidegate status flights", "tidegate status --json"],
)
@click.argument("name", required=False)
def status(output: Output, config_dir: Path, *, name: str | None) -> None:
    """Show what is archived, proven and purged: all datasets, or the windows of the archive or dataset NAME.

    Only the lake's own records are read: no data file, and no source.
    """
    from blocks.ledger import datasets
    from tidegate.dataset_status import dataset_status
    from tidegate.project_lake import project_lake
    from tidegate.show.plans import say_what_waits
    from tidegate.show.status import show_datasets, show_not_verified, show_windows

    with project_lake(output, config_dir) as place:
        if name is None:
            found = [dataset_status(place.lake, dataset) for dataset in datasets(place.lake)]
            body = {"lake": place.lake.url, "datasets": [status.as_json() for status in found]}
            output.give(body, lambda console: show_datasets(console, place.lake.url, found))
            if not output.as_json:
                show_not_verified(output.console, found)
                say_what_waits(output.console, output, (plan for status in found for plan in status.waiting))
            return
        one = dataset_status(place.lake, place.dataset(name))
        body = {"lake": place.lake.url, **one.as_json(), "windows": [window.as_json() for window in one.windows]}
        output.give(body, lambda console: show_windows(console, place, one))
        if not output.as_json:
            show_not_verified(output.console, [one])
            say_what_waits(output.console, output, one.waiting)
