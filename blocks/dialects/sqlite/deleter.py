"""Delete by proof: in the statement that deletes a row, SQLite finds that its content is still what was archived.

SQLite numbers no row versions, so the digest of the present content decides, always. A batch is a transaction; it
is the only one that writes, so that nobody can come between two of its statements.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch, LockedRows, RowsKept
from blocks.dialects.sqlite.catalog import column_names, reuses_numbers
from blocks.dialects.sqlite.dependents import delete_triggers, referenced_by
from blocks.dialects.sqlite.moments import Value
from blocks.dialects.sqlite.session import Connection, one, transaction
from blocks.dialects.sqlite.source_errors import primary_code, translate
from blocks.dialects.sqlite.statements import delete_equal, in_window, look_at, operators_predicate, same_key
from blocks.dialects.sqlite.types import DIGEST_BYTES
from blocks.dialects.sqlite.values import restorer
from blocks.run_log import log_event
from schemas.column_plan import Column
from schemas.errors import ProofFailed, SourceError
from schemas.job import Job
from schemas.manifest import Manifest
from schemas.table import Table

_LOOK_AT_CLOCK = 10_000  # instructions of SQLite's machine: well below a millisecond


class SqliteDeleter:
    """Deletes the proven rows of one generation.

    Args:
        connection: Held together with the archiver lock; gets the job's time limits.
        path: The database.
        job: The job.
        manifest: Of the generation.
    """

    def __init__(self, connection: Connection, path: Path, job: Job, manifest: Manifest) -> None:
        self._connection, self._path, self._table = connection, path, job.table
        table, options = job.table.quoted, job.archive.purge
        self._key = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        # The keys are proven; the statement says once more what may be deleted at all: what was in scope and still is.
        time_column = next(c for c in manifest.columns if c.name == manifest.time_column)
        predicate = in_window(table, time_column, manifest.window, manifest.where)
        if job.archive.where != manifest.where:
            predicate += operators_predicate(job.archive.where)
        archived = {column.name for column in manifest.columns if column.derived is None}
        self._known = archived | (set(manifest.excluded) & set(job.archive.purge.discard_columns))
        self._archive = manifest.archive
        self._named_triggers = set(options.triggers)
        self._schema_looked_at: int | None = None
        self._triggers: list[str] = []
        self._delete_equal = delete_equal(table, self._key, manifest.columns, predicate)
        self._look_at = look_at(table, self._key, manifest.columns, predicate)
        self._is_there = f"SELECT 1 FROM {table} WHERE {same_key(table, self._key)}"
        self._reused = None
        if manifest.key == job.table.primary_key and reuses_numbers(connection, job.table):
            self._reused = f"SELECT max({self._key[0].quoted}) FROM {table}"
        self._statement_timeout_s = options.statement_timeout_s
        connection.execute(f"PRAGMA busy_timeout = {max(1, int(options.lock_timeout_s * 1000))}")

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version."""
        try:
            with self._time_limit(), transaction(self._connection):
                return self._delete(batch)
        except sqlite3.Error as error:
            failure = translate(error, self._path)
            if primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise Collision(failure.what, next_step=failure.next_step) from None
            if primary_code(error) == sqlite3.SQLITE_CONSTRAINT:
                failure.next_step += f" Its triggers: {', '.join(self._triggers) or 'none on a DELETE'}."
            raise failure from None

    def locked(self, batch: KeyBatch) -> LockedRows:
        """SQLite locks no rows: whoever writes has the whole database, and a batch waits for it at its beginning."""
        return LockedRows(np.zeros(len(batch), dtype=np.bool_))

    def _delete(self, batch: KeyBatch) -> BatchOutcome:
        self._refuse_another_table()
        deleted = changed = 0
        highest = self._connection.execute(self._reused).fetchone()[0] if self._reused else None
        cursor = self._connection.cursor()
        for key, digest in zip(key_values(self._key, batch.keys), _digests(batch), strict=True):
            found = cursor.execute(self._delete_equal, (*key, digest)).rowcount
            if found > 1:
                raise SourceError(
                    f"{self._table.quoted} holds several rows with the key {key}; none of this batch was deleted.",
                    next_step="Make the key unique again.",
                )
            deleted += found
            if found and key[0] == highest:
                log_event(
                    "highest_key_deleted", table=self._table.quoted, key=highest,
                    meaning="without AUTOINCREMENT, SQLite gives it to a new row, which will pass for a newer version",
                )  # fmt: skip
            if found and not self._triggers:
                continue
            left = cursor.execute(self._look_at, (digest, *key)).fetchone()
            if left is None:
                continue
            if found or left[0]:
                raise RowsKept(
                    f"{self._table.quoted} keeps rows that it was told to delete, such as the one with key {key}. "
                    f"Its triggers: {', '.join(self._triggers) or 'none on a DELETE'}.",
                    next_step="Settle what the triggers are to do.",
                )
            changed += 1
        return BatchOutcome(0, deleted, changed)

    def _refuse_another_table(self) -> None:
        """Refuse a table that is no longer what was looked at; while the transaction lasts, nobody can alter it.

        Raises:
            ProofFailed: Rows have more to them than was archived.
            SourceError: Their going would change rows of others, by triggers or foreign keys that nobody looked at.
        """
        (version,) = one(self._connection, "PRAGMA main.schema_version")
        if version == self._schema_looked_at:
            return
        added = sorted(set(column_names(self._connection, self._table)) - self._known)
        if added:
            raise ProofFailed(
                f"{self._table.quoted} has columns that were not archived: {', '.join(added)}.",
                next_step=f"tidegate archive {self._archive} archives its rows again as they are now.",
            )
        self._triggers = delete_triggers(self._connection, self._table)
        unnamed = sorted(set(self._triggers) - self._named_triggers)
        if unnamed:
            raise SourceError(
                f"{self._table.quoted} has triggers for DELETE that purge.triggers does not name: "
                f"{', '.join(unnamed)}.",
                next_step="Look at what they do. If that is meant to happen, name them there, or else drop them.",
            )
        for key in referenced_by(self._connection, self._table.name, self._table.primary_key):
            if key.on_delete not in {"no action", "restrict"}:
                raise SourceError(
                    f"Deleting from {self._table.quoted} would change rows of another table: {key}.",
                    next_step="Make the key NO ACTION.",
                )
        self._schema_looked_at = version

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        """Interrupt what takes longer than a statement may; a batch is many small ones, so it counts as one."""
        until = time.monotonic() + self._statement_timeout_s
        self._connection.set_progress_handler(lambda: time.monotonic() > until, _LOOK_AT_CLOCK)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)


def count_keys(connection: Connection, table: Table, key: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> int:
    """Return how many rows of the table have one of these keys."""
    query = f"SELECT count(*) FROM {table.quoted} WHERE {same_key(table.quoted, key)}"
    return sum(connection.execute(query, values).fetchone()[0] for values in key_values(key, keys))


def key_values(columns: tuple[Column, ...], keys: tuple[pa.StringArray, ...]) -> Iterator[tuple[Value, ...]]:
    """Yield, row by row, the values that texts of keys stand for."""
    restored = (map(restorer(column), texts.to_pylist()) for column, texts in zip(columns, keys, strict=True))
    return zip(*restored, strict=True)


def _digests(batch: KeyBatch) -> Iterator[bytes]:
    raw = batch.raw_digests.astype("<u8").tobytes()
    return (raw[i : i + DIGEST_BYTES] for i in range(0, len(raw), DIGEST_BYTES))
