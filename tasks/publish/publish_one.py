"""One table, or one file, from its entry in the configuration to where it is published; noted in the run log."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from blocks.ledger import datasets
from blocks.open_lake import open_lake
from blocks.run_log import log_event
from blocks.run_records import append_run_record
from schemas.errors import ConfigError, Interrupted, LakeError, TidegateError
from schemas.pipelines.publication import PostgresPublication
from schemas.project import Project
from schemas.publish_report import PublishedReport, PublishState
from schemas.run_record import RunRecord
from tasks.publish.plan_publications import Placement, chosen_publications, plan_publications
from tasks.publish.request import PublishRequest


def plan_publishing(project: Project, names: list[str] | None) -> list[Placement]:
    """Return what is to be published where: by the publications of these names, or by all.

    Raises:
        ConfigError: There is no publication, or none of a name.
        LakeError: The lake cannot be read.
    """
    chosen = chosen_publications(project, names or ())
    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    lake.check(write=False)
    return plan_publications(chosen, datasets(lake))


def publish_one(
    config_dir: Path, placement: Placement, run_id: str, *, full: bool = False, dry_run: bool = False
) -> PublishedReport:
    """Publish a dataset as a table, or datasets as a file of views, or say what would be done.

    What became of it is kept in the run log, also if it failed.

    Args:
        config_dir: The project's configuration; the database's secret is looked up there, now.
        placement: What goes where.
        run_id: Recorded in the run log.
        full: Publish it also if nothing has changed.
        dry_run: Only find out what would be done; nothing is written.

    Raises:
        TidegateError: It failed; what readers see is as it was.
    """
    if placement.refused:
        raise ConfigError(placement.refused, state="Nothing of it was published.", next_step="Correct publish.yaml.")
    project = Project.load(config_dir)
    request = PublishRequest(
        project=project,
        lake=open_lake(project.settings.lake, project.settings.temp_dir),
        publication=project.publication(placement.publication),
        placement=placement,
        run_id=run_id,
        full=full,
        dry_run=dry_run,
    )
    if dry_run:
        return _publish(request)
    started_at, began = datetime.now(UTC), time.monotonic()
    try:
        report = _publish(request)
    except Interrupted:
        raise
    except TidegateError as error:
        with suppress(LakeError):  # the error itself is told; that it cannot be noted down would hide it
            _record(request, started_at, time.monotonic() - began, error=error.what)
        raise
    report = report.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
    _record(request, started_at, report.seconds, report)
    log_event(
        "published", publication=report.publication, target=report.target, state=report.state.value, rows=report.rows
    )
    return report


def _publish(request: PublishRequest) -> PublishedReport:
    # Imported when it is needed: whoever publishes a file needs no driver of a database.
    if isinstance(request.publication, PostgresPublication):
        from tasks.publish.to_postgresql import publish_to_postgresql

        return publish_to_postgresql(request)
    from tasks.publish.to_duckdb import publish_to_duckdb

    return publish_to_duckdb(request)


def _record(
    request: PublishRequest,
    started_at: datetime,
    seconds: float,
    report: PublishedReport | None = None,
    error: str | None = None,
) -> None:
    done = report is not None and report.state is PublishState.DONE
    record = RunRecord(
        id=uuid4().hex[:12],
        run_id=request.run_id,
        job="publish",
        name=request.name,
        state="failed" if report is None else "done" if done else "unchanged",
        started_at=started_at,
        seconds=round(seconds, 3),
        read=report.rows if report else 0,
        rows=(report.inserted + report.updated if report.action == "upsert" else report.rows) if report and done else 0,
        error=error,
        inputs=request.placement.datasets,
    )
    append_run_record(request.lake, record)
