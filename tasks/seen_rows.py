"""Which of the rows that are read again are in the lake already, as they are now."""

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
from tasks.known_rows import KnownRows


def seen_rows(
    extraction: Extraction, lake: Lake, generations: Sequence[Generation], since: Since | None, scratch: Path
) -> KnownRows:
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
    found = np.concatenate(digests)
    return KnownRows(found, np.zeros(len(found), np.int32), [], unique=bool(extraction.key))


def _read_again(since: Since | None) -> str:
    if since is None:
        return "true"
    name, value = since.column.quoted, since.value
    begin = str(value) if isinstance(value, int) else f"'{value.isoformat(sep=' ')}'"
    return f"({name} >= {begin} OR {name} IS NULL)"
