"""Makes the rows of a file a generation of their table, whatever other runs store at the same time."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from blocks.file_places.place import PlacedFile
from blocks.gate import Gate
from blocks.parquet_writer import WrittenFile
from blocks.table_log import Draft, TableLog
from schemas.errors import Busy
from schemas.extracted import Extracted, Origin
from schemas.extraction import INGESTED_AT, PROVENANCE
from schemas.manifest import Manifest
from tasks.ingest.files_request import Request
from tasks.ingest.known_files import KnownFiles
from tasks.ingest.read_file import ReadFile

_TRIES = 50


class ReadAgain(Exception):
    """Another run changed the table's columns meanwhile: the rows carry a version that is not theirs any more."""


@dataclass(frozen=True, slots=True)
class FileToStore:
    """A file that was read.

    Attributes:
        file: As its place lists it.
        sha256: Of its bytes.
        at: When it was read.
        seconds: How long that took.
        full: Whether it is stored although the lake has it.
        is_new: Whether its name is new in the table, so that it can be a duplicate.
    """

    file: PlacedFile
    sha256: str
    at: datetime
    seconds: float
    full: bool
    is_new: bool


def store_file(
    request: Request,
    log: TableLog,
    known: KnownFiles,
    what: FileToStore,
    read: ReadFile,
    gate: Gate | None,
    scratch: Path,
) -> tuple[Manifest, bool]:
    """Commit a file's rows as the next generation, unless another run did meanwhile.

    Returns:
        The generation that has the rows, and whether it is ours.

    Raises:
        ReadAgain: Another run changed the table's columns meanwhile; nothing was committed.
        Busy: Others were quicker each time.
        LakeError: There is no room for its files, or they may not be written.
    """
    for _ in range(_TRIES):
        version = _newest_version(log)
        try:
            manifest = log.commit(_draft(request, log, known, what, read, gate, scratch), request.run_id)
        except Busy:
            log.refresh()
            known.refresh(log.generations)
            already = known.stored(what.file) or (known.twin(what.sha256) if what.is_new else None)
            if already is not None and not what.full:
                return already, False
            if _newest_version(log) != version:
                raise ReadAgain from None
        else:
            known.refresh(log.generations)
            return manifest, True
    raise Busy(
        f"{what.file.path}: other runs stored something in {log.dataset} each time that this run was about to.",
        state="Nothing of this file is in the lake.",
        next_step="Run the same command again.",
    )


def newest_with_columns(log: TableLog) -> Manifest | None:
    """Return the newest generation that was read from something with columns."""
    manifests = (generation.manifest for generation in reversed(log.generations))
    return next((m for m in manifests if any(not column.added for column in m.columns)), None)


def _newest_version(log: TableLog) -> int:
    newest = newest_with_columns(log)
    return newest.extracted.schema_version if newest is not None and newest.extracted is not None else 0


def _draft(
    request: Request,
    log: TableLog,
    known: KnownFiles,
    what: FileToStore,
    read: ReadFile,
    gate: Gate | None,
    scratch: Path,
) -> Draft:
    settings = request.project.settings
    local = what.at.astimezone(settings.zone)
    return Draft(
        source=request.source.name,
        table=what.file.path,
        columns=(*read.columns, *PROVENANCE),
        time_column=INGESTED_AT,
        folder=f"year={local:%Y}/month={local:%m}/day={local:%d}",
        rows_read=read.rows + read.quarantined,
        files=_kept(read.files, scratch),
        quarantine=_kept(read.quarantine, scratch),
        gate=gate.digest if gate else None,
        timezone=settings.timezone,
        extracted=Extracted(
            mode="incremental",
            schema_version=read.schema.version,
            drift=read.schema.drift,
            origin=Origin(
                path=what.file.path,
                size_bytes=what.file.size_bytes,
                modified_at=what.file.modified_at,
                version=what.file.version,
                sha256=what.sha256,
                seconds=round(what.seconds, 3),
                takes_place_of=_replaced(request, known, what),
            ),
        ),
    )


def _replaced(request: Request, known: KnownFiles, what: FileToStore) -> str | None:
    """Return the path of the generation that this version of the file stands in the place of.

    Where files stay, that is the version before. Where they go, a name that comes again is a new delivery; only one
    whose very bytes are read once more stands in its own place.
    """
    before = known.version(what.file.path)
    if before is None or before.extracted is None or before.extracted.origin is None:
        return None
    same = before.extracted.origin.sha256 == what.sha256
    return before.path if request.source.after == "keep" or same else None


def _kept(files: Sequence[WrittenFile], scratch: Path) -> list[WrittenFile]:
    """Return files under further names: storing takes them away, also if the commit fails in the end."""
    return [replace(file, local=_second_name(file.local, scratch)) for file in files]


def _second_name(local: Path, scratch: Path) -> Path:
    name = scratch / f"{uuid4().hex}.parquet"
    try:
        os.link(local, name)
    except OSError:  # a file system without links
        shutil.copyfile(local, name)
    return name
