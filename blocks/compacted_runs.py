"""Puts old records of the run log together: thousands of small files become one that is read at once.

The compacted file holds the records as they were, a line each, every one with its own checksum. It is there, and was
read back, before the single files are deleted.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from datetime import date

from blocks.lake import Lake
from blocks.ledger import ROOT
from schemas.errors import LakeError, ProofFailed
from schemas.run_record import RunRecord

RUNS = f"{ROOT}/runs"
COMPACTED = f"{RUNS}/compacted"
MOST_RECORDS = 5_000  # of one compacted file, so that it stays small
_GZIP = 16 + zlib.MAX_WBITS


def compact_run_records(lake: Lake, before: date) -> int:
    """Put the single records of days before `before` (in UTC) together; return how many there were.

    Damaged records stay where they are. Several may do this at once, and die at any point.

    Raises:
        LakeError: The lake may not be written. No record is lost.
    """
    paths = single_records_before(lake, before)
    done = 0
    for start in range(0, len(paths), MOST_RECORDS):
        try:
            done += _compact(lake, paths[start : start + MOST_RECORDS])
        except FileNotFoundError:  # another run compacts them
            break
    return done


def single_records_before(lake: Lake, before: date) -> list[str]:
    """Return the paths of the single records of days before `before` (in UTC), in the order of time."""
    found = (entry.path for entry in lake.list(RUNS))
    return [path for path in found if path.endswith(".json") and _day(path) < before.isoformat()]


def compacted_lines(data: bytes) -> tuple[list[bytes], str]:
    """Return the records of a compacted file, and "" or why there are no more of them than these."""
    unpacking, text, fault = zlib.decompressobj(_GZIP), bytearray(), ""
    try:
        for piece in _pieces(data):
            text += unpacking.decompress(piece)
    except zlib.error as error:
        fault = str(error)
    if not fault and not unpacking.eof:
        fault = "its end is missing"
    lines = bytes(text).split(b"\n")
    return lines[:-1], fault  # what comes after the last line's end is no whole line


def _compact(lake: Lake, paths: list[str]) -> int:
    sound = [(path, data) for path, data in zip(paths, lake.read_many(paths), strict=True) if _is_sound(path, data)]
    if not sound:
        return 0
    text = b"".join(data + b"\n" for _, data in sound)
    first, last = _day(sound[0][0]), _day(sound[-1][0])
    # By its content: whoever compacts the same records, maybe after this run died, writes the same file.
    path = f"{COMPACTED}/{first}-{last}-{hashlib.sha256(text).hexdigest()[:16]}.jsonl.gz"
    lake.put_if_absent(path, gzip.compress(text, mtime=0))
    if not _holds(lake, path, text):
        raise LakeError(
            f"{path} does not hold the {len(sound)} records that it was written of: it is damaged.",
            state="The records are where they were; none is lost.",
            next_step=f"Delete {path}: the records are compacted again then. Check the disk or the store of the lake.",
        )
    lake.delete([path for path, _ in sound])
    return len(sound)


def _holds(lake: Lake, path: str, text: bytes) -> bool:
    lines, fault = compacted_lines(lake.read(path))
    return not fault and b"".join(line + b"\n" for line in lines) == text


def _is_sound(path: str, data: bytes) -> bool:
    try:
        RunRecord.from_bytes(data, path)
    except ProofFailed:  # it is shown to whoever reads the run log
        return False
    return True


def _day(path: str) -> str:
    """Return the folder that a record lies in: its day, or a word that comes after all days."""
    return path.removeprefix(f"{RUNS}/").partition("/")[0]


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield data in pieces so small that little is lost of one that cannot be unpacked."""
    return (data[start : start + 512] for start in range(0, len(data), 512))
