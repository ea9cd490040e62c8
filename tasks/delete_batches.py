"""Deletes proven rows batch by batch: as many at a time, and as soon, as the throttle says.

Nobody else's lock is waited for long. Rows that others have locked are set aside, and come again at the end, a few
times; those that are locked even then are left to the next run.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.delete_by_proof import BatchOutcome, Collision, Deleter, KeyBatch, RowsKept, TooLarge
from blocks.run_log import log_event
from blocks.throttle.throttle import Throttle
from schemas.errors import SourceUnavailable, TidegateError

TRIES = 5  # of a batch that meets a lock on the whole table, with growing pauses between them
PASSES_S = (0.5, 1.0, 2.0, 4.0)  # the pauses before rows that were locked come again
WARY_BATCHES = 10  # after a collision, this many batches look for locked rows first
SPLITS = 40  # of a batch, to find the rows that cannot be deleted for a lock that cannot be seen
_READ_ROWS = 65_536


class RowsLocked(SourceUnavailable):
    """Others held locks on rows all the while. Everything else is deleted, and the next run goes on."""


@dataclass
class Tally:
    """Rows of a purge, each in exactly one of the counts."""

    deleted: int = 0
    by_fence: int = 0
    changed_since: int = 0
    already_gone: int = 0
    locked: int = 0

    def add(self, batch: KeyBatch, outcome: BatchOutcome) -> None:
        """Count what became of a batch."""
        deleted = outcome.by_fence + outcome.by_digest
        self.by_fence += outcome.by_fence
        self.deleted += deleted
        self.changed_since += outcome.changed_since
        self.already_gone += len(batch) - deleted - outcome.changed_since

    @property
    def rows(self) -> int:
        """Rows of which it is known what became of them."""
        return self.deleted + self.changed_since + self.already_gone


def delete_batches(keys: Path, deleter: Deleter, throttle: Throttle, tally: Tally, report: Callable[[], None]) -> None:
    """Delete the rows of a file of proven keys.

    Args:
        keys: The evidence (`tasks.verify.VerifiedGeneration.keys`).
        deleter: Deletes a batch in a transaction.
        throttle: Says when the next batch may begin, and how large it should be.
        tally: Counts; right at any moment, also when this raises.
        report: Called after each batch.

    Raises:
        Interrupted: Somebody asked to stop.
        RowsLocked: Others hold locks on some of the rows; all others are dealt with.
        Collision: Somebody has locked the whole table.
        SourceError, SourceUnavailable: From the deleter.
    """
    work = _Work(deleter, throttle, tally, report)
    with pq.ParquetFile(keys) as file:
        work.do(file.iter_batches(_READ_ROWS))
    for pause_s in PASSES_S:
        if not work.aside:
            return
        log_event("purge_rows_locked", rows=tally.locked, again_in_s=pause_s, holders=repr("; ".join(work.holders)))
        throttle.pause(pause_s)
        work.do_again()
    if work.aside:
        who = "; ".join(work.holders) or "who holds the locks cannot be seen"
        raise RowsLocked(f"{tally.locked} rows are locked by others ({who}).")


class _Work:
    """The rows on their way, and those that were set aside."""

    def __init__(self, deleter: Deleter, throttle: Throttle, tally: Tally, report: Callable[[], None]) -> None:
        self._deleter, self._throttle, self._tally, self._report = deleter, throttle, tally, report
        self._wary = 0  # batches that are still to look for locks first
        self.aside: list[pa.RecordBatch] = []
        self.holders: tuple[str, ...] = ()

    def do(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Delete rows in batches."""
        for batch in _rebatched(rows, lambda: self._throttle.rows):
            self._throttle.go()
            self._delete(batch)
            self._wary = max(0, self._wary - 1)
            self._report()

    def do_again(self) -> None:
        """Delete the rows that were set aside, or set them aside once more."""
        again, self.aside, self.holders, self._tally.locked = self.aside, [], (), 0
        self._wary = len(again) + sum(rows.num_rows for rows in again)  # all of it
        self.do(again)

    def _delete(self, batch: pa.RecordBatch) -> None:
        """Delete a batch in as many transactions as it takes."""
        parts, tries, unseen = [batch], 0, 0
        while parts:
            part = parts.pop()
            try:
                part = self._without_locked(part) if self._wary else part
            except Collision as error:  # on the whole table
                tries = self._tried(tries, TRIES, error)
                parts.append(part)
                continue
            try:
                self._delete_now(part)
            except TooLarge:
                if part.num_rows == 1:
                    raise
                half = part.num_rows // 2
                parts += [part.slice(half), part.slice(0, half)]
            except RowsKept as error:  # once more: somebody may have written one back between two statements
                tries = self._tried(tries, 2, error)
                parts.append(part)
            except Collision as error:
                self._throttle.met_a_lock()
                unseen += bool(self._wary)
                if unseen == 1:
                    tries = self._tried(tries, TRIES, error)
                if unseen < 2:
                    log_event("purge_meets_a_lock", rows=part.num_rows, reason=repr(error.what.splitlines()[0]))
                    parts.append(part)
                elif part.num_rows == 1 or unseen > SPLITS:
                    self._set_aside(part)
                else:
                    half = part.num_rows // 2
                    parts += [part.slice(half), part.slice(0, half)]
                self._wary = WARY_BATCHES

    def _delete_now(self, part: pa.RecordBatch) -> None:
        if part.num_rows:
            keys = KeyBatch.of(part)
            with self._throttle.batch(len(keys)):
                outcome = self._deleter.delete(keys)
            self._tally.add(keys, outcome)

    def _without_locked(self, part: pa.RecordBatch) -> pa.RecordBatch:
        found = self._deleter.locked(KeyBatch.of(part))
        if not found.rows.any():
            return part
        self.holders = tuple(dict.fromkeys([*self.holders, *found.holders]))
        self._set_aside(part.filter(pa.array(found.rows)))
        return part.filter(pa.array(~found.rows))

    def _set_aside(self, rows: pa.RecordBatch) -> None:
        self.aside.append(rows)
        self._tally.locked += rows.num_rows

    def _tried(self, tries: int, most: int, error: TidegateError) -> int:
        """Pause before another try, longer each time, or give up."""
        log_event("purge_batch_waits", attempt=tries + 1, reason=repr(error.what.splitlines()[0]))
        if tries + 1 >= most:
            raise error
        self._throttle.pause(0.4 * 2**tries)
        return tries + 1


def _rebatched(rows: Iterable[pa.RecordBatch], wanted: Callable[[], int]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of the size that is wanted at that moment; only the last may be smaller."""
    rest: pa.RecordBatch | None = None
    for chunk in rows:
        rest = chunk if rest is None else pa.concat_batches([rest, chunk])
        while rest.num_rows >= (size := wanted()):
            yield rest.slice(0, size)
            rest = rest.slice(size)
    while rest is not None and rest.num_rows:
        size = wanted()
        yield rest.slice(0, size)
        rest = rest.slice(size)
