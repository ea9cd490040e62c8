"""Deletes from the source what was just proven to be in the lake, and nothing else.

Keys are taken from the proven bytes, a batch is a transaction, and in the statement that deletes a row the
database itself finds that the row is still the version that was archived (`blocks.delete_by_proof.Deleter`).
"""

from collections.abc import Callable
from functools import partial

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from blocks.source import Session
from blocks.stop import StopRequest, stop_request
from blocks.throttle.open_throttle import open_throttle
from schemas.errors import TidegateError, is_transient
from schemas.job import Job
from schemas.purge_records import Receipt
from tasks.approval import Approval, refuse_unapproved
from tasks.delete_batches import Tally, delete_batches
from tasks.purge_progress import PurgeProgress
from tasks.receipts import begin_purge
from tasks.still_sound import refuse_if_stale
from tasks.verify import VerifiedGeneration


def purge(verified: VerifiedGeneration, job: Job, run_id: str, approval: Approval | None = None) -> Receipt:
    """Delete the rows of a verified generation that are still the archived version, and write the receipt.

    The table's archiver lock is held by the very connection that deletes: if it is lost, so is the lock, and
    nothing more is deleted. SIGTERM, SIGINT and the stop file end the work between two batches. How gently it is done
    the options say (`schemas.throttle_options`).

    Args:
        verified: The evidence, made by `tasks.verify.prove`.
        job: The job.
        run_id: Names the receipt.
        approval: Needed if the archive says `approve: true`; made by `tasks.approval.demand_approval`.

    Raises:
        NotApproved: The archive demands an approval, and this one does not cover the generation.
        Busy: Another archiver holds the table.
        ProofFailed, ConfigError: What the purge rests on does not hold any more (`tasks.still_sound`).
        Interrupted: Somebody asked to stop; what was deleted is recorded, and a re-run goes on.
        RowsLocked: Others hold locks on some of the rows; all others were dealt with.
        SourceUnavailable: The connection was lost, or somebody has locked the whole table.
        SourceError: The database refused a DELETE (a foreign key, a trigger), or kept rows in spite of it.
    """
    manifest, options = verified.manifest, job.archive.purge
    refuse_unapproved(job, manifest, approval)
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    with source_of(job).locked(job.table) as session, stop_request(options.stop_file) as stop:
        look_again = partial(refuse_if_stale, session, lake, job, [verified])
        look_again()
        begun = begin_purge(Ledger(lake, job.dataset), verified, run_id)
        tally = Tally()
        try:
            _purge_all(session, verified, job, tally, stop, look_again)
        except TidegateError as failure:
            begun.stopped(tally.deleted)
            failure.state = _state(verified, tally)
            goes_on = f"tidegate archive {manifest.archive} goes on from there."
            failure.next_step = goes_on if is_transient(failure) else f"{failure.next_step} {goes_on}".strip()
            raise
        return begun.done(
            deleted=tally.deleted, present=tally.changed_since, held=verified.held, by_fence=tally.by_fence
        )


def _purge_all(
    session: Session,
    verified: VerifiedGeneration,
    job: Job,
    tally: Tally,
    stop: StopRequest,
    look_again: Callable[[], None],
) -> None:
    manifest, options = verified.manifest, job.archive.purge
    progress = PurgeProgress(manifest.window, manifest.attestation.rows, tally, look_again)
    deleter, pressure = session.deleter(job, manifest), session.pressure(job.table, options)
    with open_throttle("purge", options, zone=job.zone, pressure=pressure, stop=stop, tell=progress.waits) as throttle:
        delete_batches(verified.keys, deleter, throttle, tally, progress.batch_done)


def _state(verified: VerifiedGeneration, tally: Tally) -> str:
    manifest = verified.manifest
    rows = manifest.attestation.rows - verified.held
    locked = f"{tally.locked} were locked by others; " if tally.locked else ""
    return (
        f"Of {rows} proven rows of {manifest.window}, {tally.deleted} were deleted; {locked}"
        f"{rows - tally.rows - tally.locked} were not looked at."
    )
