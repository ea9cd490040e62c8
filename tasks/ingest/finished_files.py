"""Which files have been written to their end, and which somebody still writes."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from blocks.file_places.place import FilePlace, PlacedFile
from schemas.errors import SourceError, is_transient

_LONGEST_PAUSE_S = 0.2
_WRONG_BY_S = 26 * 3600  # a clock over there that has another time zone, and is an hour or two off besides


def finished_files(
    place: FilePlace, files: Sequence[PlacedFile], *, settle_s: float, marker: str | None, own_clock: bool = True
) -> tuple[list[PlacedFile], dict[str, str]]:
    """Tell the files that have been written from those that are being written.

    With a marker, those have been that have one beside them, not older than they are. Without, those that nobody has
    touched for `settle_s` seconds. For the others what is left of that is waited once, for all of them together; those
    that have not changed then are taken. A clock that goes wrong over there makes nobody wait longer than that; and as
    one that is slow makes a file look as if it were left alone for hours, files of another clock are looked at twice.

    Args:
        place: Where they lie.
        files: Those to be read.
        settle_s: How long nobody may have touched a file.
        marker: The name of a file's marker, or None if it has none.
        own_clock: Whether files get their times from this machine's clock, or from one that is as good.

    Returns:
        The files to be read, and why each of the others is not, by path.
    """
    if marker is not None:
        reasons = {file.path: _marker_fault(place, file, marker) for file in files}
        return [file for file in files if not reasons[file.path]], {path: why for path, why in reasons.items() if why}
    now = datetime.now(UTC)
    if not settle_s:
        return list(files), {}
    looked_at = settle_s if own_clock else settle_s + _WRONG_BY_S
    young = [file for file in files if (now - file.modified_at).total_seconds() < looked_at]
    if not young:
        return list(files), {}
    youngest = max(file.modified_at for file in young) if own_clock else now
    _wait(min(settle_s, max(0.0, settle_s - (now - youngest).total_seconds())))
    changed = {
        file.path: "it is still being written" for file in young if place.look(file.path) != file
    }  # or is gone, which comes to the same
    return [file for file in files if file.path not in changed], changed


def marker_of(path: str, marker: str) -> str:
    """Return the path of a file's marker."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{marker.replace('{name}', name)}"


def _marker_fault(place: FilePlace, file: PlacedFile, marker: str) -> str:
    path = marker_of(file.path, marker)
    try:
        found = place.look(path)
    except SourceError as error:
        if is_transient(error):
            raise
        return f"its marker cannot be looked at: {error.what}"  # such as a name that is too long; others are read
    if found is None:
        return f"there is no {path} yet"
    # Of the same second at least: not all places tell more of a time.
    if int(found.modified_at.timestamp()) < int(file.modified_at.timestamp()):
        return f"{path} is older than it is"
    return ""


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LONGEST_PAUSE_S))
