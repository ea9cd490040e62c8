"""Unpacks compressed files as a stream, and stops where one grows beyond what it may or beyond the disk."""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

import pyarrow as pa

from blocks.file_formats.opening import bad_file
from schemas.errors import LakeError
from schemas.sources.file_format import Compression, FileFormat

CHUNK_BYTES = 4 * 2**20

# Text that people send shrinks 3 to 30 times. Deflate ends at 1,032 times; zstd does not end.
_SUSPICIOUS_RATIO = 250
_SUSPICIOUS_FROM_BYTES = 200 * 10**6
# What is left on the disk for everybody else.
_SPARE_BYTES = 512 * 2**20

_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def compression_of(path: Path) -> Compression:
    """Return how a file is compressed, by its first bytes."""
    with path.open("rb") as file:
        first = file.read(4)
    return next((one for magic, one in _MAGIC.items() if first.startswith(magic)), "none")


def decompress(path: Path, name: str, compression: Compression, options: FileFormat, scratch: Path) -> Path:
    """Unpack a file into `scratch` and return where.

    Raises:
        BadFile: It is not compressed like that, is damaged or cut off, or becomes larger than it may.
        LakeError: The disk has no room for it.
    """
    target = scratch / f"{uuid4().hex}.unpacked"
    packed_bytes = path.stat().st_size
    try:
        with target.open("wb") as out:
            for chunk, size_bytes in _chunks(path, name, compression):
                _still_right(name, size_bytes, packed_bytes, options)
                if shutil.disk_usage(scratch).free - len(chunk) < _SPARE_BYTES:
                    raise LakeError(
                        f"{name}: the disk of {scratch} has no room for its uncompressed content "
                        f"({size_bytes / 1e6:,.0f} MB so far).",
                        state="Nothing of this file was taken; the file itself was not touched.",
                        next_step="Free space, or set `temp_dir` in settings.yaml to a larger disk, then run again.",
                    )
                out.write(chunk)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _chunks(path: Path, name: str, compression: Compression) -> Iterator[tuple[bytes, int]]:
    """Yield the content piece by piece, each with how much it is up to and with that piece."""
    if compression_of(path) != compression:
        raise bad_file(name, f"is not compressed with {compression}: its first bytes are others.")
    size_bytes = 0
    try:
        with _unpacked(path, compression) as content:
            while chunk := content.read(CHUNK_BYTES):
                size_bytes += len(chunk)
                yield bytes(chunk), size_bytes
    except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, gzip.BadGzipFile):
            raise
        raise bad_file(
            name,
            f"cannot be unpacked: the {compression} data is cut off or damaged after {size_bytes:,} bytes of content "
            f"({error}).",
            "Ask for the file again, or see why its transfer ended early; then run it again.",
        ) from error


@contextmanager
def _unpacked(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    if compression == "gzip":
        with gzip.open(path, "rb") as content:
            yield cast(BinaryIO, content)
    else:
        with pa.OSFile(str(path), "rb") as raw, pa.CompressedInputStream(raw, compression) as content:
            yield cast(BinaryIO, content)


def _still_right(name: str, size_bytes: int, packed_bytes: int, options: FileFormat) -> None:
    limit = options.max_uncompressed_bytes
    if size_bytes > limit:
        raise bad_file(
            name,
            f"becomes larger than max_uncompressed ({options.max_uncompressed}) when it is unpacked.",
            "If that is right, raise `max_uncompressed` in the table's `format`.",
        )
    given = "max_uncompressed" in options.model_fields_set
    if not given and size_bytes > _SUSPICIOUS_FROM_BYTES and size_bytes > packed_bytes * _SUSPICIOUS_RATIO:
        raise bad_file(
            name,
            f"looks like a bomb: {packed_bytes:,} compressed bytes have become more than {size_bytes:,}.",
            "If it really shrinks that well, set `max_uncompressed` in the table's `format`.",
        )
