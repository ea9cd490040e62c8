"""Deleting rows by proof, as every dialect does it: what is asked for, what comes of it, and what can go wrong."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.errors import SourceError, SourceUnavailable


@dataclass(frozen=True, slots=True)
class KeyBatch:
    """Keys of proven rows that are to be deleted in one transaction.

    Attributes:
        keys: For each column of the key, the texts (`schemas.column_plan.exchange_text`) of its values.
        raw_digests: One uint64 a row: an MD5's first 8 bytes, little-endian.
    """

    keys: tuple[pa.StringArray, ...]
    raw_digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.raw_digests)

    @property
    def digests(self) -> list[str]:
        """The digests as databases print them: the first 16 hex digits of an MD5."""
        return [f"{digest:016x}" for digest in self.raw_digests.byteswap().tolist()]

    @classmethod
    def of(cls, rows: pa.RecordBatch) -> Self:
        """Return rows of the evidence (`tasks.verify.VerifiedGeneration.keys`) as a batch."""
        *keys, digests = rows.columns
        return cls(tuple(keys), digests.to_numpy())


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of the rows of a batch; each is in one of the counts, or was already gone.

    Attributes:
        by_fence: Deleted, as the snapshot vouches for the version that was found.
        by_digest: Deleted, as the content that was found has the archived digest.
        changed_since: Still there, with other content.
    """

    by_fence: int
    by_digest: int
    changed_since: int


@dataclass(frozen=True, slots=True)
class LockedRows:
    """Rows of a batch that others have locked.

    Attributes:
        rows: For each row of the batch whether it is locked; a few may be missed, and are found by a Collision.
        holders: Who holds the locks, in words, as far as that can be seen.
    """

    rows: NDArray[np.bool_]
    holders: tuple[str, ...] = ()


class Collision(SourceUnavailable):
    """A batch met a deadlock, a serialization failure or somebody else's lock; it was rolled back."""


class RowsKept(SourceError):
    """The database did not delete rows that are still what was archived; the batch was rolled back."""


class TooLarge(SourceError):
    """One transaction would delete more than it may; the batch was rolled back, and a smaller one may pass."""


class Deleter(Protocol):
    """Deletes proven rows of one generation, batch by batch, on the session that holds the archiver lock."""

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the rows of the batch that are still the archived version.

        That a row is still that version is found by the statement that deletes it.

        Raises:
            Collision: Nothing of the batch was deleted; the same batch may be tried again.
            RowsKept: Triggers keep rows; nothing of the batch was deleted.
            SourceError, SourceUnavailable: Anything else; the batch was deleted as a whole, or not at all.
        """
        ...

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Return which rows of the batch others have locked now, without waiting for any of them.

        Raises:
            Collision: Somebody has locked the whole table.
        """
        ...


class Family(Deleter, Protocol):
    """Deletes rows together with their children, batches of parents' keys at a time: a family leaves whole, or stays.

    Attributes:
        deleted: For each dataset, the digests of the rows that were deleted, batch by batch.
    """

    deleted: dict[str, list[NDArray[np.uint64]]]
