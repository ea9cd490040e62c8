"""Drops a partition of which every row was just found in the lake, and no other one.

The partition is taken out of its table, locked against everybody, and its rows are counted and digested again; only
if each of them has the digest of a proven row is it dropped, in the same transaction. Otherwise it goes back.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq

from blocks.delete_by_proof import KeyBatch
from blocks.duck import duck, text_literal
from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from blocks.partitioning import Partition, Partitions
from blocks.run_log import log_event
from blocks.source import Session
from schemas.column_plan import same_plan
from schemas.errors import ProofFailed, TidegateError
from schemas.job import Job
from schemas.purge_records import Receipt
from schemas.table_name import TableName
from schemas.window import WindowUnit
from tasks.approval import Approval, refuse_unapproved
from tasks.other_columns import refuse_other_columns
from tasks.receipts import begin_purge
from tasks.still_sound import refuse_if_stale
from tasks.verify import VerifiedGeneration

_NOTHING = "Nothing of this partition was deleted; it is in its table."
_READ_ROWS = 65_536


def drop_partition(
    verified: Sequence[VerifiedGeneration], job: Job, run_id: str, approval: Approval | None = None
) -> list[Receipt]:
    """Drop the partition that the generations are of, and write their receipts.

    Args:
        verified: The evidence for all generations of one window that no purge has finished.
        job: The job.
        run_id: Names the receipts.
        approval: Needed if the archive says `approve: true`.

    Raises:
        NotApproved: The archive demands an approval, and this one does not cover all generations.
        Busy: Another archiver holds the table.
        ProofFailed: Rows of the partition are not in the lake as they are now; it stays.
        SourceUnavailable: The connection was lost, or the partition could not be locked in time.
    """
    window, columns = verified[0].manifest.window, verified[0].manifest.columns
    if any(v.manifest.window != window or not same_plan(v.manifest.columns, columns) for v in verified):
        raise ProofFailed(
            f"Window {window}: its generations are not of one partition with the same columns.",
            state=_NOTHING,
            next_step="Set purge.mode to delete, which proves row by row, for this window.",
        )
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    ledger = Ledger(lake, job.dataset)
    with source_of(job).locked(job.table) as session:
        for v in verified:
            refuse_unapproved(job, v.manifest, approval)
        refuse_if_stale(session, lake, job, verified)
        partitions = session.partitions(job)
        partitions.take_back()
        partition = partitions.holding(window)
        if partition is None:
            _refuse_elsewhere(session, job, verified)
        begun = [begin_purge(ledger, v, run_id) for v in verified]
        found = {v.manifest.path: 0 for v in verified}
        # A partition goes as a whole, and so it stays as a whole for a row under legal hold.
        held = partition is not None and any(v.held for v in verified)
        if partition is not None and not held:
            try:
                found = _drop(session, partitions, partition, verified, job)
            except TidegateError as error:
                for one in begun:
                    one.stopped(0)
                error.state = error.state or _NOTHING
                raise
        return [
            one.done(deleted=found[v.manifest.path], held=v.manifest.attestation.rows if held else 0)
            for one, v in zip(begun, verified, strict=True)
        ]


def take_back_partitions(session: Session, job: Job) -> None:
    """Attach again what a run that died had taken out of the table; only for the holder of the archiver lock."""
    if job.archive.window is WindowUnit.PARTITION:
        session.partitions(job).take_back()


def _refuse_elsewhere(session: Session, job: Job, verified: Sequence[VerifiedGeneration]) -> None:
    """Find rows of a partition that is gone: if they are in the table, they are in another one by now.

    Raises:
        ProofFailed: They are.
    """
    window, there = verified[0].manifest.window, 0
    for v in verified:
        with pq.ParquetFile(v.keys) as file:
            for rows in file.iter_batches(_READ_ROWS):
                there += session.count_keys(job.table, job.key_columns, KeyBatch.of(rows).keys)
    if there:
        raise ProofFailed(
            f"No partition of {job.table.quoted} has the bounds {window} any more, but {there} rows that were archived "
            "with it are in the table.",
            state="Nothing of this window was deleted.",
            next_step="Give the partition its bounds back, or set purge.mode to delete, which proves row by row, for "
            "this window.",
        )


def _drop(
    session: Session, partitions: Partitions, partition: Partition, verified: Sequence[VerifiedGeneration], job: Job
) -> dict[str, int]:
    """Return how many rows of each generation were in the partition when it was dropped."""
    _compare(partitions, partition, verified, job)  # before anything is taken out, and while others go on writing
    with partitions.taken_out(partition) as taken, taken.locked():
        # Under the lock, as the rows: a column that came since is in no digest.
        table = session.describe(TableName.parse(partition.name))
        for v in verified:
            refuse_other_columns(job.model_copy(update={"table": table}), v.manifest)
        found = _compare(partitions, partition, verified, job)
        taken.drop()
    log_event("partition_dropped", partition=partition.name, rows=sum(found.values()))
    return found


def _compare(
    partitions: Partitions, partition: Partition, verified: Sequence[VerifiedGeneration], job: Job
) -> dict[str, int]:
    """Return how many rows of the partition each generation holds.

    Raises:
        ProofFailed: It has a row that none of them holds.
    """
    folder = verified[0].keys.parent
    target = folder / f"digests-{uuid4().hex}.csv"
    try:
        rows = partitions.write_digests(partition, verified[0].manifest.columns, target)
        proven = _proven_rows(target, verified, job)
    finally:
        target.unlink(missing_ok=True)
    unproven = rows - sum(proven.values())
    if unproven:
        raise ProofFailed(
            f"{unproven} of {rows} rows of {partition.name} are not in the lake as they are now: they came or changed "
            "after they were archived.",
            state=_NOTHING,
            next_step=f"tidegate archive {job.archive.name} archives them, and drops the partition then.",
        )
    return proven


def _proven_rows(digests: Path, verified: Sequence[VerifiedGeneration], job: Job) -> dict[str, int]:
    """Return how many of the partition's digests each generation holds; a row counts for the newest that has it."""
    held = " UNION ALL ".join(
        f"SELECT digest, {n} AS generation FROM read_parquet({text_literal(str(v.keys))})"
        for n, v in enumerate(verified)
    )
    # MD5's first 8 bytes: hex digits from the source, a little-endian number in the evidence.
    number = " | ".join(f"(('0x' || substr(hex, {2 * i + 1}, 2))::UBIGINT << {8 * i})" for i in range(8))
    lines = (
        f"read_csv({text_literal(str(digests))}, header = false, columns = {{'hex': 'VARCHAR'}}, auto_detect = false)"
    )
    with duck(job.settings) as connection:
        found = connection.execute(
            f"SELECT held.generation, count(*) FROM (SELECT {number} AS digest FROM {lines}) AS there JOIN "
            f"(SELECT digest, max(generation) AS generation FROM ({held}) GROUP BY 1) AS held USING (digest) GROUP BY 1"
        ).fetchall()
    counts = dict(found)
    return {v.manifest.path: counts.get(n, 0) for n, v in enumerate(verified)}
