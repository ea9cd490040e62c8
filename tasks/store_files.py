"""Puts finished local files into the lake, under names that an intent has announced."""

from collections.abc import Sequence

from blocks.lake import Lake
from blocks.parquet_writer import WrittenFile
from schemas.manifest import DataFile, as_hex


def store_file(lake: Lake, file: WrittenFile, folder: str, stem: str, number: int, *, digest: bool) -> DataFile:
    """Move a file into a folder of the lake, and return what a manifest says of it.

    Args:
        lake: The lake.
        file: The file; it is no longer where it was.
        folder: Of the lake.
        stem: What its name begins with: that of the intent.
        number: Its place among the files of the generation.
        digest: Whether the source said what its rows' digests are.
    """
    path = f"{folder}/{stem}-{number:04d}.parquet"
    lake.store(file.local, path)
    return DataFile(
        path=path,
        rows=file.rows,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        digest=as_hex(file.digest) if digest else None,
        partition=file.partition,
    )


def combined(files: Sequence[WrittenFile]) -> int:
    """Return the combined digest of all rows of some files."""
    return sum(file.digest for file in files) % 2**64
