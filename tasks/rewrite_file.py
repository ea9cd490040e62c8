"""Writes a file of the lake again without some of its rows, and proves that only those are missing.

Rows go over as they are, row group by row group: nothing is read into another type and back. What proves it is
DuckDB, as everywhere: the digests of the old file are those of the new one and of the rows left out, together.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from blocks.duck import read_files
from blocks.lake import Lake
from blocks.parquet_encoding import encoding_options
from schemas.column_plan import DIGEST_MODULUS, Column, row_digest
from schemas.erasure import NOTHING_ERASED
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import DataFile, as_hex
from tasks.checked_files import discard, fetch_checked, refusal


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file without some of its rows.

    Attributes:
        file: The new file, in the lake; None if no row is left.
        rows: Rows that were left out.
        digest: Sum of their digests modulo 2^64.
    """

    file: DataFile | None
    rows: int
    digest: int


class Rewriter:
    """Rewrites files of one generation.

    Args:
        connection: A DuckDB connection.
        lake: The lake.
        archive: Names the archive in errors.
        columns: The columns of the generation, which its rows' digests are made of.
        scratch: A local folder.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        archive: str,
        columns: tuple[Column, ...],
        scratch: Path,
    ) -> None:
        self._connection, self._lake, self._archive, self._scratch = connection, lake, archive, scratch
        self._digest = row_digest(columns)

    def without(self, file: DataFile, places: NDArray[np.int64], name: str) -> Rewritten:
        """Store the file again, in the same folder, without the rows at these places.

        Args:
            file: What the manifest says of it.
            places: From 0, in order.
            name: The new file's name.

        Raises:
            ProofFailed: The file is not as its manifest says, or the new one is not what it should be.
        """
        old = fetch_checked(self._lake, file, self._scratch)
        if isinstance(old, Finding):
            raise refusal(self._archive, [old], NOTHING_ERASED)
        try:
            before = self._total(old)
            if file.digest is not None and as_hex(before[1]) != file.digest:
                finding = Finding(check="digest", where=file.path, expected=file.digest, found=as_hex(before[1]))
                raise refusal(self._archive, [finding], NOTHING_ERASED)
            local = self._scratch / f"{uuid4().hex}.parquet"
            left_out = self._split(old, places, local)
        finally:
            discard([old], self._scratch)
        stored = self._store(file, local, f"{file.path.rpartition('/')[0]}/{name}", before[0] - len(places))
        kept = (0, 0)
        if stored is not None:
            again = fetch_checked(self._lake, stored, self._scratch)
            if isinstance(again, Finding):
                raise refusal(self._archive, [again], NOTHING_ERASED)
            kept = self._total(again)
            discard([again], self._scratch)
            stored = stored.model_copy(update={"digest": as_hex(kept[1]) if file.digest is not None else None})
        if left_out[0] != len(places) or _sum(kept, left_out) != before:
            raise ProofFailed(
                f"{file.path}: what is left of it and what is to go are not what it held: {before[0]} rows, of which "
                f"{kept[0]} were kept and {left_out[0]} left out.",
                state=NOTHING_ERASED,
                next_step="Run the same command again; if it happens again, please report it.",
            )
        return Rewritten(stored, *left_out)

    def _split(self, old: Path, places: NDArray[np.int64], new: Path) -> tuple[int, int]:
        """Write the rows that are kept; return count and summed digest of the others. None is kept: no file."""
        count, digest, first = 0, 0, 0
        writer: pq.ParquetWriter | None = None
        try:
            with pq.ParquetFile(old) as source:
                for number in range(source.num_row_groups):
                    rows = source.read_row_group(number)
                    inside = places[(places >= first) & (places < first + rows.num_rows)] - first
                    first += rows.num_rows
                    goes = np.zeros(rows.num_rows, dtype=np.bool_)
                    goes[inside] = True
                    if len(inside):
                        gone = self._total_of(rows.filter(pa.array(goes)))
                        count, digest = count + gone[0], (digest + gone[1]) % DIGEST_MODULUS
                    kept = rows.filter(pa.array(~goes)) if len(inside) else rows
                    if kept.num_rows:
                        if writer is None:
                            writer = pq.ParquetWriter(new, source.schema_arrow, **encoding_options(kept))
                        writer.write_table(kept, row_group_size=max(1, kept.num_rows))
        finally:
            if writer is not None:
                writer.close()
        return count, digest

    def _store(self, file: DataFile, local: Path, path: str, rows: int) -> DataFile | None:
        if not local.exists():
            return None
        with local.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        size = local.stat().st_size
        self._lake.store(local, path)
        return DataFile(path=path, rows=rows, size_bytes=size, sha256=sha256, partition=file.partition)

    def _total(self, local: Path) -> tuple[int, int]:
        """Return the number of rows of a local file, and the sum of their digests, read by DuckDB."""
        return self._sum_over(read_files([str(local)]))

    def _total_of(self, rows: pa.Table) -> tuple[int, int]:
        self._connection.register("tidegate left out", rows)
        try:
            return self._sum_over('"tidegate left out"')
        finally:
            self._connection.unregister("tidegate left out")

    def _sum_over(self, source: str) -> tuple[int, int]:
        query = f"SELECT count(*), coalesce(sum({self._digest}), 0) % {DIGEST_MODULUS} FROM {source}"
        ((rows, digest),) = self._connection.execute(query).fetchall()
        return int(rows), int(digest)


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], (one[1] + other[1]) % DIGEST_MODULUS
