"""SQLite as a source: what `blocks.source` asks for, put together from the files beside this one."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.delete_by_proof import Family
from blocks.dialects.sqlite import catalog, deleter, inspection
from blocks.dialects.sqlite.lock import archiver_lock
from blocks.dialects.sqlite.moments import format_named
from blocks.dialects.sqlite.query import describe_query
from blocks.dialects.sqlite.restore import SqliteStaging
from blocks.dialects.sqlite.rows import MAX_BATCH_ROWS, read_rows
from blocks.dialects.sqlite.session import Connection, database_path, session, transaction
from blocks.dialects.sqlite.source_errors import translated
from blocks.dialects.sqlite.statements import (
    count_by_window,
    count_rows,
    in_window,
    out_of_time,
    read_fields,
    slice_predicate,
)
from blocks.dialects.sqlite.types import as_text, relation
from blocks.dialects.sqlite.values import exchange_of, exchange_text_of
from blocks.partitioning import Partitions
from blocks.source import RowBatch, Slice
from blocks.throttle.pressure import NoPressure
from schemas.column_plan import Column
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.reading import Reading
from schemas.restore import UNTOUCHED
from schemas.restore_target import Fit, Target
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions


@dataclass(frozen=True, slots=True)
class SQLite:
    """A SQLite file, by its URL."""

    url: str

    @contextmanager
    def session(self) -> Iterator["SqliteSession"]:
        """Open a connection that refuses to change anything."""
        path = database_path(self.url)
        with session(path) as connection, translated(path):
            yield SqliteSession(connection, path)

    @contextmanager
    def locked(self, table: Table) -> Iterator["SqliteSession"]:
        """Open a connection that may write, and hold the table's archiver lock as long as it is open."""
        path = database_path(self.url)
        with session(path, write=True) as connection, archiver_lock(path, table), translated(path):
            yield SqliteSession(connection, path)

    @contextmanager
    def snapshot(self) -> Iterator["SqliteSnapshot"]:
        """Hold a read transaction.

        In WAL mode nobody notices. In the other journal modes whoever commits has to wait until it ends.
        """
        path = database_path(self.url)
        with session(path) as connection, translated(path):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM main.sqlite_schema").fetchone()  # the moment is that of this read
            yield SqliteSnapshot(connection, path, Snapshot(taken_at=datetime.now(UTC), cluster=f"sqlite:{path}"))


