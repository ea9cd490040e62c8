"""Shows a run's report where people look: in the log, and as an artifact in the Prefect UI."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from blocks.run_log import log_event
from schemas.audit import AuditFailed, AuditReport
from schemas.build_report import BuildFailed, BuildReport
from schemas.ingest_report import IngestFailed, IngestReport
from schemas.publish_report import PublishFailed, PublishReport
from schemas.report import RunFailed, RunReport
from schemas.restore import RestoreReport


def publish_report(report: RunReport) -> RunReport:
    """Log the totals, draw the windows as an artifact of the flow run, and return the report.

    Raises:
        RunFailed: A window failed; the error carries the report.
    """
    log_event("archive_done", archive=report.archive, **report.totals)
    rows = [window.model_dump(mode="json", exclude={"error"}) for window in report.windows]
    if rows:
        create_table_artifact(
            table=rows, key=f"archive-{report.archive.replace('_', '-')}", description=f"Windows of {report.archive}"
        )
    if report.state == "failed":
        raise RunFailed(report)
    return report


def publish_ingest(report: IngestReport) -> IngestReport:
    """Log the totals, draw the tables as an artifact of the flow run, and return the report.

    Raises:
        IngestFailed: A table failed; the error carries the report.
    """
    log_event("ingest_done", tables=len(report.tables), **report.totals)
    rows = [table.model_dump(mode="json", exclude={"error"}) for table in report.tables]
    if rows:
        create_table_artifact(table=rows, key="ingest", description="Tables that were read into the raw layer")
    if report.state == "failed":
        raise IngestFailed(report)
    return report


def publish_published(report: PublishReport) -> PublishReport:
    """Log the totals, draw the published tables as an artifact of the flow run, and return the report.

    Raises:
        PublishFailed: A table failed; the error carries the report.
    """
    log_event("publish_done", **report.totals)
    rows = [table.model_dump(mode="json", exclude={"error"}) for table in report.tables]
    if rows:
        create_table_artifact(table=rows, key="publish", description="Tables that were published")
    if report.state == "failed":
        raise PublishFailed(report)
    return report


def publish_build(report: BuildReport) -> BuildReport:
    """Log the totals, draw the pipelines and what their checks found as artifacts, and return the report.

    Raises:
        BuildFailed: A pipeline failed; the error carries the report.
    """
    log_event("build_done", pipelines=len(report.pipelines), **report.totals)
    left_out = {"error", "checks", "statistics", "lineage", "sql"}
    rows = [pipeline.model_dump(mode="json", exclude=left_out) for pipeline in report.pipelines]
    create_table_artifact(table=rows, key="build", description="Pipelines that were run")
    checks = [
        {"pipeline": pipeline.pipeline, **check.model_dump(mode="json")}
        for pipeline in report.pipelines
        for check in pipeline.checks
    ]
    if checks:
        create_table_artifact(table=checks, key="quality-checks", description="What quality checks found")
    if report.state == "failed":
        raise BuildFailed(report)
    return report


def publish_restore(report: RestoreReport) -> RestoreReport:
    """Draw what a restore did as an artifact of the flow run, with its hint, and return the report."""
    lines = [
        f"- {name}: {value}" for name, value in report.as_json().items() if name != "hint" and value not in ([], "")
    ]
    create_markdown_artifact(
        markdown="\n".join([f"# {report.archive} restored into {report.table}", "", *lines, "", report.hint]),
        key=f"restore-{report.archive.replace('_', '-')}",
        description=f"{report.rows} rows restored into {report.table}",
    )
    return report


def publish_audit(report: AuditReport) -> AuditReport:
    """Draw all findings as an artifact of the flow run, and return the report.

    Raises:
        AuditFailed: There are findings; a flow run that found damage must not look like one that did not.
    """
    rows = [finding.model_dump(mode="json") for finding in report.findings] or [report.totals]
    create_table_artifact(table=rows, key="audit-lake", description=f"Audit of {report.lake}")
    if report.findings:
        raise AuditFailed(report)
    return report
