"""Notes in the run log what became of each file of a run, and says it in the run's report."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

from blocks.file_places.place import PlacedFile
from blocks.lake import Lake
from blocks.run_log import log_event
from blocks.run_records import append_run_record
from schemas.errors import LakeError, TidegateError
from schemas.ingest_report import FileReport, FileState
from schemas.manifest import Manifest
from schemas.run_record import RunRecord, RunState
from tasks.ingest.after_file import Aftermath
from tasks.ingest.files_request import Request
from tasks.ingest.read_file import ReadFile


class FileLog:
    """The records of one run over the files of a table.

    Args:
        request: Of which table.
        lake: Whose run log it is.
        definition: What tells what the configuration says of the table from what it said before.
    """

    def __init__(self, request: Request, lake: Lake, definition: str) -> None:
        self._request, self._lake, self._definition = request, lake, definition
        self._exit_codes: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """Take the time for the next file."""
        self._at, self._began = datetime.now(UTC), time.monotonic()

    def done(self, file: PlacedFile, manifest: Manifest, read: ReadFile, note: str, aftermath: Aftermath) -> FileReport:
        """Note that a file's rows are in the lake, and what became of it after that."""
        error = aftermath.error
        seconds = time.monotonic() - self._began
        log_event("file_ingested", dataset=manifest.dataset, file=file.path, rows=read.rows, seconds=f"{seconds:.1f}")
        # It is committed: that this cannot be noted must not make it look as if it were not.
        with suppress(LakeError):
            self._append(
                "done", file.path, file.identity, error=error, read=read.records, rows=read.rows,
                bytes=file.size_bytes, quarantined=read.quarantined, manifest=manifest.path,
                drift=read.schema.drift, checks=read.checks,
            )  # fmt: skip
        return FileReport(
            path=file.path,
            state=FileState.FAILED if error else FileState.DONE,
            read=read.records,
            rows=read.rows,
            quarantined=read.quarantined,
            bytes=manifest.size_bytes,
            seconds=round(seconds, 3),
            error=error,
            exit_code=aftermath.exit_code if error else 0,
            note=note,
        )

    def nothing_new(self, file: PlacedFile, has_it: Manifest, error: str | None = None) -> None:
        """Note that a generation has all of a file, so that it is not fetched again to find that out."""
        self._append("unchanged", file.path, file.identity, bytes=file.size_bytes, manifest=has_it.path, error=error)

    def failed(
        self, path: str, version: str, error: TidegateError, *, size_bytes: int = 0, final: bool = True
    ) -> FileReport:
        """Note that a file failed.

        Args:
            path: Its path.
            version: What tells it from a later one.
            error: Why.
            size_bytes: Its size.
            final: Whether it is not to be tried again as long as nothing changes.
        """
        definition = self._definition if final else None
        self._append("failed", path, version, error=str(error), bytes=size_bytes, definition=definition)
        return FileReport(
            path=path,
            state=FileState.FAILED,
            bytes=0,
            seconds=round(time.monotonic() - self._began, 3),
            error=error.what,
            exit_code=error.exit_code,
            note="" if final else "the next run tries it again",
        )

    def _append(self, state: RunState, path: str, version: str, **what: object) -> None:
        record = RunRecord.model_validate(
            {
                "id": uuid4().hex[:12],
                "run_id": self._request.run_id,
                "job": "ingest",
                "name": f"{self._request.source.name}.{self._request.entry.folder}",
                "dataset": self._request.dataset,
                "state": state,
                "started_at": self._at,
                "seconds": round(time.monotonic() - self._began, 3),
                "file": path,
                "file_version": version,
                **what,
            }
        )
        append_run_record(self._lake, record)
