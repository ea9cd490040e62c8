"""One pipeline of a run, from its entry in the configuration to its record in the run log."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from blocks.lake import Lake
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from blocks.run_records import append_run_record
from schemas.build_report import ChecksRefused, PipelineReport, PipelineState
from schemas.errors import ConfigError, Interrupted, LakeError, TidegateError
from schemas.pipelines.pipeline import Pipeline
from schemas.project import Project
from schemas.run_record import RunRecord
from tasks.build.build_table import BuildRequest, build_table
from tasks.build.shape import NOTHING_BUILT

_STATES = {PipelineState.DONE: "done", PipelineState.UNCHANGED: "unchanged"}


def build_pipeline(
    config_dir: Path,
    pipeline: str,
    run_id: str,
    *,
    full: bool = False,
    dry_run: bool = False,
    planned: Sequence[str] = (),
) -> PipelineReport:
    """Build the table of a pipeline, or say what there would be to build.

    What became of it is kept in the run log, also if it failed.

    Args:
        config_dir: The project's configuration.
        pipeline: Its name.
        run_id: Recorded in the manifest.
        full: Build it though nothing has changed.
        dry_run: Only say what would be done.
        planned: Of a dry run: datasets that it would build before this one.

    Raises:
        TidegateError: It failed. Nothing half-built is visible.
    """
    project = Project.load(config_dir)
    configured = project.pipeline(pipeline)
    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    request = BuildRequest(
        project=project,
        pipeline=configured,
        lake=lake,
        run_id=run_id,
        full=full,
        dry_run=dry_run,
        planned=tuple(planned),
    )
    if dry_run:
        return build_table(request)
    started_at, began = datetime.now(UTC), time.monotonic()
    try:
        with machine_errors(f"{configured.label}: cannot be built", NOTHING_BUILT):
            report = build_table(request)
    except Interrupted:
        raise
    except TidegateError as error:
        if not isinstance(error, ConfigError):  # after which nothing is touched
            with suppress(LakeError):  # the error itself is told; that it cannot be noted down would hide it
                _record(lake, configured, run_id, started_at, time.monotonic() - began, error=error)
        raise
    _record(lake, configured, run_id, started_at, time.monotonic() - began, report)
    return report


def _record(
    lake: Lake,
    pipeline: Pipeline,
    run_id: str,
    started_at: datetime,
    seconds: float,
    report: PipelineReport | None = None,
    error: TidegateError | None = None,
) -> None:
    kept = {"read", "rows", "bytes", "quarantined", "manifest", "inputs", "checks", "statistics", "lineage"}
    done = {name: getattr(report, name) for name in kept} if report else {}
    if isinstance(error, ChecksRefused):
        done = {"checks": error.checks}
    record = RunRecord(
        id=uuid4().hex[:12],
        run_id=run_id,
        job="build",
        name=pipeline.name,
        dataset=pipeline.dataset,
        state="failed" if report is None else _STATES[report.state],
        started_at=started_at,
        seconds=round(seconds, 3),
        error=error.what if error else None,
        **done,
    )
    append_run_record(lake, record)
