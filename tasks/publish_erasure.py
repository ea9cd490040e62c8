"""Shows what an erasure or an expiry did as an artifact in the Prefect UI: counts, and no value of any row."""

from prefect.artifacts import create_table_artifact

from schemas.erasure import ErasureReport
from schemas.expiry import ExpiryReport


def publish_erasure(report: ErasureReport) -> ErasureReport:
    """Draw the generations as an artifact of the flow run, and return the report."""
    rows = [
        {"window": str(one.window), "generation": one.generation, "rows": one.rows, "quarantined": one.quarantined}
        for one in report.generations
    ]
    create_table_artifact(
        table=rows,
        key=f"erase-{report.archive.replace('_', '-')}",
        description=f"{report.totals['rows']} rows of {report.archive} erased: {report.reason or 'no reason given'}",
    )
    return report


def publish_expiry(report: ExpiryReport) -> ExpiryReport:
    """Draw the generations whose time is over as an artifact of the flow run, and return the report."""
    rows = [
        {
            "window": str(one.window),
            "generation": one.generation,
            "outcome": one.outcome.value,
            "rows": one.rows,
            "held_by": ", ".join(one.held_by),
        }
        for one in report.generations
    ]
    create_table_artifact(
        table=rows or [report.totals],
        key=f"expire-{report.archive.replace('_', '-')}",
        description=f"{report.totals['rows']} rows of {report.archive} expired; retention {report.retention or 'none'}",
    )
    return report
