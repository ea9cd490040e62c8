"""Prints what proving a lake found. What is wrong is told by the error, `AuditFailed`."""

from rich.console import Console

from schemas.audit import AuditReport
from tidegate.show.labels import size_text


def show_audit(console: Console, report: AuditReport) -> None:
    """Print a line for each dataset."""
    console.print(f"Lake: {report.lake}")
    if not report.datasets:
        console.print("No dataset is in it yet.")
    for audit in report.datasets:
        size = size_text(audit.size_bytes)
        whole = (
            f"{audit.dataset}: {audit.generations:,} generations, {audit.rows:,} rows, {audit.files:,} files, {size}"
        )
        if audit.findings:
            console.print(f"{whole}: not all as the source attested. Findings: {len(audit.findings)}", style="bold red")
        else:
            console.print(f"{whole}: all as the source attested.", style="green")
        if audit.removed_files:
            console.print(f"  {audit.removed_files:,} files were removed from the lake on purpose.")
        if audit.orphans:
            console.print(
                f"  {len(audit.orphans):,} files belong to no committed generation; the next run of the archive "
                "removes them."
            )
