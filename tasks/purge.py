"""Deletes from the source what was just proven to be in the lake, and nothing else.

Keys are taken from the proven bytes, a batch is a transaction, and in the statement that deletes a row the
database itself finds that the row is still the version that was archived: by the snapshot fence where it holds,
otherwise by the digest of the row's present content.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from blocks.dialects.postgresql.catalog import delete_triggers, describe
from blocks.dialects.postgresql.lock import archiver_lock
from blocks.dialects.postgresql.session import Connection, statement, translate
from blocks.dialects.postgresql.snapshot import fence_holds
from blocks.dialects.postgresql.statements import count_left, delete_equal, delete_unchanged, in_window
from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.progress import report_progress
from blocks.run_log import log_event
from blocks.source_url import source_url
from blocks.stop import StopRequest, stop_request
from schemas.column_plan import Column, Kind
from schemas.config import PurgeOptions
from schemas.errors import Interrupted, ProofFailed, SourceError, TidegateError, is_transient
from schemas.job import Job
from schemas.manifest import Attempt, Manifest, Receipt
from tasks.verify import VerifiedGeneration

TRIES = 5  # of a batch that met a deadlock, a lock held by somebody else, or a serialization failure
HEARTBEAT_S = 5.0
_PLAIN_KINDS = frozenset({Kind.INTEGER, Kind.DECIMAL})  # their texts need no quotes in an array
# Few keys against a large table: always by the index, whatever the statistics say.
_BY_INDEX = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")


@dataclass
class _Tally:
    """Rows of a purge, each in exactly one of the counts."""

    deleted: int = 0
    by_fence: int = 0
    changed_since: int = 0
    already_gone: int = 0

    @property
    def rows(self) -> int:
        return self.deleted + self.changed_since + self.already_gone


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys of archived rows as parameters of a statement, an array a key column, and the rows' digests (uint64)."""

    keys: list[list[str] | str]
    raw_digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.raw_digests)

    @property
    def digests(self) -> list[str]:
        """The digests as the source prints them: an MD5's first 8 bytes, of which the number is little-endian."""
        return [f"{digest:016x}" for digest in self.raw_digests.byteswap().tolist()]


def purge(verified: VerifiedGeneration, job: Job, run_id: str) -> Receipt:
    """Delete the rows of a verified generation that are still the archived version, and write the receipt.

    The table's archiver lock is held by the very connection that deletes: if it is lost, so is the lock, and
    nothing more is deleted. SIGTERM, SIGINT and the stop file end the work between two batches.

    Args:
        verified: The evidence, made by `tasks.verify.prove`.
        job: The job.
        run_id: Names the receipt.

    Raises:
        Busy: Another archiver holds the table.
        ProofFailed: The table's columns are no longer those that were archived; nothing was deleted.
        Interrupted: Somebody asked to stop; what was deleted is recorded, and a re-run goes on.
        SourceUnavailable: The connection was lost, or a batch met somebody else's lock too often.
        SourceError: The database refused a DELETE (a foreign key, a trigger), or kept rows in spite of it.
    """
    manifest, options = verified.manifest, job.archive.purge
    ledger = Ledger(open_lake(job.settings.lake, job.settings.temp_dir), job.dataset)
    url = source_url(job.config_dir, job.archive.source)
    with archiver_lock(url, job.table) as connection, stop_request(options.stop_file) as stop:
        _refuse_other_columns(connection, job, manifest)
        _limit(connection, options)
        earlier = ledger.open_attempts(manifest)
        attempt = Attempt(manifest=manifest.path, attempt_id=uuid4().hex[:12], run_id=run_id, at=datetime.now(UTC))
        ledger.record_attempt(attempt)
        tally = _Tally()
        try:
            _purge_all(connection, verified, job, tally, stop)
        except (TidegateError, psycopg.Error) as error:
            _record_stop(ledger, attempt, tally.deleted)
            failure = error if isinstance(error, TidegateError) else translate(error, url)
            failure.state = (
                f"Of {manifest.attestation.rows} proven rows of {manifest.window}, {tally.deleted} were deleted; "
                f"{manifest.attestation.rows - tally.rows} were not looked at."
            )
            goes_on = f"tidegate archive {manifest.archive} goes on from there."
            failure.next_step = goes_on if is_transient(failure) else f"{failure.next_step} {goes_on}".strip()
            raise failure from None
        receipt = _receipt(manifest, attempt, tally, earlier)
        ledger.record_receipt(receipt)
    return receipt


def _purge_all(
    connection: Connection, verified: VerifiedGeneration, job: Job, tally: _Tally, stop: StopRequest
) -> None:
    manifest, options = verified.manifest, job.archive.purge
    statements = _Statements(connection, job, manifest)
    heartbeat = time.monotonic()
    for batch in _batches(verified, options.batch_rows):
        if stop.reason:
            raise Interrupted(f"Stopped by {stop.reason}.")
        _purge_batch(connection, statements, batch, tally)
        report_progress("purge", manifest.window, tally.rows, manifest.attestation.rows)
        if time.monotonic() - heartbeat > HEARTBEAT_S:
            heartbeat = time.monotonic()
            log_event("purge_progress", window=manifest.window.id, rows=tally.rows, of=manifest.attestation.rows)
        if options.pause_s:
            time.sleep(options.pause_s)


