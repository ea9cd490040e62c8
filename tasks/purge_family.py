"""Purges a table and its children together: a family of rows that is proven to the last one leaves, others stay.

The evidence of all generations of a window, of all tables, is put together; batches are of parents, and take their
children along (`blocks.delete_by_proof.Family`). Each generation gets its receipt.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from blocks.delete_by_proof import KeyBatch
from blocks.duck import duck, text_literal
from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from blocks.run_log import log_event
from blocks.source import Session
from blocks.stop import StopRequest, stop_request
from blocks.throttle.open_throttle import open_throttle
from schemas.errors import TidegateError
from schemas.job import Job
from schemas.purge_records import Receipt
from tasks.approval import Approval, refuse_unapproved
from tasks.delete_batches import Tally, delete_batches
from tasks.purge_progress import PurgeProgress
from tasks.receipts import OpenPurge, begin_purge
from tasks.still_sound import refuse_if_stale
from tasks.verify import VerifiedGeneration

Digests = NDArray[np.uint64]
_READ_ROWS = 65_536


def purge_family(
    verified: Sequence[VerifiedGeneration], job: Job, run_id: str, approval: Approval | None = None
) -> list[Receipt]:
    """Delete the families of one window that are still what was archived, and write a receipt for each generation.

    Args:
        verified: The evidence for the window's generations that no purge has finished, of the table and its children.
        job: The job, with its children.
        run_id: Names the receipts.
        approval: Needed if the archive says `approve: true`.

    Raises:
        NotApproved, Busy, ProofFailed, Interrupted, SourceError, SourceUnavailable: As `tasks.purge.purge`.
    """
    for v in verified:
        refuse_unapproved(job, v.manifest, approval)
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    ledgers = {member.dataset: Ledger(lake, member.dataset) for member in job.family}
    with source_of(job).locked(job.table) as session, stop_request(job.archive.purge.stop_file) as stop:
        look_again = partial(refuse_if_stale, session, lake, job, verified)
        look_again()
        begun = [begin_purge(ledgers[v.manifest.dataset], v, run_id) for v in verified]
        tally = Tally()
        deleted: dict[str, Digests] = {}
        try:
            _delete(session, verified, job, tally, stop, look_again, deleted)
        except TidegateError as error:
            for one in begun:
                one.stopped(_deleted_of(one.verified, deleted))
            error.state = (
                f"{tally.deleted} rows of {job.table.quoted} were deleted together with their children; the others of "
                f"{verified[0].manifest.window} are all where they were."
            )
            error.next_step = error.next_step or f"tidegate archive {job.archive.name} goes on from there."
            raise
        held = any(v.held for v in verified)
        return [_done(session, job, one, deleted, families_held=held) for one in begun]


def _delete(
    session: Session,
    verified: Sequence[VerifiedGeneration],
    job: Job,
    tally: Tally,
    stop: StopRequest,
    look_again: Callable[[], None],
    deleted: dict[str, Digests],
) -> None:
    """Delete families; `deleted` gets the digests of the rows that went, for each dataset, whatever happens."""
    own = [v for v in verified if v.manifest.dataset == job.dataset]
    if not own:
        return
    family = session.family(job, own[-1].manifest, _proven(verified, job))
    keys = _parents(own, job)
    window, rows = own[-1].manifest.window, pq.read_metadata(keys).num_rows
    pressure = session.pressure(job.table, job.archive.purge)

    progress = PurgeProgress(window, rows, tally, look_again)
    options = job.archive.purge
    try:
        with open_throttle(
            "purge", options, zone=job.zone, pressure=pressure, stop=stop, tell=progress.waits
        ) as throttle:
            delete_batches(keys, family, throttle, tally, progress.batch_done)
    finally:
        keys.unlink()
        deleted.update({name: np.sort(np.concatenate([*parts, _NONE])) for name, parts in family.deleted.items()})
        log_event("family_purged", window=window.id, **{name: len(rows) for name, rows in deleted.items()})


_NONE = np.empty(0, np.uint64)


def _proven(verified: Sequence[VerifiedGeneration], job: Job) -> Mapping[str, Digests]:
    """Return the digests of all proven rows, by dataset. Memory: 8 bytes a row of the window."""
    return {
        member.dataset: np.sort(
            np.concatenate([_NONE, *(_digests(v) for v in verified if v.manifest.dataset == member.dataset)])
        )
        for member in job.family
    }


def _digests(verified: VerifiedGeneration) -> Digests:
    digests: Digests = pq.read_table(verified.keys, columns=["digest"]).column(0).to_numpy()
    return digests


def _parents(own: Sequence[VerifiedGeneration], job: Job) -> Path:
    """Write the keys of the parents, each once, in the order of the first generation that has them."""
    target = own[0].keys.parent / f"parents-{uuid4().hex}.parquet"
    names = ", ".join(f"k{i}" for i in range(len(job.key)))
    files = ", ".join(text_literal(str(v.keys)) for v in own)
    with duck(job.settings) as connection:
        connection.execute(
            f"COPY (SELECT {names}, digest FROM (SELECT *, row_number() OVER () AS place FROM read_parquet([{files}])) "
            f"QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY place) = 1 ORDER BY place) "
            f"TO {text_literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )
    return target


def _deleted_of(verified: VerifiedGeneration, deleted: Mapping[str, Digests]) -> int:
    """Return how many rows of a generation were deleted."""
    return int(np.isin(_digests(verified), deleted.get(verified.manifest.dataset, _NONE)).sum())


def _present(session: Session, member: Job, verified: VerifiedGeneration, deleted: Mapping[str, Digests]) -> int:
    """Return how many of a generation's rows that were not deleted the table still holds, by their keys."""
    present = 0
    gone = deleted.get(member.dataset, _NONE)
    with pq.ParquetFile(verified.keys) as file:
        for rows in file.iter_batches(_READ_ROWS):
            batch = KeyBatch.of(rows.filter(np.isin(rows.column("digest").to_numpy(), gone, invert=True)))
            if len(batch):
                present += session.count_keys(member.table, member.key_columns, batch.keys)
    return present


def _done(
    session: Session, job: Job, begun: OpenPurge, deleted: Mapping[str, Digests], *, families_held: bool
) -> Receipt:
    verified = begun.verified
    member = job.of_dataset(verified.manifest.dataset)
    present, held = _present(session, member, verified, deleted), verified.held
    if families_held and member.parent is not None:
        # Children stay with a row that is held, and are to be looked at again when the hold is lifted.
        held, present = held + present, 0
    return begun.done(deleted=_deleted_of(verified, deleted), present=present, held=held)
