"""MariaDB and MySQL as a source: what `blocks.source` asks for, put together from the files beside this one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pymysql
from numpy.typing import NDArray

from blocks.delete_by_proof import Family
from blocks.dialects.mysql import catalog, inspection, key_text, lock, restore_target, snapshot, statements
from blocks.dialects.mysql.deleter import MySQLDeleter
from blocks.dialects.mysql.fields import write_fields
from blocks.dialects.mysql.inspection import families_refused
from blocks.dialects.mysql.moments import last_moment_not_after
from blocks.dialects.mysql.query import describe_query
from blocks.dialects.mysql.restore import MySQLStaging
from blocks.dialects.mysql.session import Connection, quoted_table, relation, session
from blocks.dialects.mysql.snapshot import MySQLSnapshot
from blocks.dialects.mysql.source_errors import translated
from blocks.dialects.mysql.types import as_text
from blocks.partitioning import Partitions
from blocks.source import Slice
from blocks.throttle.pressure import NoPressure
from schemas.column_plan import Column, Kind
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.reading import Reading
from schemas.restore_target import Fit, Target
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions
from schemas.window import WindowUnit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MySQL:
    """A MariaDB or MySQL database, by its URL."""

    url: str

    @contextmanager
    def session(self) -> Iterator["MySQLSession"]:
        """Open a connection; driver errors inside of the block are translated."""
        with session(self.url) as connection, translated(self.url):
            yield MySQLSession(connection)

    @contextmanager
    def locked(self, table: Table) -> Iterator["MySQLSession"]:
        """Open a connection that holds the table's archiver lock."""
        with lock.archiver_lock(self.url, table) as connection:
            yield MySQLSession(connection)

    @contextmanager
    def snapshot(self) -> Iterator[MySQLSnapshot]:
        """Hold a moment, on the one connection that counts and reads."""
        with snapshot.held_snapshot(self.url) as held:
            yield held


@dataclass(frozen=True, slots=True)
class MySQLSession:
    """A connection with Tidegate's settings."""

    connection: Connection

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table."""
        return catalog.describe(self.connection, name)

    def describe_query(self, name: TableName, query: str, label: str) -> Table:
        """Return what a query gives, as the server announces it."""
        return describe_query(self.connection, name, query, label)

    def derived_column(self, table: Table, name: str, expression: str) -> Column:
        """Return how the value of an expression is stored."""
        return catalog.derived_column(self.connection, table, name, expression)

    def as_text(self, column: Column) -> Column:
        """Return the column as one that is stored as the server prints it."""
        return as_text(column)

    def as_time(self, table: Table, column: Column) -> Column | None:
        """What holds moments has a type that says so."""
        return None

    def average_row_bytes(self, table: Table) -> int:
        """Return how large a row is as text."""
        return catalog.average_row_bytes(self.connection, table)

    def check_export(self, job: Reading) -> None:
        """Find what would make reading fail."""
        inspection.check_export(self.connection, job)

    def purge_obstacles(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield what keeps rows from being deleted, and what to do about it."""
        return inspection.purge_obstacles(self.connection, job)

    def partitions(self, job: Job) -> Partitions:
        """Refuse: partitions are no tables of their own that could be proven before they are dropped."""
        raise ConfigError(
            f"archives[{job.archive.name}]: windows by partition are for PostgreSQL.",
            next_step="Choose hour, day, month or year for `window`, and `purge: {mode: delete}`.",
        )

    def vouches_for(self, snapshot_: Snapshot) -> bool:
        """Return False: no row says when it was written."""
        return False

    def rows_by_window(self, job: Job, since: datetime | None, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield (a moment, rows) by day, by hour, or by quarter of an hour where the moment has a time zone."""
        table, where = quoted_table(job.table), job.archive.where
        if job.time.kind is Kind.TIMESTAMPTZ:
            query = statements.count_by_quarter_hour(table, job.time, where, since, until)
            for first, last, count in self.connection.rows(query):
                yield _moment(first), count - (last > first)
                if last > first:  # the time zones of long ago had odd minutes
                    yield _moment(last), 1
        else:
            hours = job.archive.window is WindowUnit.HOUR
            query = statements.count_by_day(table, job.time, where, since, until, hours=hours)
            for text, count in self.connection.rows(query):
                yield last_moment_not_after(text), count

    def rows_out_of_time(self, job: Job) -> tuple[int, int]:
        """Return the rows without a time, and those whose time is no window's."""
        query = statements.out_of_time(quoted_table(job.table), job.time, job.archive.where)
        without, beyond = self.connection.one(query)
        return int(without), int(beyond)

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        query = statements.count_rows(relation(job.table), statements.slice_predicate(job, rows))
        return int(self.connection.one(query)[0])

    def count_keys(self, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
        """Return how many rows have one of these keys."""
        return sum(
            int(
                self.connection.one(statements.count_rows(quoted_table(table), statements.among_keys(key, literals)))[0]
            )
            for _, _, literals in statements.portions(key, keys, catalog.collations(self.connection, table))
        )

    def write_fields(self, job: Job, manifest: Manifest, target: Path) -> None:
        """Write keys and MD5s of fields as CSV."""
        write_fields(self.connection, job, manifest, target)

    def deleter(self, job: Job, manifest: Manifest) -> MySQLDeleter:
        """Return what deletes on this connection."""
        return MySQLDeleter(self.connection, job, manifest)

    def pressure(self, table: Table, options: ThrottleOptions) -> NoPressure:
        """Return what says nothing of the load; the limits that would ask for it were refused."""
        return NoPressure()

    def family(self, job: Job, manifest: Manifest, proven: Mapping[str, NDArray[np.uint64]]) -> Family:
        """Refuse: tables leave one by one."""
        raise families_refused(job)

    def target(self, name: TableName) -> Target:
        """Return the table that is to receive rows."""
        return restore_target.inspect_target(self.connection, name)

    def canonical_key(self, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
        """Return a key's values as the server reads them."""
        return key_text.canonical_key(self.connection, columns, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin a transaction that commits at the end of the block, and is rolled back on an error."""
        self.connection.run("START TRANSACTION")
        try:
            yield
        except BaseException:
            with suppress(pymysql.Error, OSError):
                self.connection.run("ROLLBACK")
            raise
        self.connection.run("COMMIT")

    def staging(self, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int) -> MySQLStaging:
        """Return a temporary table for rows on their way back."""
        return MySQLStaging(self.connection, target, fit, key, time, number)


def _moment(seconds: object) -> datetime:
    """Return a moment by its seconds since 1970, a decimal with up to six digits behind the point."""
    whole, _, fraction = str(seconds).partition(".")
    return _EPOCH + timedelta(seconds=int(whole), microseconds=int(fraction.ljust(6, "0")[:6] or 0))
