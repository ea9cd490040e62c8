"""Delete by proof: in the statement that deletes a row, the server finds that its content has the archived digest.

A batch is a transaction of one statement, or of a few where its keys would make too long a text.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pymysql

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch, LockedRows, RowsKept
from blocks.dialects.mysql.catalog import collations, unique_keys
from blocks.dialects.mysql.inspection import delete_triggers
from blocks.dialects.mysql.session import Connection, literal, quoted_table
from blocks.dialects.mysql.source_errors import COLLISIONS, code_of, translate, translated
from blocks.dialects.mysql.statements import (
    among_keys,
    count_left,
    delete_equal,
    in_window,
    operators_predicate,
    portions,
    select_digests,
)
from schemas.config import PurgeOptions
from schemas.errors import ProofFailed, SourceError
from schemas.job import Job
from schemas.manifest import Manifest


class MySQLDeleter:
    """Deletes the proven rows of one generation.

    Args:
        connection: Holds the archiver lock; gets the job's time limits.
        job: The job.
        manifest: Of the generation.
    """

    def __init__(self, connection: Connection, job: Job, manifest: Manifest) -> None:
        self._connection, self._job, self._manifest = connection, job, manifest
        self._table = quoted_table(job.table)
        self._key = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        indexes = unique_keys(connection, job.table.schema_name, job.table.name)
        self._collations = collations(connection, job.table)
        self._index = next((name for name, columns in indexes.items() if set(columns) == set(manifest.key)), None)
        # The keys are proven; the statement says once more what may be deleted at all: what was in scope and still is.
        self._predicate = in_window(job.time, manifest.window, manifest.where)
        if job.archive.where != manifest.where:
            self._predicate += operators_predicate(job.archive.where)
        archived = {column.name for column in manifest.columns if column.derived is None}
        self._known = archived | (set(manifest.excluded) & set(job.archive.purge.discard_columns))
        _limit(connection, job.archive.purge)

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version."""
        with self._transaction(end="COMMIT"):
            return self._delete(batch)

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Return which rows of the batch, of those that are still what was archived, others have locked now.

        MariaDB before 10.6 cannot say, and then none seems to be locked.

        Raises:
            Collision: Somebody has locked the whole table.
        """
        there: set[str] = set()
        free: set[str] = set()
        with self._transaction(end="ROLLBACK"):
            try:
                for among, _ in self._statements(batch):
                    query = select_digests(self._table, self._index, among, self._manifest.columns)
                    free.update(digest for (digest,) in self._connection.rows(f"{query} FOR UPDATE SKIP LOCKED"))
                    there.update(digest for (digest,) in self._connection.rows(query))
            except pymysql.ProgrammingError:
                there.clear()
        return LockedRows(np.array([digest in there and digest not in free for digest in batch.digests], dtype=bool))

    def _statements(self, batch: KeyBatch) -> list[tuple[str, str]]:
        """Return (predicate of the keys, list of the digests) for each of the statements that a batch takes."""
        digests = [f"'{digest}'" for digest in batch.digests]
        return [
            (among_keys(self._key, keys), ", ".join(digests[first:last]))
            for first, last, keys in portions(self._key, batch.keys, self._collations)
        ]

    @contextmanager
    def _transaction(self, end: str) -> Iterator[None]:
        """Open a transaction for the block; a lock that was waited for in vain is a Collision."""
        url = self._connection.url
        with translated(url):
            try:
                self._connection.run("START TRANSACTION")
                yield
                self._connection.run(end)
            except BaseException as error:
                with suppress(pymysql.Error, OSError):
                    self._connection.run("ROLLBACK")
                if isinstance(error, pymysql.Error) and code_of(error) in COLLISIONS:
                    failure = translate(error, url)
                    raise Collision(failure.what, next_step=failure.next_step) from None
                raise

    def _delete(self, batch: KeyBatch) -> BatchOutcome:
        self._refuse_another_table()
        statements = self._statements(batch)
        deleted = present = kept = 0
        for among, among_digests in statements:
            deleted += self._connection.run(
                delete_equal(
                    self._table, self._index, f"{among} AND {self._predicate}", self._manifest.columns, among_digests
                )
            )
        if deleted > len(batch):
            raise SourceError(
                f"{self._table} has {deleted} rows with the keys of {len(batch)}; none of this batch was deleted.",
                next_step="Make the key unique again.",
            )
        if deleted < len(batch):
            for among, among_digests in statements:
                query = count_left(
                    self._table, self._index, among, self._manifest.columns, among_digests, self._predicate
                )
                still, had_to_go = self._connection.one(query)
                present, kept = present + still, kept + had_to_go
        if kept:
            triggers = ", ".join(delete_triggers(self._connection, self._job.table)) or "none"
            raise RowsKept(
                f"{self._table} keeps rows that it was told to delete: {kept} of a batch of {len(batch)}. "
                f"Its triggers for DELETE: {triggers}.",
                next_step="Settle what the triggers are to do.",
            )
        return BatchOutcome(by_fence=0, by_digest=deleted, changed_since=present)

    def _refuse_another_table(self) -> None:
        """Refuse a table that is no longer what was looked at; until the commit, nobody can alter it.

        Raises:
            ProofFailed: Rows have more to them than was archived.
            SourceError: Triggers would fire that nobody has looked at, or a key may mean several rows.
        """
        table = self._job.table
        self._connection.rows(f"SELECT 1 FROM {self._table} LIMIT 0")
        now = self._connection.rows(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = {literal(table.schema_name)} AND TABLE_NAME = {literal(table.name)}"
        )
        added = sorted({name for (name,) in now} - self._known)
        if added:
            raise ProofFailed(
                f"{self._table} has columns that were not archived: {', '.join(added)}.",
                next_step=f"tidegate archive {self._manifest.archive} archives its rows again as they are now.",
            )
        unnamed = sorted(set(delete_triggers(self._connection, table)) - set(self._job.archive.purge.triggers))
        if unnamed:
            raise SourceError(
                f"{self._table} has triggers for DELETE that purge.triggers does not name: {', '.join(unnamed)}.",
                next_step="Look at what they do. If that is meant to happen, name them there, or else drop them.",
            )
        indexes = unique_keys(self._connection, table.schema_name, table.name)
        if set(self._manifest.key) not in map(set, indexes.values()):
            raise SourceError(
                f"No unique index of {self._table} covers exactly ({', '.join(self._manifest.key)}) any more, so a "
                "key might mean several rows.",
                next_step="Make the key unique again.",
            )


def _limit(connection: Connection, options: PurgeOptions) -> None:
    lock_wait_s = max(1, math.ceil(options.lock_timeout_s))  # whole seconds, and no less than one
    connection.run(f"SET SESSION innodb_lock_wait_timeout = {lock_wait_s}, SESSION lock_wait_timeout = {lock_wait_s}")
    if connection.is_mariadb:
        connection.run(f"SET SESSION max_statement_time = {options.statement_timeout_s}")
    # Rows that a statement looked at and did not delete stay unlocked, where the binary log allows it.
    log_bin, binlog_format = connection.one("SELECT @@global.log_bin, @@session.binlog_format")
    if not (log_bin and binlog_format == "STATEMENT"):
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
