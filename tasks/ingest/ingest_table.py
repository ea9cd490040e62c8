"""One table of one source, whatever kind that is, from its entry in the configuration into the raw layer."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from blocks.open_lake import open_lake
from blocks.run_records import append_run_record
from schemas.errors import ConfigError, DriftRefused, Interrupted, LakeError, TidegateError
from schemas.ingest_report import TableReport
from schemas.project import Project
from schemas.run_record import RunRecord
from tasks.ingest.request import IngestRequest

# Imported when it is needed: a kind of source brings libraries of its own.
_INGEST = {
    "postgresql": "tasks.ingest.database:ingest_database",
    "mysql": "tasks.ingest.database:ingest_database",
    "sqlite": "tasks.ingest.database:ingest_database",
    "sqlserver": "tasks.ingest.database:ingest_database",
    "files": "tasks.ingest.files:ingest_files",
    "sftp": "tasks.ingest.files:ingest_files",
    "api": "tasks.ingest.api:ingest_api",
}


def ingest_table(
    config_dir: Path, source: str, table: str, run_id: str, *, full: bool = False, dry_run: bool = False
) -> TableReport:
    """Read a table, file or resource into the raw layer, or say what there would be to read.

    What became of it is kept in the run log, also if it failed.

    Args:
        config_dir: The project's configuration; the source's secret is looked up there, now.
        source: Name of the source.
        table: The table's folder.
        run_id: Recorded in every row and in the manifest.
        full: Read it as a whole, whatever the configuration says.
        dry_run: Only say what would be read.

    Raises:
        TidegateError: It failed as a whole. Nothing half-written is visible.
    """
    project = Project.load(config_dir)
    configured = project.source(source)
    entry = next(entry for entry in configured.tables if entry.folder == table)
    request: IngestRequest[Any, Any] = IngestRequest(
        project=project, source=configured, entry=entry, run_id=run_id, full=full, dry_run=dry_run
    )
    module, _, name = _INGEST[configured.type].partition(":")
    ingest: Callable[[IngestRequest[Any, Any]], TableReport] = getattr(import_module(module), name)
    if dry_run:
        return ingest(request)
    started_at, began = datetime.now(UTC), time.monotonic()
    try:
        report = ingest(request)
    except Interrupted:
        raise
    except TidegateError as error:
        if not isinstance(error, ConfigError) or isinstance(error, DriftRefused):  # after which nothing is touched
            with suppress(LakeError):  # the error itself is told; that it cannot be noted down would hide it
                _record(request, started_at, time.monotonic() - began, error=error.what)
        raise
    _record(request, started_at, time.monotonic() - began, report)
    return report


def _record(
    request: IngestRequest[Any, Any],
    started_at: datetime,
    seconds: float,
    report: TableReport | None = None,
    error: str | None = None,
) -> None:
    settings = request.project.settings
    done = report.model_dump(include={"read", "rows", "bytes", "quarantined", "manifest", "drift"}) if report else {}
    record = RunRecord(
        id=uuid4().hex[:12],
        run_id=request.run_id,
        job="ingest",
        name=f"{request.source.name}.{request.entry.folder}",
        dataset=request.dataset,
        state="failed" if report is None or report.error else "done" if report.rows or report.manifest else "unchanged",
        started_at=started_at,
        seconds=round(seconds, 3),
        error=error or (report.error if report else None),
        **done,
    )
    append_run_record(open_lake(settings.lake, settings.temp_dir), record)
