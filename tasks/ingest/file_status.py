"""Says of each file of the sources whether it is in the lake, to be read, or has failed; and takes failures back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from blocks.file_places.names import Pattern
from blocks.file_places.open_place import open_place
from blocks.file_places.place import PlacedFile
from blocks.file_retries import append_retry
from blocks.lake import Lake
from blocks.table_log import TableLog
from schemas.errors import ConfigError, SourceError
from schemas.file_status import FileRetry, FileStatus, FileVersion, StatusOfFile
from schemas.manifest import Manifest
from schemas.project import Project
from schemas.run_record import RunRecord
from schemas.sources.files import FilesSource, SftpSource
from tasks.ingest.files_request import Request, definition_of, is_pending, known_files, listed
from tasks.ingest.known_files import KnownFiles
from tasks.ingest.request import IngestRequest


def file_tables(project: Project, source: str | None = None) -> list[Request]:
    """Return the tables of a project that are made of files: of one source, or of all.

    Raises:
        ConfigError: There is no such source, or it has no files.
    """
    sources = [project.source(source)] if source else list(project.sources)
    found = [
        IngestRequest(project=project, source=one, entry=table, run_id="")
        for one in sources
        if isinstance(one, FilesSource | SftpSource)
        for table in one.tables
    ]
    if source and not found:
        raise ConfigError(
            f"The source '{source}' is of type {sources[0].type}, and has no files.",
            state="Nothing was read.",
            next_step="Name a source of type files or sftp.",
        )
    return found


def file_statuses(
    requests: Sequence[Request], lake: Lake, only: FileStatus | None = None
) -> tuple[list[StatusOfFile], dict[str, str]]:
    """Return the state of each file, by source, table and path.

    Args:
        requests: The tables.
        lake: Where they lie.
        only: Only files of this state. What is pending is asked of the places, and of the lake alone what is not.

    Returns:
        The files; and for each source whose place could not be asked, why.
    """
    found: list[StatusOfFile] = []
    unreachable: dict[str, str] = {}
    for request in requests:
        known = known_files(request, lake, TableLog(lake, request.dataset))
        there: Mapping[str, PlacedFile] | None = None
        if only in (None, FileStatus.PENDING):
            try:
                with open_place(request.source) as place:
                    there = {file.path: file for file in listed(request, place).files}
            except (SourceError, ConfigError) as error:
                unreachable[request.source.name] = error.what
        found += _of_table(request, known, there)
    return [one for one in found if only is None or one.status is only], unreachable


def retry_files(requests: Sequence[Request], lake: Lake, patterns: Sequence[str]) -> list[StatusOfFile]:
    """Take back the failures of files, so that the next run reads these files again; return which those are.

    Args:
        requests: The tables.
        lake: Where they lie.
        patterns: Of paths, or of names alone; all that have failed if there is none.

    Raises:
        ConfigError: No file that has failed fits a pattern.
        LakeError: It may not be noted down.
    """
    wanted = [Pattern(pattern) for pattern in patterns]
    fitting: set[int] = set()
    chosen: list[StatusOfFile] = []
    for request in requests:
        known = known_files(request, lake, TableLog(lake, request.dataset))
        definition = definition_of(request)
        versions = []
        for one in _of_table(request, known, None):
            fits = [n for n, p in enumerate(wanted) if p.fits(one.path) or p.fits(one.path.rpartition("/")[2])]
            last = known.last_attempts().get(one.path)
            if one.status is not FileStatus.FAILED or last is None or (wanted and not fits):
                continue
            fitting.update(fits)
            if known.failure(one.path, str(last.file_version), definition) is not None:
                versions.append(FileVersion(path=one.path, version=str(last.file_version)))
                chosen.append(one)
        if versions:
            retry = FileRetry(id=uuid4().hex[:12], dataset=request.dataset, at=datetime.now(UTC), files=tuple(versions))
            append_retry(lake, retry)
    missed = [pattern for number, pattern in enumerate(patterns) if number not in fitting]
    if missed:
        raise ConfigError(
            f"No file that has failed fits {missed[0]!r}.",
            state="The others are tried again." if chosen else "Nothing was changed.",
            next_step="`tidegate files --status failed` lists those that have.",
        )
    return chosen


def _of_table(request: Request, known: KnownFiles, there: Mapping[str, PlacedFile] | None) -> list[StatusOfFile]:
    definition, attempts = definition_of(request), known.last_attempts()
    found = []
    for path in sorted({*known.paths(), *attempts, *(there or ())}):
        last, newest, placed = attempts.get(path), known.newest(path), (there or {}).get(path)
        if placed is not None and is_pending(known, placed, definition):
            found.append(_pending(request, known, placed, last))
        elif last is not None and last.state == "failed" and not _is_older(last, newest):
            final = known.failure(path, str(last.file_version), definition) is not None
            if final or (there is None and last.definition is None):
                found.append(_failed(request, known, last, final=final, gone=there is not None and placed is None))
        elif newest is not None:
            found.append(_done(request, known, newest, last))
        elif last is not None and last.state != "failed":
            found.append(_nothing_new(request, known, last))
    return found


def _pending(request: Request, known: KnownFiles, file: PlacedFile, last: RunRecord | None) -> StatusOfFile:
    attempts = known.attempts(file.path, file.identity)
    return StatusOfFile(
        source=request.source.name, table=request.entry.folder, path=file.path, status=FileStatus.PENDING,
        size_bytes=file.size_bytes, attempts=len(attempts), at=file.modified_at,
        error=attempts[-1].error if attempts else None,
        note="another version was read before" if last is not None and not attempts else "",
    )  # fmt: skip


def _failed(request: Request, known: KnownFiles, last: RunRecord, *, final: bool, gone: bool) -> StatusOfFile:
    note = "it is not there any more" if gone else "" if final else "the next run tries it again"
    return StatusOfFile(
        source=request.source.name, table=request.entry.folder, path=str(last.file), status=FileStatus.FAILED,
        size_bytes=last.bytes, seconds=last.seconds, at=last.started_at, error=last.error, note=note,
        attempts=len(known.attempts(str(last.file), str(last.file_version))),
    )  # fmt: skip


def _done(request: Request, known: KnownFiles, manifest: Manifest, last: RunRecord | None) -> StatusOfFile:
    assert manifest.extracted is not None and manifest.extracted.origin is not None
    origin = manifest.extracted.origin
    identity = PlacedFile(origin.path, origin.size_bytes, origin.modified_at, origin.version).identity
    return StatusOfFile(
        source=request.source.name, table=request.entry.folder, path=origin.path, status=FileStatus.DONE,
        rows=manifest.attestation.rows, size_bytes=origin.size_bytes, seconds=origin.seconds,
        at=manifest.committed_at, attempts=len(known.attempts(origin.path, identity)),
        error=last.error if last is not None and last.file_version == identity else None,
        note=f"{manifest.attestation.quarantined} rows in quarantine" if manifest.attestation.quarantined else "",
    )  # fmt: skip


def _nothing_new(request: Request, known: KnownFiles, last: RunRecord) -> StatusOfFile:
    twin = next((m for path in known.paths() if (m := known.newest(path)) and m.path == last.manifest), None)
    return StatusOfFile(
        source=request.source.name, table=request.entry.folder, path=str(last.file), status=FileStatus.DONE,
        size_bytes=last.bytes, seconds=last.seconds, at=last.started_at,
        attempts=len(known.attempts(str(last.file), str(last.file_version))),
        note=f"has the same content as {twin.table}" if twin is not None else "brought nothing new",
    )  # fmt: skip


def _is_older(record: RunRecord, manifest: Manifest | None) -> bool:
    return manifest is not None and record.started_at < manifest.committed_at
