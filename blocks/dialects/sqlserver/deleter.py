"""Delete by proof on SQL Server. Not verified against a server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch, LockedRows, RowsKept
from blocks.dialects.sqlserver import statements as sql
from blocks.dialects.sqlserver.catalog import delete_triggers
from blocks.dialects.sqlserver.connection import Connection, Locked
from schemas.errors import SourceError
from schemas.job import Job
from schemas.manifest import Manifest


class SqlServerDeleter:
    """Deletes the proven rows of one generation: always by digest, in the statement that deletes."""

    def __init__(self, connection: Connection, job: Job, manifest: Manifest) -> None:
        self._connection, self._table = connection, job.table
        key = tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        predicate = sql.in_window(job.time, manifest.window, manifest.where)
        # A % of the operator's predicate is no place for a parameter.
        parts = (predicate.replace("%", "%%"), job.table.quoted.replace("%", "%%"))
        self._delete = sql.delete_equal(parts[1], key, manifest.columns, parts[0])
        connection.run(f"SET LOCK_TIMEOUT {int(job.archive.purge.lock_timeout_s * 1000)}")

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version."""
        parameter = as_json(batch.keys, batch.digests)
        try:
            with transaction(self._connection):
                ((deleted, left, kept),) = self._connection.rows(self._delete, parameter, parameter)
                if kept:
                    names = [name for name, _ in delete_triggers(self._connection, self._table)]
                    raise RowsKept(
                        f"{self._table.quoted} keeps rows that it was told to delete: {kept} of {len(batch)}. "
                        f"Its triggers: {', '.join(names) or 'none'}.",
                        next_step="Settle what the triggers are to do.",
                    )
                if deleted > len(batch):
                    raise SourceError(
                        f"{self._table.quoted} holds several rows with one key; none was deleted.",
                        next_step="Make the key unique again.",
                    )
        except Locked as error:
            raise Collision(error.what, next_step=error.next_step) from None
        return BatchOutcome(0, deleted, left)

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Locks of others are met, not looked for."""
        return LockedRows(np.zeros(len(batch), dtype=np.bool_))


def as_json(keys: tuple[pa.StringArray, ...], digests: list[str]) -> str:
    """Return a batch as the one parameter of a statement: an array of [place, key, …, digest] a row."""
    rows = zip(range(len(digests)), *(texts.to_pylist() for texts in keys), digests, strict=True)
    return json.dumps([list(row) for row in rows], ensure_ascii=False)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Hold a transaction; commit at the end, roll back on an error."""
    connection.run("BEGIN TRANSACTION")
    try:
        yield
        connection.run("COMMIT TRANSACTION")
    except BaseException:
        # With XACT_ABORT, most errors have rolled it back already.
        connection.run("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        raise
