"""`python flows/audit_lake.py`: what `tidegate verify` does, as a flow, for one archive or the whole lake."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output


@command(
    "audit-lake",
    "Prove the lake once more.",
    examples=["python flows/audit_lake.py", "python flows/audit_lake.py flights --json"],
)
@click.argument("name", required=False)
def audit_lake(output: Output, config_dir: Path, *, name: str | None) -> None:
    """Prove every committed generation once more, against its manifest: of the archive NAME, or of the whole lake.

    Nothing is asked of any source. Exits with 3 if anything is not as it should be.
    """
    from schemas.audit import AuditFailed, AuditReport
    from schemas.project import Project
    from tidegate.call_flow import call_flow
    from tidegate.show.audit import show_audit

    # What is wrong with the configuration is said at once, before Prefect takes its seconds to start.
    if name is None:
        Project.load_settings(config_dir)
    else:
        Project.load(config_dir).archive(name)
    try:
        report: AuditReport = call_flow(output, "flows.audit_lake:audit_lake", archive=name, config_dir=config_dir)
    except AuditFailed as failure:
        if not output.as_json:
            show_audit(output.console, failure.report)
        raise
    output.give(report.as_json(), lambda console: show_audit(console, report))
