"""`tidegate verify`: prove once more that the lake holds what the sources attested. Reads the lake only."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output


@command(
    "verify",
    "Prove once more that the lake holds what was attested.",
    examples=["tidegate verify flights", "tidegate verify flights --json"],
)
@click.argument("name")
def verify(output: Output, config_dir: Path, *, name: str) -> None:
    """Re-read everything archived of the archive or dataset NAME, and compare it with what the source attested.

    Every committed generation: its files there, size and SHA-256 right, every row's digest, keys unique. Nothing is
    asked of the source. Exits with 3 if anything is not as it should be.
    """
    from schemas.audit import AuditFailed
    from tasks.audit import audit_datasets
    from tidegate.project_lake import project_lake
    from tidegate.show.audit import show_audit
    from tidegate.show.progress_bars import progress_bars

    with project_lake(output, config_dir) as place:
        with progress_bars(output, f"Proving {name}"):
            report = audit_datasets(place.settings, [place.dataset(name)])
        if not report.findings or not output.as_json:
            output.give(report.as_json(), lambda console: show_audit(console, report))
        if report.findings:
            raise AuditFailed(report)
