"""Writes batches of rows to Parquet files, one open file a partition, in bounded memory."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from blocks.parquet_encoding import encoding_options
from schemas.column_plan import DIGEST_MODULUS, Column, Kind, arrow_schema
from schemas.partition import DERIVED_KEYS

ROW_GROUP_ROWS = 131_072
BUFFER_BYTES = 64 * 2**20
MAX_OPEN_FILES = 128

Partition = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished local Parquet file, not yet in the lake."""

    local: Path
    partition: Partition
    rows: int
    size_bytes: int
    sha256: str
    digest: int


@dataclass
class _OpenFile:
    """A partition's file: what waits for its next row group, and what was written."""

    partition: Partition
    local: Path
    waiting: list[pa.RecordBatch] = field(default_factory=list)
    waiting_rows: int = 0
    waiting_bytes: int = 0
    rows: int = 0
    digest: int = 0
    sink: pa.NativeFile | None = None
    writer: pq.ParquetWriter | None = None


class DatasetWriter:
    """Splits batches by partition and writes them; files are cut at a size or a number of rows.

    Memory holds at most `BUFFER_BYTES` of rows that wait for their row group, however many partitions there are.

    Args:
        folder: Where the files are written.
        columns: The columns of every batch.
        partition_by: The partition keys, in the order of the path.
        time: The time column, from which derived keys come.
        zone: The time zone of the derived keys.
        max_bytes: A file is closed when it has grown to this size.
        max_rows: A file holds at most this many rows.
    """

    def __init__(
        self,
        folder: Path,
        columns: tuple[Column, ...],
        *,
        partition_by: tuple[str, ...],
        time: Column,
        zone: ZoneInfo,
        max_bytes: int,
        max_rows: int,
    ) -> None:
        self._folder = folder
        self._schema = arrow_schema(columns)
        self._partition_by = partition_by
        self._time = time
        self._zone = zone
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._open: dict[tuple[str | None, ...], _OpenFile] = {}
        self._done: list[WrittenFile] = []
        self._derived_only = all(key in DERIVED_KEYS and key not in self._schema.names for key in partition_by)

    def write(self, rows: pa.RecordBatch, digests: NDArray[np.uint64] | None) -> None:
        """Add rows, with their digests if there are any."""
        for partition, part, part_digests in self._split(rows, digests):
            place = tuple(partition.values())
            start = 0
            while start < part.num_rows:
                file = self._open.pop(place, None) or _OpenFile(partition, self._folder / f"{uuid4().hex}.parquet")
                self._open[place] = file  # the most recently used one comes last
                room = self._max_rows - file.rows - file.waiting_rows
                piece = part.slice(start, room)
                file.waiting.append(piece)
                file.waiting_rows += piece.num_rows
                file.waiting_bytes += piece.nbytes
                if part_digests is not None:
                    summed = int(part_digests[start : start + piece.num_rows].sum(dtype=np.uint64))
                    file.digest = (file.digest + summed) % DIGEST_MODULUS
                start += piece.num_rows
                if file.waiting_rows >= ROW_GROUP_ROWS:
                    self._flush(file)
                if file.rows + file.waiting_rows >= self._max_rows or self._is_full(file):
                    self._close(self._open.pop(place))
        self._bound_memory()

    def finish(self) -> list[WrittenFile]:
        """Close all files and return them, in the order in which they were closed."""
        for place in list(self._open):
            self._close(self._open.pop(place))
        return self._done

    def _split(
        self, rows: pa.RecordBatch, digests: NDArray[np.uint64] | None
    ) -> Iterator[tuple[Partition, pa.RecordBatch, NDArray[np.uint64] | None]]:
        if not self._partition_by or not rows.num_rows:
            yield {}, rows, digests
            return
        # By number: Polars takes some names of columns for patterns.
        keys = pl.DataFrame({str(i): pl.Series(self._key(rows, key)) for i, key in enumerate(self._partition_by)})
        groups = keys.with_row_index("row").group_by(keys.columns, maintain_order=True).agg("row")
        for values, places in zip(groups.drop("row").iter_rows(), groups["row"], strict=True):
            partition = dict(zip(self._partition_by, values, strict=True))
            if groups.height == 1:
                yield partition, rows, digests
                return
            index = places.to_numpy()
            yield partition, rows.take(pa.array(index)), None if digests is None else digests[index]

    def _whole(self, rows: pa.RecordBatch) -> Partition | None:
        """Return the partition of all rows if only derived keys divide them and the first and last row share it."""
        if not self._derived_only:
            return None
        bounds = pc.min_max(rows.column(self._time.name)).as_py()
        first, last = (self._local_parts(bounds[end]) for end in ("min", "max"))
        finest = max(list(DERIVED_KEYS).index(key) for key in self._partition_by)
        if first[: finest + 1] != last[: finest + 1]:
            return None
        named = dict(zip(DERIVED_KEYS, first, strict=True))
        return {key: f"{named[key]:04d}" if key == "year" else f"{named[key]:02d}" for key in self._partition_by}

    def _local_parts(self, moment: date | datetime) -> tuple[int, int, int, int]:
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            moment = moment.astimezone(self._zone)
        return moment.year, moment.month, moment.day, moment.hour if isinstance(moment, datetime) else 0

    def _key(self, rows: pa.RecordBatch, key: str) -> pa.Array:
        """Return a partition key of every row as text."""
        if key not in DERIVED_KEYS or key in self._schema.names:
            return pc.cast(rows.column(key), pa.string())
        moments = rows.column(self._time.name)
        if self._time.kind is Kind.TIMESTAMPTZ:
            moments = pc.cast(moments, pa.timestamp("us", tz=self._zone.key))
        width = 4 if key == "year" else 2
        return pc.utf8_lpad(pc.cast(getattr(pc, key)(moments), pa.string()), width, padding="0")

    def _bound_memory(self) -> None:
        while sum(file.waiting_bytes for file in self._open.values()) > BUFFER_BYTES:
            self._flush(max(self._open.values(), key=lambda file: file.waiting_bytes))
        while sum(file.writer is not None for file in self._open.values()) > MAX_OPEN_FILES:
            place = next(place for place, file in self._open.items() if file.writer is not None)
            self._close(self._open.pop(place))

    def _is_full(self, file: _OpenFile) -> bool:
        return file.sink is not None and file.sink.tell() >= self._max_bytes

    def _flush(self, file: _OpenFile) -> None:
        """Write what waits as one row group."""
        if not file.waiting_rows:
            return
        rows = pa.Table.from_batches(file.waiting, self._schema)
        if file.writer is None:
            file.sink = pa.OSFile(str(file.local), "wb")
            file.writer = pq.ParquetWriter(file.sink, self._schema, **encoding_options(rows))
        file.writer.write_table(rows, row_group_size=ROW_GROUP_ROWS * 2)
        file.rows += file.waiting_rows
        file.waiting, file.waiting_rows, file.waiting_bytes = [], 0, 0

    def _close(self, file: _OpenFile) -> None:
        self._flush(file)
        if file.writer is None or file.sink is None:
            return
        file.writer.close()
        file.sink.close()
        with file.local.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        size = file.local.stat().st_size
        self._done.append(WrittenFile(file.local, file.partition, file.rows, size, sha256, file.digest))