class _Statements:
    """The statements of one purge, written once."""

    def __init__(self, connection: Connection, job: Job, manifest: Manifest) -> None:
        self.table = job.table
        table, key = job.table.quoted, tuple(c for name in manifest.key for c in manifest.columns if c.name == name)
        # The keys are proven; the bounds say once more, in the statement itself, what may be deleted at all.
        predicate = in_window(job.time, manifest.window, manifest.where)
        self.unchanged = None
        if fence_holds(connection, manifest.attestation.snapshot):
            self.unchanged = statement(delete_unchanged(table, key, predicate, manifest.attestation.snapshot.xmin))
        self.equal = statement(delete_equal(table, key, manifest.columns, predicate, utf8=job.table.utf8))
        self.left = statement(count_left(table, key, manifest.columns, predicate, utf8=job.table.utf8))


class _RowsKept(SourceError):
    """The database did not delete rows that are still what was archived."""


def _purge_batch(connection: Connection, statements: _Statements, batch: Batch, tally: _Tally) -> None:
    """Delete one batch in one transaction; a batch that met somebody else's lock is tried again."""
    for attempt in range(1, TRIES + 1):
        try:
            with connection.transaction():
                by_fence, by_digest, present = _delete_batch(connection, statements, batch)
            break
        except (
            psycopg.errors.DeadlockDetected,
            psycopg.errors.SerializationFailure,
            psycopg.errors.LockNotAvailable,
            _RowsKept,  # once more: somebody may have written a row back between two statements
        ) as error:
            log_event("purge_batch_waits", attempt=attempt, reason=type(error).__name__)
            if attempt == (2 if isinstance(error, _RowsKept) else TRIES):
                raise
            time.sleep(0.2 * 2**attempt)
    tally.by_fence += by_fence
    tally.deleted += by_fence + by_digest
    tally.changed_since += present
    tally.already_gone += len(batch) - by_fence - by_digest - present


def _delete_batch(connection: Connection, statements: _Statements, batch: Batch) -> tuple[int, int, int]:
    """Return how many rows were deleted by the fence, by digest, and how many were left as they have changed."""
    size = len(batch)
    by_fence = by_digest = present = kept = 0
    if statements.unchanged is not None:
        by_fence = connection.execute(statements.unchanged, batch.keys).rowcount
    if by_fence < size:
        by_digest = connection.execute(statements.equal, [*batch.keys, batch.digests]).rowcount
    if by_fence + by_digest < size:
        left = connection.execute(statements.left, [*batch.keys, batch.digests]).fetchone()
        present, kept = left or (0, 0)
    if kept:
        triggers = ", ".join(delete_triggers(connection, statements.table)) or "none before a DELETE"
        raise _RowsKept(
            f"{statements.table.quoted} keeps rows that it was told to delete: {kept} of a batch of {size}. "
            f"Its triggers: {triggers}.",
            next_step="Settle what the triggers are to do.",
        )
    return by_fence, by_digest, present


def _batches(verified: VerifiedGeneration, batch_rows: int) -> Iterator[Batch]:
    manifest = verified.manifest
    plain = [c.kind in _PLAIN_KINDS for name in manifest.key for c in manifest.columns if c.name == name]
    with pq.ParquetFile(verified.keys) as keys:
        for rows in keys.iter_batches(batch_rows):
            *columns, digests = rows.columns
            arrays = [
                _array_literal(column) if joins else column.to_pylist()
                for column, joins in zip(columns, plain, strict=True)
            ]
            yield Batch(arrays, digests.to_numpy())


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


def _refuse_other_columns(connection: Connection, job: Job, manifest: Manifest) -> None:
    """A column that came after the export is in no archived row: deleting would lose its values."""
    now = {c.name: c for c in describe(connection, job.table.schema_name, job.table.name).columns}
    archived = {c.name: c for c in manifest.columns if c.derived is None}
    discarded = set(manifest.excluded) & set(job.archive.purge.discard_columns)
    added = sorted(set(now) - set(archived) - discarded)
    changed = sorted(name for name, column in archived.items() if not _same_type(now.get(name), column))
    if added or changed:
        what = [f"{name} was not archived" for name in added] + [f"{name} is another column now" for name in changed]
        raise ProofFailed(
            f"Window {manifest.window}: the table's columns have changed since it was archived: {'; '.join(what)}.",
            state="No row of this window was deleted.",
            next_step=f"tidegate archive {manifest.archive} archives its rows again as they are now.",
        )


def _same_type(now: Column | None, archived: Column) -> bool:
    return now is not None and (now.source_type, now.kind) == (archived.source_type, archived.kind)


def _record_stop(ledger: Ledger, attempt: Attempt, deleted: int) -> None:
    ledger.record_attempt(attempt.model_copy(update={"at": datetime.now(UTC), "deleted": deleted}))


def _receipt(manifest: Manifest, attempt: Attempt, tally: _Tally, earlier: list[Attempt]) -> Receipt:
    """Return the receipt: what stopped attempts recorded as deleted was deleted, not merely gone."""
    stopped = {a.attempt_id: a.deleted for a in earlier if a.deleted is not None}
    deleted_before = min(sum(stopped.values()), tally.already_gone)
    return Receipt(
        manifest=manifest.path,
        dataset=manifest.dataset,
        run_id=attempt.run_id,
        archived=manifest.attestation.rows,
        deleted=tally.deleted + deleted_before,
        changed_since=tally.changed_since,
        already_gone=tally.already_gone - deleted_before,
        by_fence=tally.by_fence,
        interrupted_before=len({a.attempt_id for a in earlier} - set(stopped)),
        started_at=attempt.at,
        finished_at=datetime.now(UTC),
    )
