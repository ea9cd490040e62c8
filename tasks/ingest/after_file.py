"""What happens to a file once its rows are in the lake: it is moved or deleted, if they are proven to be there."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from blocks.duck import duck, read_files
from blocks.file_places.place import FileChanged, FilePlace, PlacedFile
from blocks.lake import Lake
from schemas.errors import ProofFailed, SourceError, is_transient
from schemas.finding import Finding
from schemas.manifest import Manifest
from tasks.checked_files import discard, fetch_checked
from tasks.ingest.files_request import Request
from tasks.ingest.finished_files import marker_of


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What became of a file at its place.

    Attributes:
        note: What was done; "" if it stays.
        error: Why it could not be done, although the rows are in the lake.
        exit_code: Of that error.
    """

    note: str = ""
    error: str | None = None
    exit_code: int = 1


def after_file(request: Request, lake: Lake, place: FilePlace, file: PlacedFile, manifest: Manifest) -> Aftermath:
    """Move or delete a file, as the source says.

    The files of the generation are read back first, byte by byte, and their rows are counted.

    Args:
        request: Of which table.
        lake: Where its rows are.
        place: Where the file is.
        file: As it was listed; if another one lies there by now, that one is left alone.
        manifest: Of the generation that has its rows.

    Raises:
        ProofFailed: The lake does not hold the rows; the file was left alone.
    """
    source = request.source
    if source.after == "keep":
        return Aftermath()
    _prove(request, lake, file, manifest)
    assert manifest.extracted is not None and manifest.extracted.origin is not None
    marker = None if source.marker is None else place.look(marker_of(file.path, source.marker))
    try:
        if place.look(file.path) != file:
            return Aftermath()  # gone already, or a new delivery, which the next run reads
        if marker is not None:  # first: what comes next under this name must not find the marker of this one
            _go(request, place, marker, "")
        return Aftermath(_go(request, place, file, manifest.extracted.origin.sha256))
    except FileChanged:
        return Aftermath()
    except SourceError as error:
        what = "moved" if source.after == "move" else "deleted"
        again = "the next run tries again" if is_transient(error) else error.next_step or "it is tried again next time"
        return Aftermath(error=f"Its rows are in the lake, but it could not be {what}: {error.what} ({again})")


def _go(request: Request, place: FilePlace, file: PlacedFile, sha256: str) -> str:
    if request.source.after == "move":
        assert request.source.move_to is not None
        return f"moved to {place.move(file, request.source.move_to)}"
    place.delete(file, sha256)
    return "deleted"


def _prove(request: Request, lake: Lake, file: PlacedFile, manifest: Manifest) -> None:
    with lake.scratch() as scratch:
        found: list[Finding] = []
        rows = 0
        for stored in (*manifest.files, *manifest.quarantine):
            local = fetch_checked(lake, stored, scratch)
            if isinstance(local, Finding):
                found.append(local)
                continue
            rows += _count(request, local)
            discard([local], scratch)
    wanted = manifest.attestation.rows_in_window
    if not found and rows != wanted:
        found = [Finding(check="rows", where=manifest.path, expected=f"{wanted} rows", found=f"{rows} rows")]
    if found:
        lines = "\n".join(f"  {finding}" for finding in found)
        raise ProofFailed(
            f"{file.path}: the lake does not hold what was read from it:\n{lines}",
            state="The file was left where it is.",
            next_step=f"Restore what is damaged from a backup, or read the files again with --full; tidegate verify "
            f"{manifest.dataset} shows what else is concerned.",
        )


def _count(request: Request, local: Path) -> int:
    with duck(request.project.settings) as connection:  # by another reader than the one that tells the metadata
        row = connection.execute(f"SELECT count(*) FROM {read_files([str(local)])}").fetchone()
    counted = int(row[0]) if row else 0
    return counted if counted == pq.read_metadata(local).num_rows else -1
