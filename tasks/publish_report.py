"""Shows a run's report where people look: in the log, and as a table artifact in the Prefect UI."""

from prefect.artifacts import create_table_artifact

from blocks.run_log import log_event
from schemas.report import RunReport


def publish_report(report: RunReport) -> RunReport:
    """Log the totals, draw the windows as an artifact of the flow run, and return the report."""
    log_event("archive_done", archive=report.archive, **report.totals)
    rows = [window.model_dump(mode="json", exclude={"error"}) for window in report.windows]
    if rows:
        create_table_artifact(
            table=rows, key=f"archive-{report.archive.replace('_', '-')}", description=f"Windows of {report.archive}"
        )
    return report
