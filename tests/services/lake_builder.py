"""Builds a lake as an archive run leaves it: generations, receipts, removals, through the classes that runs use."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.parquet_writer import DatasetWriter
from schemas.column_plan import DIGEST_MODULUS, Column, Kind, arrow_schema, row_digest
from schemas.manifest import Attestation, DataFile, Intent, Manifest, Removal, Snapshot, as_hex
from schemas.partition import partition_path
from schemas.purge_records import Receipt
from schemas.window import Window, WindowUnit, floor_to, next_boundary

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
ID = Column(name="id", source_type="bigint", kind=Kind.INTEGER, nullable=False)
TIME = Column(name="departed_at", source_type="timestamp with time zone", kind=Kind.TIMESTAMPTZ)
CARRIER = Column(name="carrier", source_type="text", kind=Kind.TEXT)
FARE = Column(name="fare", source_type="numeric(12,4)", kind=Kind.DECIMAL, precision=12, scale=4)
COLUMNS = (ID, TIME, CARRIER, FARE)

Row = dict[str, Any]


def month(year: int, number: int) -> Window:
    """Return the window of a month in UTC."""
    start = floor_to(datetime(year, number, 2, tzinfo=UTC), WindowUnit.MONTH, ZoneInfo("UTC"))
    return Window(start=start, end=next_boundary(start, WindowUnit.MONTH, ZoneInfo("UTC")))


def flight(id: int, day: date | datetime, carrier: str | None = "UA", **more: Any) -> Row:
    """Return a row of `COLUMNS`, departing at noon."""
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {"id": id, "departed_at": moment, "carrier": carrier, "fare": None, **more}


@dataclass
class LakeBuilder:
    """Commits generations of one dataset; each snapshot is an hour younger than the one before."""

    lake: Lake
    dataset: str = "flights"
    columns: tuple[Column, ...] = COLUMNS
    partition_by: tuple[str, ...] = ("carrier", "year", "month")
    key: tuple[str, ...] = ("id",)
    time_column: str = "departed_at"
    timezone: str = "UTC"
    snapshots: int = field(default=0, init=False)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.lake, self.dataset)

    def generations(self) -> list[Generation]:
        return self.ledger.generations()

    def commit(
        self,
        rows: Sequence[Row],
        window: Window,
        *,
        taken_at: datetime | None = None,
        purged: bool = False,
        **changes: Any,
    ) -> Manifest:
        """Write the rows and commit them; `changes` go into the manifest, `purged` adds a receipt for all rows."""
        self.snapshots += 1
        taken_at = taken_at or NOON + timedelta(hours=self.snapshots)
        files = self.store(rows, f"{window.id}-s{self.snapshots}")
        number = self.ledger.next_generation(window)
        manifest = Manifest(
            **{
                "archive": "flights",
                "dataset": self.dataset,
                "source": "shop",
                "table": "public.flights",
                "time_column": self.time_column,
                "window": window,
                "timezone": self.timezone,
                "generation": number,
                "columns": self.columns,
                "key": self.key,
                "partition_by": self.partition_by,
                "attestation": Attestation(
                    rows_in_window=len(rows),
                    rows=len(rows),
                    digest=as_hex(sum(int(file.digest or "0", 16) for file in files) % DIGEST_MODULUS),
                    snapshot=Snapshot(taken_at=taken_at, xmin=1, xmax=2, cluster="c"),
                ),
                "files": files,
                "run_id": f"run{self.snapshots}",
                "committed_at": taken_at,
                "written_by": "tidegate test",
                **changes,
            }
        )
        stem = uuid4().hex
        self.ledger.begin(Intent(stem=stem, run_id="run", at=datetime.now(UTC)))
        self.ledger.commit(manifest, stem)
        if purged:
            self.purge(manifest)
        return manifest

    def store(self, rows: Sequence[Row], stem: str) -> tuple[DataFile, ...]:
        """Write the rows into files that no manifest names yet."""
        batch = pa.RecordBatch.from_pylist(list(rows), schema=arrow_schema(self.columns))
        time = next(column for column in self.columns if column.name == self.time_column)
        stored = []
        with self.lake.scratch() as scratch:
            writer = DatasetWriter(
                scratch,
                self.columns,
                partition_by=self.partition_by,
                time=time,
                zone=ZoneInfo(self.timezone),
                max_bytes=2**30,
                max_rows=10**6,
            )
            writer.write(batch, self._digests(batch))
            for number, file in enumerate(writer.finish()):
                folder = "/".join(filter(None, [self.dataset, partition_path(file.partition)]))
                path = f"{folder}/{stem}-{number:04d}.parquet"
                self.lake.store(file.local, path)
                stored.append(
                    DataFile(
                        path=path,
                        rows=file.rows,
                        size_bytes=file.size_bytes,
                        sha256=file.sha256,
                        digest=as_hex(file.digest),
                        partition=file.partition,
                    )
                )
        return tuple(stored)

    def purge(self, manifest: Manifest, *, changed_since: int = 0, already_gone: int = 0, after_h: float = 0.5) -> None:
        """Record a purge that ended some hours after the snapshot."""
        finished_at = manifest.attestation.snapshot.taken_at + timedelta(hours=after_h)
        archived = manifest.attestation.rows
        self.ledger.record_receipt(
            Receipt(
                manifest=manifest.path,
                dataset=self.dataset,
                run_id=manifest.run_id,
                archived=archived,
                deleted=archived - changed_since - already_gone,
                changed_since=changed_since,
                already_gone=already_gone,
                by_fence=0,
                started_at=finished_at,
                finished_at=finished_at,
            )
        )

    def remove(self, files: Sequence[DataFile]) -> None:
        """Record that the files were removed, and leave them where they are."""
        removal = Removal(
            dataset=self.dataset,
            paths=tuple(file.path for file in files),
            rows=sum(file.rows for file in files),
            reason="test",
            removed_at=NOON,
        )
        self.ledger.record_removal(removal, f"removal{files[0].sha256[:8]}")

    def _digests(self, batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.uint64]]:
        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("batch", pa.Table.from_batches([batch]))
            found = connection.execute(f"SELECT {row_digest(self.columns)} AS digest FROM batch").fetchnumpy()
        return np.asarray(found["digest"], np.uint64)
