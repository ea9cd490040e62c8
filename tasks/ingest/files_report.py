"""Puts together what became of the files of a table."""

from collections.abc import Sequence

from schemas.exit_codes import gravest
from schemas.ingest_report import FileReport, FileState, TableReport, TableState
from tasks.ingest.files_request import Request

_MOST_NAMED = 10


def files_report(
    request: Request,
    files: Sequence[FileReport],
    drift: Sequence[str],
    schema_version: int,
    manifest: str | None,
    seconds: float,
) -> TableReport:
    """Return the report of a table: failed if a file of it failed in this run, and done if one is new in the lake."""
    failed = [file for file in files if file.state is FileState.FAILED and not file.known]
    rows, quarantined = sum(file.rows for file in files), sum(file.quarantined for file in files)
    if request.dry_run:
        state = TableState.PLANNED
    elif failed:
        state = TableState.FAILED
    else:
        done = any(file.state is FileState.DONE for file in files)
        state = TableState.DONE if done else TableState.UNCHANGED
    return TableReport(
        source=request.source.name,
        table=request.entry.folder,
        dataset=request.dataset,
        state=state,
        mode="full" if request.full else "incremental",
        since="",  # files are new or not; there is no point in time
        read=sum(file.read for file in files),
        rows=rows,
        quarantined=quarantined,
        bytes=0 if request.dry_run else sum(file.bytes for file in files if file.rows),
        seconds=round(seconds, 3),
        schema_version=schema_version,
        drift=tuple(dict.fromkeys(drift)),
        manifest=manifest,
        files=tuple(sorted(files, key=lambda file: file.path)),
        error=_reasons(failed) if failed else None,
        exit_code=gravest(file.exit_code or 1 for file in failed),
    )


def _reasons(failed: Sequence[FileReport]) -> str:
    lines = [str(file.error) if file.path in str(file.error) else f"{file.path}: {file.error}" for file in failed]
    more = (
        f"\n  and {len(lines) - _MOST_NAMED} more: tidegate files --status failed" if len(lines) > _MOST_NAMED else ""
    )
    many = f"{len(failed)} files" if len(failed) > 1 else "1 file"
    return f"{many} failed:\n  " + "\n  ".join(lines[:_MOST_NAMED]) + more
