"""Files of a folder, a bucket or an SFTP server into the raw layer: each that is new, once, whatever becomes of others.

The order for each file: fetch, hash, read, prove, gate, commit, read back, and only then move or delete. Whoever dies
in between is gone on from by the next run, from what the lake holds.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from blocks.duck import duck
from blocks.file_places.open_place import open_place
from blocks.file_places.place import FileChanged, FilePlace, LeftOut, Listing, PlacedFile
from blocks.gate import Gate, load_gate
from blocks.lake import Lake
from blocks.open_lake import open_lake
from blocks.progress import report_progress
from blocks.stop import stop_request
from blocks.table_log import ALWAYS, TableLog
from schemas.errors import (
    Busy,
    Interrupted,
    LakeError,
    ProofFailed,
    SourceError,
    SourceUnavailable,
    TidegateError,
    is_transient,
)  # fmt: skip
from schemas.ingest_report import FileReport, FileState, TableReport
from schemas.manifest import Manifest
from tasks.ingest.after_file import Aftermath, after_file
from tasks.ingest.check_types import check_types
from tasks.ingest.file_faults import file_faults
from tasks.ingest.file_records import FileLog
from tasks.ingest.files_report import files_report
from tasks.ingest.files_request import Request, definition_of, is_pending, known_files, listed
from tasks.ingest.finished_files import finished_files
from tasks.ingest.read_file import ReadFile, read_file
from tasks.ingest.select_input import as_query
from tasks.ingest.store_file import FileToStore, ReadAgain, newest_with_columns, store_file

_NAME = "name"  # stands for the version of a file that cannot be touched for its name
_TRIES = 3  # of a file whose place could not be reached, and of a table whose columns others change
_PAUSE_S = 2.0
_FAILED_BEFORE = "failed before, and is not tried again: tidegate files retry"


def ingest_files(request: Request) -> TableReport:
    """Read the files of a table that the lake does not hold yet, or say which that would be.

    A file that fails does not keep the others from being read, and is not tried again until it changes, or what the
    configuration says of its table, or somebody runs `tidegate files retry`. With `full`, all files that are there are
    read once more, as new versions in the place of what the lake has of them.

    Raises:
        ConfigError: `select`, `types` or the gate are wrong; nothing was touched.
        SourceError: The place is not there, refuses us, or is not the one that it should be.
        SourceUnavailable, LakeUnavailable: Trying again can help.
        LakeError: There is no room in the lake, or it may not be written.
        Interrupted: Somebody asked the work to stop.
    """
    started = time.monotonic()
    settings, entry = request.project.settings, request.entry
    select = None if entry.select is None else as_query(entry.select, request.label)
    gate = load_gate(entry.gate) if entry.gate else None
    check_types(entry.types, request.label)
    lake = open_lake(settings.lake, settings.temp_dir)
    with open_place(request.source) as place:
        listing = listed(request, place)
        log = TableLog(lake, request.dataset)
        run = _Run(request, lake, place, log, select, gate)
        reports = run.planned(listing) if request.dry_run else run.ingest(listing)
    return files_report(request, reports, run.drift, run.schema_version, run.last_manifest, time.monotonic() - started)


class _Run:
    """One run over the files of a table."""

    def __init__(
        self, request: Request, lake: Lake, place: FilePlace, log: TableLog, select: str | None, gate: Gate | None
    ) -> None:
        self._request, self._lake, self._place, self._log = request, lake, place, log
        self._select, self._gate = select, gate
        self._definition = definition_of(request)
        self._known = known_files(request, lake, log)
        self._records = FileLog(request, lake, self._definition)
        self.drift: list[str] = []
        self.schema_version = 0
        self.last_manifest: str | None = None

    def planned(self, listing: Listing) -> list[FileReport]:
        """Return which files would be read."""
        return [
            FileReport(path=file.path, state=FileState.PLANNED, bytes=file.size_bytes)
            for file in listing.files
            if self._request.full or is_pending(self._known, file, self._definition)
        ]

    def ingest(self, listing: Listing) -> list[FileReport]:
        """Read what is new, and bring to its end what an earlier run has begun."""
        self._log.sweep()
        reports = [report for one in listing.left_out if (report := self._refused_name(one))]
        new: list[PlacedFile] = []
        for file in listing.files:
            stored = self._known.stored(file)
            if stored is not None and not self._request.full:
                reports += self._finished(file, stored)
            elif self._request.full or is_pending(self._known, file, self._definition):
                new.append(file)
            elif failed := self._known.failure(file.path, file.identity, self._definition):
                reports.append(_failed_before(file.path, failed.error))
        source = self._request.source
        ready, unfinished = finished_files(
            self._place, new, settle_s=source.settle_s, marker=source.marker, own_clock=source.type != "sftp"
        )
        reports += [
            FileReport(path=path, state=FileState.UNFINISHED, note=why) for path, why in sorted(unfinished.items())
        ]
        return reports + self._read_all(ready)

    def _read_all(self, files: Sequence[PlacedFile]) -> list[FileReport]:
        reports: list[FileReport] = []
        with stop_request() as stop, duck(self._request.project.settings) as self._duck:
            for number, file in enumerate(files):
                if stop.reason:
                    raise Interrupted(
                        f"{self._request.label}: stopped by {stop.reason}, after {number} of {len(files)} files.",
                        state="What was read so far is in the lake.",
                        next_step="Run the same command again; it goes on from there.",
                    )
                report_progress("ingest", ALWAYS, number, len(files), what=self._request.dataset, unit="files")
                if (report := self._tried(file)) is not None:
                    reports.append(report)
            if files:
                report_progress("ingest", ALWAYS, len(files), len(files), what=self._request.dataset, unit="files")
        return reports

    def _tried(self, file: PlacedFile) -> FileReport | None:
        """Read a file; again if its place could not be reached, as that often passes."""
        for attempt in range(1, _TRIES + 1):
            self._records.begin()
            try:
                return self._read(file)
            except FileChanged:
                if self._place.look(file.path) is None:
                    return None  # somebody took it away: another run, say
                return FileReport(path=file.path, state=FileState.UNFINISHED, note="it changed while it was read")
            except (LakeError, Interrupted):
                raise  # the next file would fare no better
            except TidegateError as error:
                if isinstance(error, SourceUnavailable) and attempt < _TRIES:
                    time.sleep(_PAUSE_S * attempt)
                    continue
                final = not is_transient(error) and not isinstance(error, Busy)
                return self._records.failed(file.path, file.identity, error, size_bytes=file.size_bytes, final=final)
        raise AssertionError("unreachable: the last attempt returns")

    def _read(self, file: PlacedFile) -> FileReport | None:
        for _ in range(_TRIES):
            with self._lake.scratch() as scratch:
                try:
                    return self._read_into(file, scratch)
                except ReadAgain:
                    continue
        raise Busy(
            f"{file.path}: other runs change the columns of {self._request.dataset} all the time.",
            state="Nothing of this file is in the lake.",
            next_step="Run the same command again.",
        )

    def _read_into(self, file: PlacedFile, scratch: Path) -> FileReport | None:
        began, full = time.monotonic(), self._request.full
        read: ReadFile | None = None
        with self._place.fetch(file, scratch) as local, file_faults(file.path):
            with local.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            has_it = None if full else self._known.with_bytes(file.path, sha256)
            # Only a name that is new in the table can be a duplicate: a file that has changed is a new version.
            is_new = self._known.version(file.path) is None or self._request.source.after != "keep"
            twin = self._known.twin(sha256) if is_new and not full else None
            if has_it is None and twin is None:
                at = datetime.now(UTC)
                newest = newest_with_columns(self._log)
                with self._duck.cursor() as connection:
                    connection.execute("SET TimeZone = 'UTC'")  # which a cursor does not take over
                    read = read_file(
                        connection, self._request, local, file.path,
                        newest=newest, select=self._select, gate=self._gate, at=at, scratch=scratch,
                    )  # fmt: skip
        if read is None:
            return self._nothing_new(file, has_it, twin)
        what = FileToStore(file, sha256, at, time.monotonic() - began, full, is_new)
        manifest, ours = store_file(self._request, self._log, self._known, what, read, self._gate, scratch)
        if not ours:
            return self._nothing_new(file, manifest if manifest.table == file.path else None, manifest)
        return self._stored(file, manifest, read)

    def _stored(self, file: PlacedFile, manifest: Manifest, read: ReadFile) -> FileReport:
        self.last_manifest, self.schema_version = manifest.path, read.schema.version
        self.drift += read.schema.drift
        aftermath = self._after(file, manifest)
        note = "; ".join([*read.notes, *filter(None, [aftermath.note])])
        return self._records.done(file, manifest, read, note, aftermath)

    def _nothing_new(self, file: PlacedFile, has_it: Manifest | None, twin: Manifest | None) -> FileReport | None:
        """Note that the lake has all of a file: under its own name, or under another one."""
        if has_it is not None:
            self._records.nothing_new(file, has_it)
            reports = self._finished(file, has_it)
            return reports[0] if reports else None
        assert twin is not None
        self._records.nothing_new(file, twin)
        return FileReport(
            path=file.path,
            state=FileState.DUPLICATE,
            bytes=file.size_bytes,
            note=f"has the same content as {twin.table}, and was left alone",
        )

    def _finished(self, file: PlacedFile, stored: Manifest) -> list[FileReport]:
        """Do what is to be done with a file whose rows are in the lake, if it is still there."""
        self._records.begin()
        if self._request.source.after == "keep":
            return []
        aftermath = self._after(file, stored)
        if aftermath.error:
            self._records.nothing_new(file, stored, aftermath.error)
            error, exit_code = aftermath.error, aftermath.exit_code
            return [FileReport(path=file.path, state=FileState.FAILED, error=error, exit_code=exit_code)]
        if not aftermath.note:
            return []
        self._records.nothing_new(file, stored)
        return [FileReport(path=file.path, state=FileState.DONE, note=aftermath.note)]

    def _after(self, file: PlacedFile, stored: Manifest) -> Aftermath:
        try:
            return after_file(self._request, self._lake, self._place, file, stored)
        except SourceError as error:
            return Aftermath(error=f"Its rows are in the lake, but its place could not be asked: {error.what}")
        except ProofFailed as error:
            return Aftermath(error=str(error), exit_code=error.exit_code)

    def _refused_name(self, one: LeftOut) -> FileReport | None:
        self._records.begin()
        if failed := self._known.failure(one.name, _NAME, self._definition):
            return _failed_before(one.name, failed.error)
        error = TidegateError(
            f"{one.name!r} was left out for its name: {one.reason}.",
            state="The file was not touched.",
            next_step="Have it given another name.",
        )
        return self._records.failed(one.name, _NAME, error)


def _failed_before(path: str, error: str | None) -> FileReport:
    return FileReport(path=path, state=FileState.FAILED, error=error, note=_FAILED_BEFORE, known=True)
