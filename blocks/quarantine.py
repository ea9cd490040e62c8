"""Rows that failed a gate: kept beside the archive with the reason, never part of it, never purged."""

import hashlib
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from blocks.lake import Lake
from schemas.column_plan import Column, arrow_schema
from schemas.manifest import DataFile

REASON, DIGEST = "_reason", "_digest"


class Quarantine:
    """Collects the rows of one export that failed, in a file of the table's columns, `_reason` and `_digest`."""

    def __init__(self, folder: Path, columns: tuple[Column, ...]) -> None:
        self._local = folder / f"{uuid4().hex}.parquet"
        self._schema = arrow_schema(columns).append(pa.field(REASON, pa.string())).append(pa.field(DIGEST, pa.uint64()))
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def add(self, rows: pa.RecordBatch, digests: NDArray[np.uint64], reasons: list[str]) -> None:
        """Add rows, with the reason of each."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._local, self._schema, compression="zstd")
        columns = [*rows.columns, pa.array(reasons, pa.string()), pa.array(digests, pa.uint64())]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.rows += rows.num_rows

    def store(self, lake: Lake, path: str) -> tuple[DataFile, ...]:
        """Move the file into the lake, if there is one."""
        if self._writer is None:
            return ()
        self._writer.close()
        with self._local.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        size = self._local.stat().st_size
        lake.store(self._local, path)
        return (DataFile(path=path, rows=self.rows, size_bytes=size, sha256=sha256),)
