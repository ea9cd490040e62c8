"""What a run over the files of a table is asked to do, what there is to read, and what is known of it."""

import hashlib
import json
from typing import TypeAlias

from blocks.file_places.names import has_magic
from blocks.file_places.place import FilePlace, Listing, PlacedFile
from blocks.file_retries import read_retries
from blocks.lake import Lake
from blocks.run_records import read_run_records
from blocks.table_log import TableLog
from schemas.sources.files import FilesSource, FileTable, SftpSource
from tasks.ingest.finished_files import marker_of
from tasks.ingest.known_files import KnownFiles
from tasks.ingest.request import IngestRequest

Request: TypeAlias = IngestRequest[FilesSource | SftpSource, FileTable]


def listed(request: Request, place: FilePlace) -> Listing:
    """Return the files of a table: those that fit its pattern, without markers and what was moved away."""
    source = request.source
    listing = place.list(request.entry.files)
    away = None if source.move_to is None else place.below(source.move_to)
    files = [file for file in listing.files if away is None or not file.path.startswith(f"{away}/")]
    if source.marker is not None and has_magic(request.entry.files):
        markers = {marker_of(file.path, source.marker) for file in files}
        files = [file for file in files if file.path not in markers]
    return Listing(files, listing.left_out)


def definition_of(request: Request) -> str:
    """Return what tells what the configuration says of a table from what it said before."""
    said = [request.entry.model_dump(mode="json"), request.source.format.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def known_files(request: Request, lake: Lake, log: TableLog) -> KnownFiles:
    """Return what the lake knows of the files of a table."""
    name = f"{request.source.name}.{request.entry.folder}"
    return KnownFiles(log.generations, read_run_records(lake, [name]), read_retries(lake, request.dataset))


def is_pending(known: KnownFiles, file: PlacedFile, definition: str) -> bool:
    """Return whether the next run will read a file."""
    settled = known.stored(file) or known.brought_nothing(file)
    return settled is None and known.failure(file.path, file.identity, definition) is None
