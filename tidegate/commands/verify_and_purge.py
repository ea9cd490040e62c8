"""`python flows/verify_and_purge.py`: prove committed generations, and delete what is proven."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.purge_outcome import PurgeOutcome


@command(
    "verify-and-purge",
    "Prove what is committed, and delete it.",
    examples=["python flows/verify_and_purge.py flights", "python flows/verify_and_purge.py flights --json"],
)
@click.argument("name")
@click.option("--manifest", "manifests", multiple=True, metavar="PATH", help="One generation; may be given again.")
def verify_and_purge(output: Output, config_dir: Path, *, name: str, manifests: tuple[str, ...]) -> None:
    """Prove the committed generations of NAME that no purge has finished, and delete from the source what is proven.

    Nothing new is archived. PATH is that of a manifest in the lake.
    """
    from schemas.project import Project

    Project.load(config_dir).archive(name).with_overrides(purge=True)

    from tidegate.call_flow import call_flow
    from tidegate.show.outcomes import outcomes_as_json, show_outcomes

    outcomes: list[PurgeOutcome] = call_flow(
        output,
        "flows.verify_and_purge:verify_and_purge",
        archive=name,
        manifests=list(manifests) or None,
        config_dir=config_dir,
    )
    output.give(outcomes_as_json(name, outcomes), lambda console: show_outcomes(console, name, outcomes))
    from schemas.exit_codes import gravest

    raise click.exceptions.Exit(gravest(outcome.exit_code for outcome in outcomes))
