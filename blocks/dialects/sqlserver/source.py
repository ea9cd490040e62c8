"""SQL Server as a source: what `blocks.source` asks for. Not verified against a server."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.delete_by_proof import Family
from blocks.dialects.sqlserver import statements as sql
from blocks.dialects.sqlserver.catalog import check_expression, delete_triggers, derived_column, describe, target
from blocks.dialects.sqlserver.connection import Connection, session
from blocks.dialects.sqlserver.deleter import SqlServerDeleter, as_json, transaction
from blocks.dialects.sqlserver.restore import SqlServerStaging
from blocks.dialects.sqlserver.rows import decode
from blocks.dialects.sqlserver.types import field_expression, read_expression
from blocks.partitioning import Partitions
from blocks.source import RowBatch, Slice
from blocks.throttle.pressure import NoPressure, unsupported
from schemas.column_plan import Column, Kind
from schemas.errors import Busy, ConfigError
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.reading import Reading
from schemas.restore_target import Fit, Target
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions


@dataclass(frozen=True, slots=True)
class SQLServer:
    """A SQL Server database, by its URL."""

    url: str

    @contextmanager
    def session(self) -> Iterator["SqlServerSession"]:
        """Open a connection."""
        with session(self.url) as connection:
            yield SqlServerSession(connection)

    @contextmanager
    def locked(self, table: Table) -> Iterator["SqlServerSession"]:
        """Open a connection that holds the table's archiver lock."""
        with session(self.url) as connection:
            ((granted,),) = connection.rows(sql.TAKE_LOCK, lock_name(table))
            if granted < 0:
                raise Busy(
                    f"Another archiver works on {table.quoted}.",
                    state="This run changed nothing in the source.",
                    next_step="Wait for it to end and run the same command again.",
                )
            yield SqlServerSession(connection)

    @contextmanager
    def snapshot(self) -> Iterator["SqlServerSnapshot"]:
        """Hold a transaction under SNAPSHOT isolation; without it, an export would not be of one moment."""
        with session(self.url) as connection:
            ((allowed, database),) = connection.rows(sql.SNAPSHOT_ALLOWED)
            if not allowed:
                raise ConfigError(
                    f"The database {database} does not allow snapshots, so that no moment of it can be read.",
                    next_step=f"ALTER DATABASE [{database}] SET ALLOW_SNAPSHOT_ISOLATION ON",
                )
            connection.run(sql.BEGIN_SNAPSHOT)
            ((place, now),) = connection.rows(sql.PLACE)
            record = Snapshot(taken_at=now.replace(tzinfo=UTC), cluster=f"sqlserver:{place}")
            yield SqlServerSnapshot(connection, record)


