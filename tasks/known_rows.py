"""What earlier generations hold of a window, so that a further one takes only late and changed rows."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blocks.duck import duck, read_files
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.quarantine import DIGEST
from schemas.column_plan import row_digest, same_plan
from schemas.job import Job


class KnownRows:
    """Digests of the row versions that generations hold, and of the rows that the same gate kept out before.

    A digest covers the whole row with its key, so it stands for a row version. In a table without a key there may be
    equal rows: there it stands for as many rows as hold it. Memory: 12 bytes a row of the window, 20 without a key.
    """

    def __init__(
        self,
        digests: NDArray[np.uint64],
        owners: NDArray[np.int32],
        generations: list[Generation],
        *,
        unique: bool = True,
    ) -> None:
        order = np.argsort(digests, kind="stable")
        self._digests, self._owners = digests[order], owners[order]
        self._generations = generations
        self._taken = None if unique else np.zeros(len(digests), np.int64)  # at the place of a digest's first row
        self._seen: Counter[int] = Counter()
        self.quarantined = 0

    @property
    def held_by(self) -> tuple[str, ...]:
        """Manifests of the generations of which rows were seen, but for those that a legal hold is known to keep."""
        kept = [g.receipts[-1].held if g.receipts else 0 for g in self._generations]
        return tuple(self._generations[i].manifest.path for i, rows in sorted(self._seen.items()) if rows != kept[i])

    def unknown(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of the rows no generation holds, and note which generations hold the others."""
        if not len(self._digests):
            return np.ones(len(digests), dtype=np.bool_)
        place = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
        known = self._digests[place] == digests
        if self._taken is not None:
            known[known] = self._is_left(place[known], digests[known], self._taken)
        owners = self._owners[place[known]]
        self.quarantined += int((owners < 0).sum())
        seen, rows = np.unique(owners[owners >= 0], return_counts=True)
        self._seen.update(dict(zip(seen.tolist(), rows.tolist(), strict=True)))
        unknown: NDArray[np.bool_] = ~known
        return unknown

    def _is_left(
        self, first: NDArray[np.intp], digests: NDArray[np.uint64], taken: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return for which of some known rows a row is left that has not stood for another one, and take that."""
        held = np.searchsorted(self._digests, digests, side="right") - first
        order = np.argsort(first, kind="stable")
        begins = np.flatnonzero(np.diff(first[order], prepend=-1))
        rank = np.empty(len(first), np.int64)
        rank[order] = np.arange(len(first)) - np.repeat(begins, np.diff(begins, append=len(first)))
        left: NDArray[np.bool_] = rank + taken[first] < held
        np.add.at(taken, first[left], 1)
        return left


def known_rows(job: Job, lake: Lake, generations: list[Generation], scratch: Path) -> KnownRows:
    """Read the digests of the rows that the generations hold.

    Generations with other columns than the job's hold other row versions: of them nothing is known.
    """
    digests: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    owners: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    with duck(job.settings) as connection:
        for number, generation in enumerate(generations):
            manifest = generation.manifest
            if not same_plan(manifest.columns, job.columns):
                continue
            for path in generation.files:
                local = lake.fetch(path, scratch)
                found = connection.execute(
                    f"SELECT {row_digest(manifest.columns)} AS digest FROM {read_files([str(local)])}"
                ).fetchnumpy()["digest"]
                digests.append(np.asarray(found, np.uint64))
                owners.append(np.full(len(found), number, np.int32))
            if manifest.gate == job.gate_digest:
                for file in generation.quarantine:
                    local = lake.fetch(file.path, scratch)
                    found = connection.execute(
                        f"SELECT {DIGEST} AS digest FROM {read_files([str(local)])}"
                    ).fetchnumpy()["digest"]
                    digests.append(np.asarray(found, np.uint64))
                    owners.append(np.full(len(found), -1, np.int32))
    return KnownRows(np.concatenate(digests), np.concatenate(owners), generations, unique=bool(job.key))
