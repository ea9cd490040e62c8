"""Delete by proof: in the statement that deletes a row, PostgreSQL finds that it is still what was archived.

First by the snapshot fence, where it holds: one integer comparison a row. What is left over, by the digest of the
row's present content. A batch is a transaction.
"""

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch, LockedRows, RowsKept
from blocks.dialects.postgresql.catalog import delete_triggers
from blocks.dialects.postgresql.deadline import answered_within
from blocks.dialects.postgresql.lock_holders import lock_holders, running
from blocks.dialects.postgresql.nothing_new import sets_off_nothing_new
from blocks.dialects.postgresql.same_table import has_no_column_but
from blocks.dialects.postgresql.session import Connection, statement, translate, translated
from blocks.dialects.postgresql.snapshot import fence_holds
from blocks.dialects.postgresql.statements import (
    count_left,
    delete_equal,
    delete_unchanged,
    in_window,
    locked_keys,
    operators_predicate,
)
from schemas.column_plan import Kind
from schemas.config import PurgeOptions
from schemas.errors import ProofFailed
from schemas.job import Job
from schemas.manifest import Manifest

_PLAIN_KINDS = frozenset({Kind.INTEGER, Kind.DECIMAL})  # their texts need no quotes in an array
# Few keys against a large table: always by the index, whatever the statistics say.
_BY_INDEX = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
COLLISIONS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)
# A batch has at most three statements, which the server ends by itself; after that much more, nobody is there.
ANSWER_S = 30.0
_STATEMENTS_A_BATCH = 3


class PostgresDeleter:
    """Deletes the proven rows of one generation.

    Args:
        connection: Holds the archiver lock; gets the job's time limits.
        url: Of the database.
        job: The job.
        manifest: Of the generation.
    """

    def __init__(self, connection: Connection, url: str, job: Job, manifest: Manifest) -> None:
        self._connection, self._url, self._table = connection, url, job.table
        table = job.table.quoted
        key = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        self._plain = [column.kind in _PLAIN_KINDS for column in key]
        # The keys are proven; the statement says once more what may be deleted at all: what was in scope and still is.
        predicate = in_window(job.time, manifest.window, manifest.where)
        if job.archive.where != manifest.where:
            predicate += operators_predicate(job.archive.where)
        archived = {column.name for column in manifest.columns if column.derived is None}
        discarded = set(manifest.excluded) & set(job.archive.purge.discard_columns)
        predicate += f" AND {has_no_column_but(table, archived | discarded)} AND {sets_off_nothing_new(job)}"
        snapshot = manifest.attestation.snapshot
        limit(connection, job.archive.purge)
        self._patience_s = _STATEMENTS_A_BATCH * job.archive.purge.statement_timeout_s + ANSWER_S
        self._triggers = bool(job.archive.purge.triggers)
        self._unchanged = None
        same_table = (manifest.source, manifest.table) == (job.archive.source, str(job.archive.table))
        if same_table and fence_holds(connection, snapshot) and snapshot.xmin is not None:
            self._unchanged = statement(delete_unchanged(table, key, predicate, snapshot.xmin))
        self._equal = statement(delete_equal(table, key, manifest.columns, predicate, utf8=job.table.utf8))
        self._left = statement(count_left(table, key, manifest.columns, predicate, utf8=job.table.utf8))
        self._locked = statement(locked_keys(table, key))
        self._may_delete = statement(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE NOWAIT")

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version."""
        with translated(self._url):
            try:
                with answered_within(self._connection, self._patience_s), self._connection.transaction():
                    return self._delete(batch)
            except COLLISIONS as error:
                failure = translate(error, self._url)
                raise Collision(failure.what, next_step=failure.next_step) from None

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Return which rows of the batch others have locked now.

        Raises:
            Collision: Somebody has locked the whole table.
        """
        rows = np.zeros(len(batch), dtype=bool)
        with translated(self._url):
            try:
                with self._connection.transaction():
                    self._connection.execute(self._may_delete)
                    found = self._connection.execute(self._locked, self._keys(batch)).fetchall()
            except psycopg.errors.LockNotAvailable as error:
                failure = translate(error, self._url)
                raise Collision(failure.what, next_step=failure.next_step) from None
            # A row also names a transaction that was rolled back: our own attempt at this batch, for one.
            lockers = running(self._connection, sorted({locker for _, locker in found})) if found else set()
            rows[[place - 1 for place, locker in found if locker in lockers]] = True
            return LockedRows(rows, lock_holders(self._connection, sorted(lockers)) if lockers else ())

    def _keys(self, batch: KeyBatch) -> list[list[str] | str]:
        return [
            _array_literal(texts) if plain else texts.to_pylist()
            for texts, plain in zip(batch.keys, self._plain, strict=True)
        ]

    def _delete(self, batch: KeyBatch) -> BatchOutcome:
        keys = self._keys(batch)
        by_fence = by_digest = present = kept = 0
        if self._unchanged is not None:
            by_fence = self._connection.execute(self._unchanged, keys).rowcount
        if by_fence < len(batch):
            by_digest = self._connection.execute(self._equal, [*keys, batch.digests]).rowcount
        if by_fence + by_digest > len(batch):
            raise ProofFailed(
                f"{self._table.quoted}: the keys of {len(batch)} proven rows are those of {by_fence + by_digest} rows.",
                state="Nothing of this batch was deleted.",
                next_step="Its key has to be unique: see to its indexes, then archive the table again.",
            )
        # Where triggers may fire after a DELETE, what was deleted may be there again.
        if by_fence + by_digest < len(batch) or self._triggers:
            left = self._connection.execute(self._left, [*keys, batch.digests]).fetchone()
            present, kept = left or (0, 0)
        if kept:
            triggers = ", ".join(delete_triggers(self._connection, self._table)) or "none for DELETE"
            raise RowsKept(
                f"{self._table.quoted} keeps rows that it was told to delete: {kept} of a batch of {len(batch)}. "
                f"Its triggers: {triggers}.",
                next_step="Settle what the triggers are to do.",
            )
        return BatchOutcome(by_fence, by_digest, present)


def _array_literal(texts: pa.StringArray) -> str:
    """Return numbers as a literal of an array, joined without a Python object a key."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return "{" + str(pc.binary_join(whole, ",")[0].as_py()) + "}"


def limit(connection: Connection, options: PurgeOptions) -> None:
    """Set the time limits of the session, at whose end they are taken back."""
    limits = [
        f"SET lock_timeout = '{int(options.lock_timeout_s * 1000)}ms'",
        f"SET statement_timeout = '{int(options.statement_timeout_s * 1000)}ms'",
        # If this process is held up in mid-batch, its locks go after this time.
        f"SET idle_in_transaction_session_timeout = '{int(options.statement_timeout_s * 1000)}ms'",
        *(f"SET {name} = off" for name in _BY_INDEX),
    ]
    connection.execute(statement("; ".join(limits)))
