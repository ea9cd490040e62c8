"""A database that rows leave: what Tidegate needs of it, whatever it speaks. `blocks.open_source` knows the dialects.

A `Source` is cheap to make and opens nothing by itself. A `Session` is one connection, with the settings that make
values print the same everywhere. Errors of drivers never leave a dialect: they come out as those of `schemas.errors`.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.delete_by_proof import Deleter, Family
from blocks.partitioning import Partitions
from blocks.staging import Staging
from blocks.throttle.pressure import Pressure
from schemas.column_plan import Column
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.reading import Reading
from schemas.restore_target import Fit, Target
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions
from schemas.window import Window


@dataclass(frozen=True, slots=True)
class Since:
    """Rows from a value of a column on, and those without a value, of which nobody can tell when they came.

    Attributes:
        column: An integer, or one that holds moments.
        value: Where to begin: rows with this very value are among them.
    """

    column: Column
    value: int | datetime


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of a table that are in scope: those of a window, or all, or those since some value.

    Attributes:
        window: The window of a job, or None.
        where: The operator's predicate, or None.
        written_after: If given, only rows that this earlier snapshot does not vouch for. It must be one that
            `vouches_for` accepts.
        since: If given, only rows from there on; instead of a window.
    """

    window: Window | None = None
    where: str | None = None
    written_after: Snapshot | None = None
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows as they are stored, and their digests.

    Attributes:
        rows: A record batch in the stored schema.
        digests: One uint64 a row (`schemas.column_plan`), or None where they were not asked for.
    """

    rows: pa.RecordBatch
    digests: NDArray[np.uint64] | None


class Session(Protocol):
    """One connection, in autocommit mode but for `transaction`."""

    # What the catalog says.

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table.

        Raises:
            ConfigError: There is no such table, or it is none.
        """
        ...

    def describe_query(self, name: TableName, query: str, label: str) -> Table:
        """Return what a query gives. From here on the session can change nothing in the source.

        Args:
            name: What it is called: the source and the dataset.
            query: The operator's SQL.
            label: Where the configuration has it, for errors.

        Raises:
            ConfigError: It is not one query, the database refuses it, or two of its columns have one name.
        """
        ...

    def derived_column(self, table: Table, name: str, expression: str) -> Column:
        """Return how the value of an operator's expression over the table's columns is stored.

        Raises:
            ConfigError: The text is not one expression over a row of this table.
        """
        ...

    def as_text(self, column: Column) -> Column:
        """Return a column of a table as one that is stored as the text that the database prints, and reads back.

        Raises:
            ConfigError: No text stands for its values.
        """
        ...

    def as_time(self, table: Table, column: Column) -> Column | None:
        """Return a column, of whose type nobody can tell that it holds moments, as one that does; None if it does not.

        Where a database has no types for time, the time column's values say how they are written.
        """
        ...

    def average_row_bytes(self, table: Table) -> int:
        """Return how large a row of the table is as text, judged by a few hundred of them; 0 if it is empty."""
        ...

    def check_export(self, job: Reading) -> None:
        """Find what would make reading fail, or read less than all: rights, hidden rows, a wrong predicate.

        Raises:
            ConfigError: With what to change.
        """
        ...

    def purge_obstacles(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield what, in this kind of database, keeps rows of the table from being deleted, and what to do about it."""
        ...

    def partitions(self, job: Job) -> Partitions:
        """Return the partitions of a job's table.

        Raises:
            ConfigError: It has none, or they are not ranges of the time column, or such a database has none.
        """
        ...

    # Planning and proving.

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """Return whether row versions here can be told to be older than that snapshot."""
        ...

    def rows_by_window(self, job: Job, since: datetime | None, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield (a moment of the window, rows) for the windows that hold rows in scope.

        Moments are as the time column has them: aware (UTC) or naive.
        """
        ...

    def rows_out_of_time(self, job: Job) -> tuple[int, int]:
        """Return how many rows no window can hold: those whose time is NULL, those beyond years 1 to 9998."""
        ...

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        ...

    def count_keys(self, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
        """Return how many rows of the table have one of these keys, in scope or not, changed or not.

        Args:
            table: The table.
            key: The key's columns, as the table has them.
            keys: For each of them, the texts of its values, as in `KeyBatch`.
        """
        ...

    def write_fields(self, job: Job, manifest: Manifest, target: Path) -> None:
        """Write a CSV file with a header: `k0`, `k1`, … (the key's texts) and `f0`, `f1`, … of the window's rows.

        `fN` is the MD5 of the N-th column's canonical field. Rows that are known to have changed since the
        generation's snapshot are left out.
        """
        ...

    # Deleting.

    def deleter(self, job: Job, manifest: Manifest) -> Deleter:
        """Return what deletes the rows of a generation on this connection, with the job's time limits set."""
        ...

    def pressure(self, table: Table, options: ThrottleOptions) -> Pressure:
        """Return what tells of the load on the database; `purge_obstacles` has refused the limits it cannot keep."""
        ...

    def family(self, job: Job, manifest: Manifest, proven: Mapping[str, NDArray[np.uint64]]) -> Family:
        """Return what deletes families on this connection.

        Args:
            job: The parents' job, with its children.
            manifest: A generation of the parents, whose window and scope say which rows may be deleted at all.
            proven: For each dataset of the family, the sorted digests of the rows that were just proven.
        """
        ...

    # Putting back.

    def target(self, name: TableName) -> Target:
        """Return the table that is to receive rows.

        Raises:
            ConfigError: There is no such table, or it may not be read.
        """
        ...

    def canonical_key(self, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
        """Return a key's values, as somebody wrote them, as exchange texts, or None if no row can have that key.

        Raises:
            ConfigError: A value cannot be read as its column's type.
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Return a block that commits at its end, and rolls back on an error."""
        ...

    def staging(self, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int) -> Staging:
        """Return an empty place for rows on their way into the table, inside the transaction.

        Args:
            target: The table that receives them.
            fit: How they fit.
            key: The key's columns; rows of a table without one are known by their whole content.
            time: Name of the time column; where there is no key, it limits where equal rows are looked for.
            number: Tells the staging places of a transaction apart.
        """
        ...


class SourceSnapshot(Protocol):
    """One moment of the source, held for as long as the block lives: whatever is read here is of that moment."""

    @property
    def record(self) -> Snapshot:
        """What a manifest keeps of it."""
        ...

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """Return whether row versions here can be told to be older than that earlier snapshot."""
        ...

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows, asked by another driver than the one that reads them."""
        ...

    def read(self, job: Reading, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
        """Yield the rows, in the stored types.

        Raises:
            SourceUnavailable: The connection was lost.
            UnsupportedValue: A value does not fit the type its column is stored as.
        """
        ...


class Source(Protocol):
    """A database, by its URL."""

    @property
    def url(self) -> str:
        """It holds the password: log it never."""
        ...

    def session(self) -> AbstractContextManager[Session]:
        """Open a connection for as long as the block lives.

        Raises:
            ConfigError: A malformed URL, a wrong password, an unknown database or user, or a server that is too old.
            SourceUnavailable: It could not be reached.
        """
        ...

    def locked(self, table: Table) -> AbstractContextManager[Session]:
        """Open a connection that holds the table's archiver lock: losing the one is losing the other.

        Raises:
            Busy: Another archiver holds it.
        """
        ...

    def snapshot(self) -> AbstractContextManager[SourceSnapshot]:
        """Hold a moment of the source for as long as the block lives."""
        ...
