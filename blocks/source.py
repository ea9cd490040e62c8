"""A database that rows leave: what Tidegate needs of it, whatever it speaks. `blocks.open_source` knows the dialects.

A `Source` is cheap to make and opens nothing by itself. A `Session` is one connection, with the settings that make
values print the same everywhere. Errors of drivers never leave a dialect: they come out as those of `schemas.errors`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.throttle.pressure import Pressure
from schemas.column_plan import Column
from schemas.errors import SourceError, SourceUnavailable
from schemas.job import Job
from schemas.manifest import Manifest, Snapshot
from schemas.restore_target import Fit, Target, Total
from schemas.table import Table
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions
from schemas.window import Window


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of a job's table: those of a window that are in scope.

    Attributes:
        window: The window.
        where: The operator's predicate, or None.
        written_after: If given, only rows that this earlier snapshot does not vouch for. It must be one that
            `vouches_for` accepts.
    """

    window: Window
    where: str | None = None
    written_after: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows as they are stored, and their digests.

    Attributes:
        rows: A record batch in the stored schema.
        digests: One uint64 a row (`schemas.column_plan`), or None where they were not asked for.
    """

    rows: pa.RecordBatch
    digests: NDArray[np.uint64] | None


@dataclass(frozen=True, slots=True)
class KeyBatch:
    """Keys of proven rows that are to be deleted in one transaction.

    Attributes:
        keys: For each column of the key, the texts (`schemas.column_plan.exchange_text`) of its values.
        raw_digests: One uint64 a row: an MD5's first 8 bytes, little-endian.
    """

    keys: tuple[pa.StringArray, ...]
    raw_digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.raw_digests)

    @property
    def digests(self) -> list[str]:
        """The digests as databases print them: the first 16 hex digits of an MD5."""
        return [f"{digest:016x}" for digest in self.raw_digests.byteswap().tolist()]

    @classmethod
    def of(cls, rows: pa.RecordBatch) -> Self:
        """Return rows of the evidence (`tasks.verify.VerifiedGeneration.keys`) as a batch."""
        *keys, digests = rows.columns
        return cls(tuple(keys), digests.to_numpy())


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of the rows of a batch; each is in one of the counts, or was already gone.

    Attributes:
        by_fence: Deleted, as the snapshot vouches for the version that was found.
        by_digest: Deleted, as the content that was found has the archived digest.
        changed_since: Still there, with other content.
    """

    by_fence: int
    by_digest: int
    changed_since: int


@dataclass(frozen=True, slots=True)
class LockedRows:
    """Rows of a batch that others have locked.

    Attributes:
        rows: For each row of the batch whether it is locked; a few may be missed, and are found by a Collision.
        holders: Who holds the locks, in words, as far as that can be seen.
    """

    rows: NDArray[np.bool_]
    holders: tuple[str, ...] = ()


class Collision(SourceUnavailable):
    """A batch met a deadlock, a serialization failure or somebody else's lock; it was rolled back."""


class RowsKept(SourceError):
    """The database did not delete rows that are still what was archived; the batch was rolled back."""


class TooLarge(SourceError):
    """One transaction would delete more than it may; the batch was rolled back, and a smaller one may pass."""


class Deleter(Protocol):
    """Deletes proven rows of one generation, batch by batch, on the session that holds the archiver lock."""

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version.

        That a row is still that version is found by the statement that deletes it.

        Raises:
            Collision: Nothing of the batch was deleted; the same batch may be tried again.
            RowsKept: Triggers keep rows; nothing of the batch was deleted.
            SourceError, SourceUnavailable: Anything else; the batch was deleted as a whole, or not at all.
        """
        ...

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Return which rows of the batch others have locked now, without waiting for any of them.

        Raises:
            Collision: Somebody has locked the whole table.
        """
        ...


class Family(Deleter, Protocol):
    """Deletes rows together with their children, batches of parents' keys at a time: a family leaves whole, or stays.

    Attributes:
        deleted: For each dataset, the digests of the rows that were deleted, batch by batch.
    """

    deleted: dict[str, list[NDArray[np.uint64]]]


class Staging(Protocol):
    """Rows on their way back into a table, in the session's transaction; they go with it."""

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows: a text column for each written column (NULL is NULL), then the digest as 16 hex digits."""
        ...

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        ...

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        ...

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        ...

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        ...

    def insert(self) -> int:
        """Put its rows into the table, and return how many the table took."""
        ...

    def total_in_table(self) -> Total:
        """Return count and combined digest, by the database, of the table's rows with the staged keys (or content)."""
        ...

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        ...


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a table.

    Attributes:
        name: Its quoted name, as a table of its own.
        window: The times that it holds; None if they have no beginning or no end.
        bound: What makes it this partition, in the words of the database.
    """

    name: str
    window: Window | None
    bound: str


class TakenOut(Protocol):
    """A partition that is a table of its own for the moment."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold it against everybody: what is counted in this block is what `drop` drops. Commits at the end."""
        ...

    def drop(self) -> None:
        """Drop it, to be called in a `locked` block."""
        ...


class Partitions(Protocol):
    """The partitions of a job's table."""

    def listed(self) -> list[Partition]:
        """Return all of them, by name."""
        ...

    def holding(self, window: Window) -> Partition | None:
        """Return the partition with exactly these bounds, or None if there is none any more."""
        ...

    def take_back(self) -> list[str]:
        """Attach again what a run that died had taken out of the table, and return its names."""
        ...

    def write_digests(self, partition: Partition, columns: tuple[Column, ...], target: Path) -> int:
        """Write the first 16 hex digits of each row's MD5, a line each, and return how many rows were counted."""
        ...

    def taken_out(self, partition: Partition) -> AbstractContextManager[TakenOut]:
        """Take a partition out of its table for as long as the block lives; unless it was dropped, it goes back."""
        ...


class Session(Protocol):
    """One connection, in autocommit mode but for `transaction`."""

    # What the catalog says.

    def describe(self, name: TableName) -> Table:
        """Return what the catalog says of a table.

        Raises:
            ConfigError: There is no such table, or it is none.
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

    def check_export(self, job: Job) -> None:
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

    def count(self, job: Job, rows: Slice) -> int:
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

    def count(self, job: Job, rows: Slice) -> int:
        """Return the number of rows, asked by another driver than the one that reads them."""
        ...

    def read(self, job: Job, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
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
