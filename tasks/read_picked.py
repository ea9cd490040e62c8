"""Reads picked rows out of checked files, as the texts that a source reads back, with the digest of each."""

import binascii
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from blocks.duck import read_files
from blocks.lake import Lake
from blocks.lake_paths import escape_glob
from blocks.progress import report_progress
from schemas.column_plan import Column, canonical_field, exchange_text
from schemas.finding import Finding
from schemas.manifest import DataFile
from schemas.restore_target import Fit, Total
from tasks.check_generation import in_portions
from tasks.checked_files import discard, fetch_checked, refusal
from tasks.pick_versions import Picked

BATCH_BYTES = 8 * 2**20
MAX_BATCH_ROWS = 32_768
UNPACKED = 8  # how much larger rows are as text than as compressed Parquet, roughly


class PickedRows:
    """Reads the rows of one picked generation; what it has read so far is in `total`.

    Args:
        reader: The DuckDB connection that picked the rows.
        lake: The lake.
        scratch: A local folder for copies of files, which are removed one portion after the other.
        picked: The rows.
    """

    def __init__(self, reader: duckdb.DuckDBPyConnection, lake: Lake, scratch: Path, picked: Picked) -> None:
        self._reader, self._lake, self._scratch, self.picked = reader, lake, scratch, picked
        self.total = Total()

    def check(self) -> None:
        """Compare the files with the manifest, without reading a row.

        Raises:
            ProofFailed: One is missing, or has another size or checksum.
        """
        for files in in_portions(self.picked.files):
            discard(self._fetch(files), self._scratch)

    def batches(self, fit: Fit) -> Iterator[pa.RecordBatch]:
        """Yield the rows as texts: the written columns, then the first 16 hex digits of the digest.

        Memory is that of one batch, whatever the size of the window.

        Raises:
            ProofFailed: A file is not as its manifest says; nothing of it was read.
        """
        manifest = self.picked.generation.manifest
        columns = {column.name: column for column in manifest.columns}
        texts = [f"{exchange_text(columns[column.name])} AS c{i}" for i, column in enumerate(fit.written)]
        digest = f"{_hex_digest(tuple(columns[column.name] for column in fit.proven))} AS digest"
        row_bytes = UNPACKED * manifest.size_bytes // max(1, manifest.attestation.rows)
        batch_rows = max(16, min(MAX_BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))
        for files in in_portions(self.picked.files):
            local = self._fetch(files)
            try:
                query = (
                    f"SELECT {', '.join([*texts, digest])} "
                    f"FROM {read_files([escape_glob(str(path)) for path in local])} WHERE {self.picked.predicate}"
                )
                self._reader.execute("SET arrow_large_buffer_size = true")
                for batch in self._reader.sql(query).to_arrow_reader(batch_rows):
                    self._count(batch.column(len(fit.written)))
                    yield batch
                    report_progress("restore", manifest.window, self.total.rows, self.picked.rows)
            except (duckdb.Error, OSError) as error:  # the latter comes from S3, through DuckDB
                names = ", ".join(file.path for file in files)
                finding = Finding(check="unreadable", where=names, expected="its columns", found=str(error))
                raise refusal(manifest.archive, [finding]) from None
            finally:
                discard(local, self._scratch)

    def _fetch(self, files: list[DataFile]) -> list[Path]:
        results = [fetch_checked(self._lake, file, self._scratch) for file in files]
        local = [result for result in results if isinstance(result, Path)]
        findings = [result for result in results if isinstance(result, Finding)]
        if findings:
            discard(local, self._scratch)
            raise refusal(self.picked.generation.manifest.archive, findings)
        return local

    def _count(self, digests: pa.Array) -> None:
        halves = np.frombuffer(binascii.unhexlify(_bytes(digests)), dtype=">u8").astype("u8")
        self.total += Total(len(halves), int(halves.sum(dtype="u8")))


def _hex_digest(columns: tuple[Column, ...]) -> str:
    return f"left(md5(concat_ws(',', {', '.join(canonical_field(column) for column in columns)})), 16)"


def _bytes(texts: pa.Array) -> bytes:
    """Return the texts of an array without NULLs one after the other: they lie in memory that way."""
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype="i8" if pa.types.is_large_string(texts.type) else "i4")
    first, last = int(offsets[texts.offset]), int(offsets[texts.offset + len(texts)])
    return bytes(memoryview(data)[first:last]) if last > first else b""
