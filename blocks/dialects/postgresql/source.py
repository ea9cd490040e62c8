"""PostgreSQL as a source: what `blocks.source` asks for, put together from the files beside this one."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray

from blocks.dialects.postgresql import catalog, inspection, key_text, lock, restore_target, snapshot
from blocks.dialects.postgresql.deleter import PostgresDeleter
from blocks.dialects.postgresql.family import PostgresFamily
from blocks.dialects.postgresql.fields import write_fields
from blocks.dialects.postgresql.partitions import PostgresPartitions, partitions_of
from blocks.dialects.postgresql.pressure import PostgresPressure
from blocks.dialects.postgresql.query import describe_query
from blocks.dialects.postgresql.restore import PostgresStaging
from blocks.dialects.postgresql.session import Connection, session, statement, translated
from blocks.dialects.postgresql.statements import (
    count_by_window,
    count_keys,
    count_rows,
    export_rows,
    out_of_time,
    slice_predicate,
)
from blocks.dialects.postgresql.stream import MAX_BATCH_ROWS, stream
from blocks.dialects.postgresql.types import as_text
from blocks.source import RowBatch, Slice
from schemas.column_plan import Column, Kind
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.reading import Reading
from schemas.restore_target import Fit, Target
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A PostgreSQL database, by its URL."""

    url: str

    @contextmanager
    def session(self) -> Iterator["PostgresSession"]:
        """Open a connection; driver errors inside of the block are translated."""
        with session(self.url) as connection, translated(self.url):
            yield PostgresSession(connection, self.url)

    @contextmanager
    def locked(self, table: Table) -> Iterator["PostgresSession"]:
        """Open a connection that holds the table's archiver lock."""
        with lock.archiver_lock(self.url, table) as connection:
            yield PostgresSession(connection, self.url)

    @contextmanager
    def snapshot(self) -> Iterator["PostgresSnapshot"]:
        """Hold an exported snapshot, which connectorx joins."""
        with snapshot.held_snapshot(self.url) as held:
            yield PostgresSnapshot(held)


@dataclass(frozen=True, slots=True)
class PostgresSession:
    """A connection with Tidegate's settings."""

    connection: Connection
    url: str

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table."""
        return catalog.describe(self.connection, name.schema_name, name.name)

    def describe_query(self, name: TableName, query: str, label: str) -> Table:
        """Return what a query gives, as the server announces it."""
        return describe_query(self.connection, name, query, label)

    def derived_column(self, table: Table, name: str, expression: str) -> Column:
        """Return how the value of an expression is stored."""
        return catalog.derived_column(self.connection, table, name, expression)

    def as_text(self, column: Column) -> Column:
        """Return the column as one that is stored as PostgreSQL prints it."""
        return as_text(column)

    def as_time(self, table: Table, column: Column) -> Column | None:
        """What holds moments has a type that says so."""
        return None

    def average_row_bytes(self, table: Table) -> int:
        """Return how large a row is as text."""
        return catalog.average_row_bytes(self.connection, table)

    def check_export(self, job: Reading) -> None:
        """Find what would make reading fail, or read less than all."""
        inspection.check_export(self.connection, job)

    def purge_obstacles(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield what keeps rows from being deleted, and what to do about it."""
        return inspection.purge_obstacles(self.connection, job)

    def partitions(self, job: Job) -> PostgresPartitions:
        """Return the partitions of a job's table."""
        return partitions_of(self.connection, job)

    def vouches_for(self, snapshot_: Snapshot) -> bool:
        """Return whether the snapshot's fence holds here."""
        return snapshot.fence_holds(self.connection, snapshot_)

    def rows_by_window(self, job: Job, since: datetime | None, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield (start of window, rows); windows begin where the job's time zone says."""
        query = count_by_window(
            job.table.quoted, job.time, job.archive.window, job.zone.key, job.archive.where, since, until
        )
        aware = job.time.kind is Kind.TIMESTAMPTZ
        for text, count in self.connection.execute(statement(query)):
            moment = datetime.fromisoformat(text)
            yield (moment.astimezone(UTC) if aware else moment), count

    def rows_out_of_time(self, job: Job) -> tuple[int, int]:
        """Return the rows without a time, and those whose time is no window's."""
        query = out_of_time(job.table.quoted, job.time, job.archive.where)
        without, beyond = self.connection.execute(statement(query)).fetchone() or (0, 0)
        return without, beyond

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        query = count_rows(job.table.relation, slice_predicate(job, rows))
        return int((self.connection.execute(statement(query)).fetchone() or (0,))[0])

    def count_keys(self, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
        """Return how many rows have one of these keys."""
        query = statement(count_keys(table.quoted, key))
        return int((self.connection.execute(query, [texts.to_pylist() for texts in keys]).fetchone() or (0,))[0])

    def write_fields(self, job: Job, manifest: Manifest, target: Path) -> None:
        """Write keys and MD5s of fields as CSV."""
        write_fields(self.connection, job, manifest, target)

    def deleter(self, job: Job, manifest: Manifest) -> PostgresDeleter:
        """Return what deletes on this connection."""
        with translated(self.url):
            return PostgresDeleter(self.connection, self.url, job, manifest)

    def pressure(self, table: Table, options: ThrottleOptions) -> PostgresPressure:
        """Return what tells of the load on the server."""
        return PostgresPressure(self.connection, self.url, table, options)

    def family(self, job: Job, manifest: Manifest, proven: Mapping[str, NDArray[np.uint64]]) -> PostgresFamily:
        """Return what deletes families on this connection."""
        with translated(self.url):
            return PostgresFamily(self.connection, self.url, job, manifest, proven)

    def target(self, name: TableName) -> Target:
        """Return the table that is to receive rows."""
        return restore_target.inspect_target(self.connection, name)

    def canonical_key(self, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
        """Return a key's values as PostgreSQL reads them."""
        return key_text.canonical_key(self.connection, columns, values)

    def transaction(self) -> AbstractContextManager[psycopg.Transaction]:
        """Return a block that commits at its end."""
        return self.connection.transaction()

    def staging(self, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int) -> PostgresStaging:
        """Return a temporary table for rows on their way back."""
        return PostgresStaging(self.connection, target, fit, key, time, number)


@dataclass(frozen=True, slots=True)
class PostgresSnapshot:
    """An exported snapshot: rows are counted by psycopg, and read by connectorx, inside of it."""

    held: snapshot.HeldSnapshot

    @property
    def record(self) -> Snapshot:
        """The fence that it gives to a later DELETE."""
        return self.held.snapshot

    def vouches_for(self, snapshot_: Snapshot) -> bool:
        """Return whether that earlier snapshot's fence holds here."""
        return snapshot.fence_holds(self.held.connection, snapshot_)

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        return self.held.number(count_rows(job.table.relation, slice_predicate(job, rows)))

    def read(self, job: Reading, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
        """Yield the rows."""
        predicate = slice_predicate(job, rows)
        query = export_rows(job.table.relation, job.columns, predicate, digest=digest, utf8=job.table.utf8)
        return stream(
            self.held.url, query, job.columns,
            key=job.key, snapshot=self.held.id, batch_rows=job.rows_at_once(MAX_BATCH_ROWS),
        )  # fmt: skip