def lock_name(table: Table) -> str:
    """Return the name of a table's archiver lock; names are cut at 255 characters, so it is a digest."""
    return f"tidegate {hashlib.sha256(table.quoted.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class SqlServerSession:
    """A connection with Tidegate's settings."""

    connection: Connection

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table."""
        return describe(self.connection, name)

    def describe_query(self, name: TableName, query: str, label: str) -> Table:
        """Refuse: what a query gives was never read from a server."""
        raise ConfigError(
            f"{label}: queries are not supported for sources of type sqlserver.",
            next_step="Read the tables that it is made of, and join them in a pipeline.",
        )

    def derived_column(self, table: Table, name: str, expression: str) -> Column:
        """Return how the value of an expression is stored."""
        return derived_column(self.connection, table, name, expression)

    def as_text(self, column: Column) -> Column:
        """No other text is kept than the one that the column plan has for a type."""
        if column.kind is Kind.TEXT:
            return column
        raise ConfigError(
            f"columns.as_text: {column.name} ({column.source_type}); this is not supported for SQL Server.",
            next_step="Exclude the column, and derive a text from it under another name (columns.derive).",
        )

    def as_time(self, table: Table, column: Column) -> Column | None:
        """What holds moments has a type that says so."""
        return None

    def average_row_bytes(self, table: Table) -> int:
        """Return how large a row is, judged by a few hundred of them."""
        sizes = " + ".join(f"COALESCE(CAST(DATALENGTH({c.quoted}) AS bigint), 0)" for c in table.columns)
        query = f"SELECT AVG(size) FROM (SELECT TOP 300 {sizes} AS size FROM {table.quoted}) AS sample"
        return int(self.connection.rows(query)[0][0] or 0)

    def check_export(self, job: Reading) -> None:
        """Find what would make reading fail, or read less than all."""
        if job.with_children:
            raise families_refused(job)
        if not job.table.may_select:
            raise ConfigError(
                f"The source's login may not read {job.table.quoted}.",
                next_step=f"GRANT SELECT ON {job.table.quoted} TO the user that the source connects as.",
            )
        if self.connection.rows(sql.HIDDEN_ROWS, _object_id(self.connection, job.table))[0][0]:
            raise ConfigError(
                f"A security policy may hide rows of {job.table.quoted} from the source's login.",
                next_step="Archive as a user that the policy shows all rows, with the policy off for the time.",
            )
        if job.where is not None:
            check_expression(self.connection, sql.one_expression(job.table, job.where), f"{job.label}.where")

    def purge_obstacles(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield what keeps rows from being deleted, and what to do about it."""
        triggers = delete_triggers(self.connection, job.table)
        instead = [name for name, is_instead in triggers if is_instead]
        unnamed = sorted({name for name, _ in triggers} - {*instead, *job.archive.purge.triggers})
        if unnamed:
            yield (
                f"Triggers of {job.table.quoted} fire when its rows are deleted, and may delete or change other rows: "
                f"{', '.join(unnamed)}.",
                f"Look at what they do. If that is meant to happen, name each of them under {job.label}.purge.triggers,"
                " or run with --no-purge.",
            )
        if instead:
            yield (
                f"Triggers of {job.table.quoted} take the place of a DELETE: {', '.join(instead)}.",
                "Drop them, or run with --no-purge.",
            )
        if not job.table.may_delete:
            yield (
                f"The source's login may not delete from {job.table.quoted}.",
                f"GRANT DELETE ON {job.table.quoted} TO the user that the source connects as; or run with --no-purge.",
            )
        yield from unsupported(job.archive.purge, "SQL Server", f"archives[{job.archive.name}].purge")

    def partitions(self, job: Job) -> Partitions:
        """Partitions are not looked at."""
        raise ConfigError(
            f"{job.table.quoted}: partitions of SQL Server are not supported.",
            next_step="Set purge.mode to delete in archives.yaml.",
        )

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """SQL Server shows no versions of rows that could be compared."""
        return False

    def rows_by_window(self, job: Job, since: datetime | None, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield (start of window, rows)."""
        query = sql.count_by_window(job.table.quoted, job.time, job.archive.window, job.archive.where, since, until)
        for text, count in self.connection.rows(query):
            yield datetime.fromisoformat(f"{text}{'0001-01-01T00:00:00'[len(text) :]}"), count

    def rows_out_of_time(self, job: Job) -> tuple[int, int]:
        """Return the rows without a time, and those whose time is no window's."""
        ((without, beyond),) = self.connection.rows(sql.out_of_time(job.table.quoted, job.time, job.archive.where))
        return without, beyond

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        return _count(self.connection, job, rows)

    def count_keys(self, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
        """Return how many rows of the table have one of these keys."""
        digests = [""] * len(keys[0])
        return int(self.connection.rows(sql.count_keys(table.quoted, key), as_json(keys, digests))[0][0])

    def write_fields(self, job: Job, manifest: Manifest, target: Path) -> None:
        """Write keys and MD5s of fields as CSV. It cannot tell which rows have changed since the snapshot."""
        keys = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        texts = [f"CAST({read_expression(c, sql.reference(c))} AS nvarchar(max))" for c in keys]
        fields = [f"CAST({field_expression(c, sql.reference(c))} AS varbinary(max))" for c in manifest.columns]
        md5s = [f"LOWER(CONVERT(char(32), HASHBYTES('MD5', {field}), 2))" for field in fields]
        predicate = sql.in_window(job.time, manifest.window, manifest.where)
        query = f"SELECT {', '.join(texts + md5s)} FROM {job.table.quoted} AS t WHERE {predicate}"
        with target.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow([f"k{i}" for i in range(len(texts))] + [f"f{i}" for i in range(len(md5s))])
            lines.writerows(self.connection.stream(query))

    def deleter(self, job: Job, manifest: Manifest) -> SqlServerDeleter:
        """Return what deletes on this connection."""
        return SqlServerDeleter(self.connection, job, manifest)

    def family(self, job: Job, manifest: Manifest, proven: Mapping[str, NDArray[np.uint64]]) -> Family:
        """Refuse: tables leave one by one."""
        raise families_refused(job)

    def pressure(self, table: Table, options: ThrottleOptions) -> NoPressure:
        """The load on SQL Server is not looked at."""
        return NoPressure()

    def target(self, name: TableName) -> Target:
        """Return the table that is to receive rows."""
        return target(self.connection, name)

    def canonical_key(self, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
        """Return a key's values as SQL Server reads them; one that a cast would cut is no row's."""
        texts = []
        for column, value in zip(columns, values, strict=True):
            typed = f"TRY_CAST(%s AS {column.source_type})"
            query = f"SELECT CAST({read_expression(column, typed)} AS nvarchar(max))"
            ((text,),) = self.connection.rows(query, *[value] * query.count("%s"))
            if text is None:
                raise ConfigError(
                    f"The key {value!r} is no value of {column.name} ({column.source_type}).",
                    next_step="Correct the key and run it again.",
                )
            texts.append(text)
        return texts

    def transaction(self) -> AbstractContextManager[None]:
        """Return a block that commits at its end."""
        return transaction(self.connection)

    def staging(self, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int) -> SqlServerStaging:
        """Return a temporary table for rows on their way back."""
        return SqlServerStaging(self.connection, target, fit, key, time, number)


@dataclass(frozen=True, slots=True)
class SqlServerSnapshot:
    """A transaction under SNAPSHOT isolation: rows are counted and read inside of it, on one connection."""

    connection: Connection
    record: Snapshot

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """SQL Server shows no versions of rows that could be compared."""
        return False

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        return _count(self.connection, job, rows)

    def read(self, job: Reading, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
        """Yield the rows."""
        predicate = sql.slice_predicate(job, rows)
        query = sql.export_rows(job.table.quoted, job.columns, predicate, with_digest=digest)
        for portion in self.connection.portions(query, rows=job.rows_at_once(8192)):
            yield decode(portion, job.columns, job.key, with_digest=digest)


def families_refused(job: Reading) -> ConfigError:
    """Return the error that says that children do not leave together with their parents here."""
    return ConfigError(
        f"{job.label}.children: families of tables are not supported for SQL Server.",
        next_step="Archive each of the tables by an entry of its own, those that refer to others first.",
    )


def _count(connection: Connection, job: Reading, rows: Slice) -> int:
    return int(connection.rows(sql.count_rows(job.table.quoted, sql.slice_predicate(job, rows)))[0][0])


def _object_id(connection: Connection, table: Table) -> Any:
    return connection.rows("SELECT OBJECT_ID(%s)", table.quoted)[0][0]
