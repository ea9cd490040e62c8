"""Prints what became of generations that were to be proven and purged."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.purge_outcome import PurgeOutcome
from tidegate.show.labels import number

_COUNTS = ("deleted", "changed_since", "already_gone", "held")


def outcomes_as_json(archive: str, outcomes: Sequence[PurgeOutcome]) -> dict[str, Any]:
    """Return them as plain JSON values, with totals."""
    return {
        "archive": archive,
        "state": "failed" if any(outcome.error for outcome in outcomes) else "done",
        "totals": {name: sum(getattr(outcome, name) for outcome in outcomes) for name in _COUNTS},
        "generations": [outcome.model_dump(mode="json") for outcome in outcomes],
    }


def show_outcomes(console: Console, archive: str, outcomes: Sequence[PurgeOutcome]) -> None:
    """Print a line for each generation, and the errors below."""
    if not outcomes:
        console.print(f"Every committed generation of {archive} is purged; there was nothing to do.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("manifest")
    table.add_column("state")
    for name in (*_COUNTS, "seconds"):
        table.add_column(name.replace("_", " "), justify="right")
    for outcome in outcomes:
        table.add_row(
            outcome.manifest.split("/manifests/")[-1],
            "failed" if outcome.error else "purged",
            *(number(getattr(outcome, name)) for name in _COUNTS),
            f"{outcome.seconds:.1f}",
            style="bold red" if outcome.error else None,
        )
    console.print(table)
    for outcome in outcomes:
        if outcome.error:
            console.print(f"{outcome.manifest}: {outcome.error}")
