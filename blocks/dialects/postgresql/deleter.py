"""Delete by proof: in the statement that deletes a row, PostgreSQL finds that it is still what was archived.

First by the snapshot fence, where it holds: one integer comparison a row. What is left over, by the digest of the
row's present content. A batch is a transaction.
"""

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from blocks.dialects.postgresql.catalog import delete_triggers
from blocks.dialects.postgresql.session import Connection, statement, translate, translated
from blocks.dialects.postgresql.snapshot import fence_holds
from blocks.dialects.postgresql.statements import count_left, delete_equal, delete_unchanged, in_window
from blocks.source import BatchOutcome, Collision, KeyBatch, RowsKept
from schemas.column_plan import Kind
from schemas.config import PurgeOptions
from schemas.job import Job
from schemas.manifest import Manifest

_PLAIN_KINDS = frozenset({Kind.INTEGER, Kind.DECIMAL})  # their texts need no quotes in an array
# Few keys against a large table: always by the index, whatever the statistics say.
_BY_INDEX = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
_COLLISIONS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)


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
        # The keys are proven; the bounds say once more, in the statement itself, what may be deleted at all.
        predicate = in_window(job.time, manifest.window, manifest.where)
        snapshot = manifest.attestation.snapshot
        _limit(connection, job.archive.purge)
        self._unchanged = None
        if fence_holds(connection, snapshot) and snapshot.xmin is not None:
            self._unchanged = statement(delete_unchanged(table, key, predicate, snapshot.xmin))
        self._equal = statement(delete_equal(table, key, manifest.columns, predicate, utf8=job.table.utf8))
        self._left = statement(count_left(table, key, manifest.columns, predicate, utf8=job.table.utf8))

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version."""
        with translated(self._url):
            try:
                with self._connection.transaction():
                    return self._delete(batch)
            except _COLLISIONS as error:
                failure = translate(error, self._url)
                raise Collision(failure.what, next_step=failure.next_step) from None

    def _delete(self, batch: KeyBatch) -> BatchOutcome:
        keys = [
            _array_literal(texts) if plain else texts.to_pylist()
            for texts, plain in zip(batch.keys, self._plain, strict=True)
        ]
        by_fence = by_digest = present = kept = 0
        if self._unchanged is not None:
            by_fence = self._connection.execute(self._unchanged, keys).rowcount
        if by_fence < len(batch):
            by_digest = self._connection.execute(self._equal, [*keys, batch.digests]).rowcount
        if by_fence + by_digest < len(batch):
            left = self._connection.execute(self._left, [*keys, batch.digests]).fetchone()
            present, kept = left or (0, 0)
        if kept:
            triggers = ", ".join(delete_triggers(self._connection, self._table)) or "none before a DELETE"
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


def _limit(connection: Connection, options: PurgeOptions) -> None:
    limits = [
        f"SET lock_timeout = '{int(options.lock_timeout_s * 1000)}ms'",
        f"SET statement_timeout = '{int(options.statement_timeout_s * 1000)}ms'",
        *(f"SET {name} = off" for name in _BY_INDEX),
    ]
    connection.execute(statement("; ".join(limits)))
