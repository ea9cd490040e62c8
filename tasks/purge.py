"""Deletes from the source what was just proven to be in the lake, and nothing else.

Keys are taken from the proven bytes, a batch is a transaction, and in the statement that deletes a row the
database itself finds that the row is still the version that was archived (`blocks.source.Deleter`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow.parquet as pq

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from blocks.progress import report_progress
from blocks.run_log import log_event
from blocks.source import BatchOutcome, Collision, Deleter, KeyBatch, RowsKept, Session
from blocks.stop import StopRequest, stop_request
from schemas.column_plan import Column
from schemas.errors import Interrupted, ProofFailed, TidegateError, is_transient
from schemas.job import Job
from schemas.manifest import Attempt, Manifest, Receipt
from tasks.verify import VerifiedGeneration

TRIES = 5  # of a batch that met a deadlock, a lock held by somebody else, or a serialization failure
HEARTBEAT_S = 5.0


@dataclass
class _Tally:
    """Rows of a purge, each in exactly one of the counts."""

    deleted: int = 0
    by_fence: int = 0
    changed_since: int = 0
    already_gone: int = 0

    def add(self, batch: KeyBatch, outcome: BatchOutcome) -> None:
        deleted = outcome.by_fence + outcome.by_digest
        self.by_fence += outcome.by_fence
        self.deleted += deleted
        self.changed_since += outcome.changed_since
        self.already_gone += len(batch) - deleted - outcome.changed_since

    @property
    def rows(self) -> int:
        return self.deleted + self.changed_since + self.already_gone


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
    with source_of(job).locked(job.table) as session, stop_request(options.stop_file) as stop:
        _refuse_other_columns(session, job, manifest)
        earlier = ledger.open_attempts(manifest)
        attempt = Attempt(manifest=manifest.path, attempt_id=uuid4().hex[:12], run_id=run_id, at=datetime.now(UTC))
        ledger.record_attempt(attempt)
        tally = _Tally()
        try:
            _purge_all(session.deleter(job, manifest), verified, job, tally, stop)
        except TidegateError as failure:
            _record_stop(ledger, attempt, tally.deleted)
            failure.state = (
                f"Of {manifest.attestation.rows} proven rows of {manifest.window}, {tally.deleted} were deleted; "
                f"{manifest.attestation.rows - tally.rows} were not looked at."
            )
            goes_on = f"tidegate archive {manifest.archive} goes on from there."
            failure.next_step = goes_on if is_transient(failure) else f"{failure.next_step} {goes_on}".strip()
            raise
        receipt = _receipt(manifest, attempt, tally, earlier)
        ledger.record_receipt(receipt)
    return receipt


def _purge_all(deleter: Deleter, verified: VerifiedGeneration, job: Job, tally: _Tally, stop: StopRequest) -> None:
    manifest, options = verified.manifest, job.archive.purge
    heartbeat = time.monotonic()
    for batch in _batches(verified, options.batch_rows):
        if stop.reason:
            raise Interrupted(f"Stopped by {stop.reason}.")
        tally.add(batch, _purge_batch(deleter, batch))
        report_progress("purge", manifest.window, tally.rows, manifest.attestation.rows)
        if time.monotonic() - heartbeat > HEARTBEAT_S:
            heartbeat = time.monotonic()
            log_event("purge_progress", window=manifest.window.id, rows=tally.rows, of=manifest.attestation.rows)
        if options.pause_s:
            time.sleep(options.pause_s)


def _purge_batch(deleter: Deleter, batch: KeyBatch) -> BatchOutcome:
    """Delete one batch in one transaction; a batch that met somebody else's lock is tried again."""
    for attempt in range(1, TRIES + 1):
        try:
            return deleter.delete(batch)
        except (Collision, RowsKept) as error:  # rows kept: somebody may have written one back between two statements
            log_event("purge_batch_waits", attempt=attempt, reason=error.what)
            if attempt == (2 if isinstance(error, RowsKept) else TRIES):
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _batches(verified: VerifiedGeneration, batch_rows: int) -> Iterator[KeyBatch]:
    with pq.ParquetFile(verified.keys) as keys:
        for rows in keys.iter_batches(batch_rows):
            *columns, digests = rows.columns
            yield KeyBatch(tuple(columns), digests.to_numpy())


def _refuse_other_columns(session: Session, job: Job, manifest: Manifest) -> None:
    """A column that came after the export is in no archived row: deleting would lose its values."""
    now = {c.name: c for c in session.describe(job.archive.table).columns}
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