@dataclass(frozen=True, slots=True)
class SqliteSession:
    """A connection with Tidegate's settings and functions."""

    connection: Connection
    path: Path

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table, with the format of its moments as its rows have it."""
        return catalog.describe(self.connection, self.path, name)

    def describe_query(self, name: TableName, query: str, label: str) -> Table:
        """Return what a query gives, as its tables declare it and its rows have it."""
        return describe_query(self.connection, name, query, label)

    def derived_column(self, table: Table, name: str, expression: str) -> Column:
        """Return how the value of an expression is stored."""
        return catalog.derived_column(self.connection, table, name, expression)

    def as_text(self, column: Column) -> Column:
        """Return the column as one that is stored as the literals of its values."""
        return as_text(column)

    def as_time(self, table: Table, column: Column) -> Column | None:
        """Return the column as one of moments, if its rows hold moments in one of the known formats."""
        return catalog.as_time(self.connection, table, column)

    def average_row_bytes(self, table: Table) -> int:
        """Return how large a row is."""
        return catalog.average_row_bytes(self.connection, table)

    def check_export(self, job: Reading) -> None:
        """Find what would make reading fail."""
        inspection.check_export(self.connection, job)

    def purge_obstacles(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield what keeps rows from being deleted, and what to do about it."""
        return inspection.purge_obstacles(self.connection, self.path, job)

    def partitions(self, job: Job) -> Partitions:
        """SQLite has no partitions."""
        raise ConfigError(
            f"{job.table.quoted} has no partitions: SQLite knows none.",
            next_step="Set purge.mode to delete in archives.yaml.",
        )

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """SQLite numbers no row versions."""
        return False

    def rows_by_window(self, job: Job, since: datetime | None, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield (a moment of the window, rows)."""
        query = count_by_window(job.table.quoted, job.time, job.archive.window, job.archive.where, since, until)
        written = format_named(job.time.text_format)
        for group, count in self.connection.execute(query):
            yield written.moment_of_group(group), count

    def rows_out_of_time(self, job: Job) -> tuple[int, int]:
        """Return the rows without a time, and those whose time is no moment in the column's format."""
        query = out_of_time(job.table.quoted, job.time, job.archive.where)
        without, beyond = self.connection.execute(query).fetchone()
        return without, beyond

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        return _count(self.connection, job, rows)

    def count_keys(self, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
        """Return how many rows of the table have one of these keys."""
        return deleter.count_keys(self.connection, table, key, keys)

    def write_fields(self, job: Job, manifest: Manifest, target: Path) -> None:
        """Write keys and MD5s of fields as CSV. It cannot tell which rows have changed since the snapshot."""
        keys = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        time = next(c for c in manifest.columns if c.name == manifest.time_column)
        predicate = in_window(job.table.quoted, time, manifest.window, manifest.where)
        query = read_fields(job.table.quoted, keys, manifest.columns, predicate)
        with target.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow([f"k{i}" for i in range(len(keys))] + [f"f{i}" for i in range(len(manifest.columns))])
            for row in self.connection.execute(query):
                texts = [exchange_text_of(column, value) for column, value in zip(keys, row, strict=False)]
                fields = [hashlib.md5(f, usedforsecurity=False).hexdigest() for f in row[len(keys) :]]
                lines.writerow(texts + fields)

    def deleter(self, job: Job, manifest: Manifest) -> deleter.SqliteDeleter:
        """Return what deletes on this connection."""
        return deleter.SqliteDeleter(self.connection, self.path, job, manifest)

    def family(self, job: Job, manifest: Manifest, proven: Mapping[str, NDArray[np.uint64]]) -> Family:
        """Refuse: tables leave one by one."""
        raise inspection.families_refused(job)

    def pressure(self, table: Table, options: ThrottleOptions) -> NoPressure:
        """SQLite can say nothing of its load."""
        return NoPressure()

    def target(self, name: TableName) -> Target:
        """Return the table that is to receive rows."""
        table = self.describe(name)
        return Target(
            table=table,
            defaults=catalog.defaults(self.connection, table),
            writable=frozenset(column.name for column in table.columns if not column.generated),
        )

    def canonical_key(self, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
        """Return a key's values as exchange texts."""
        texts: list[str] = []
        for column, value in zip(columns, values, strict=True):
            try:
                text = exchange_of(column, value)
            except (ValueError, KeyError) as error:
                raise ConfigError(
                    f"The key {value!r} is no value of {column.name} ({column.source_type}): {error}",
                    state=UNTOUCHED,
                    next_step="Correct the key and run it again.",
                ) from None
            if text is None:
                return None
            texts.append(text)
        return texts

    def transaction(self) -> AbstractContextManager[None]:
        """Return a block that commits at its end."""
        return transaction(self.connection)

    def staging(self, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int) -> SqliteStaging:
        """Return a temporary table for rows on their way back."""
        return SqliteStaging(self.connection, target, fit, key, time, number)


@dataclass(frozen=True, slots=True)
class SqliteSnapshot:
    """A read transaction: rows are counted and read inside of it, on one connection.

    There is no other driver to count by. That the right rows are read is found by their digests, which a function
    computes from what SQLite hands it, row by row, apart from what is fetched.
    """

    connection: Connection
    path: Path
    record: Snapshot

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """SQLite numbers no row versions."""
        return False

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        return _count(self.connection, job, rows)

    def read(self, job: Reading, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
        """Yield the rows."""
        return read_rows(
            self.connection, self.path, job.table, job.columns, slice_predicate(job, rows),
            key=job.key, with_digest=digest, batch_rows=job.rows_at_once(MAX_BATCH_ROWS),
        )  # fmt: skip


def _count(connection: Connection, job: Reading, rows: Slice) -> int:
    (count,) = connection.execute(count_rows(relation(job.table), slice_predicate(job, rows))).fetchone()
    return int(count)
