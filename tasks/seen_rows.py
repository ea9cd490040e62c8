"""Which of the rows that are read again are in the lake already, as they are now."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blocks.duck import duck, read_files
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.source import Since
from schemas.column_plan import row_digest, same_plan
from schemas.extraction import Extraction


class SeenRows:
    """The digests of rows in the lake, each as often as it is there: a table without a key may have equal rows.

    Memory: 16 bytes and more for each row since the overlap began.
    """

    def __init__(self, digests: NDArray[np.uint64]) -> None:
        known, counts = np.unique(digests, return_counts=True)
        self._digests = known
        self._left: Counter[int] = Counter(dict(zip(known.tolist(), counts.tolist(), strict=True)))

    def unseen(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of the rows are not in the lake; each that is there stands for one row."""
        unseen = np.ones(len(digests), dtype=np.bool_)
        if not len(self._digests):
            return unseen
        place = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
        for row in np.flatnonzero(self._digests[place] == digests):
            digest = int(digests[row])
            if self._left[digest] > 0:
                self._left[digest] -= 1
                unseen[row] = False
        return unseen


def seen_rows(
    extraction: Extraction, lake: Lake, generations: Sequence[Generation], since: Since | None, scratch: Path
) -> SeenRows:
    """Read the digests of the rows that the generations hold, from where on rows are read again.

    Generations with other columns hold other row versions: of them nothing is known.
    """
    digests: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    again = _read_again(since)
    with duck(extraction.settings) as connection:
        for generation in generations:
            stored = tuple(column for column in generation.manifest.columns if not column.added)
            if not same_plan(stored, extraction.columns):
                continue
            for path in generation.files:
                local = lake.fetch(path, scratch)
                query = f"SELECT {row_digest(stored)} AS digest FROM {read_files([str(local)])} WHERE {again}"
                digests.append(np.asarray(connection.execute(query).fetchnumpy()["digest"], np.uint64))
                if local.parent == scratch:
                    local.unlink()
    return SeenRows(np.concatenate(digests))


def _read_again(since: Since | None) -> str:
    if since is None:
        return "true"
    name, value = since.column.quoted, since.value
    begin = str(value) if isinstance(value, int) else f"'{value.isoformat(sep=' ')}'"
    return f"({name} >= {begin} OR {name} IS NULL)"
