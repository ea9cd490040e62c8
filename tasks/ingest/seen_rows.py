"""Which of the rows that are read again are in the lake already, as they are now."""

from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from blocks.duck import duck, read_files
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.source import Since
from schemas.column_plan import row_digest, same_plan
from schemas.extraction import Extraction
from tasks.ingest.table_gate import quarantined_digests
from tasks.known_rows import KnownRows


def seen_rows(extraction: Extraction, lake: Lake, generations: Sequence[Generation], since: Since | None) -> KnownRows:
    """Read the digests of the rows that the lake holds as the newest ones, from where on rows are read again.

    A row that has changed and changed back is not what it was last: only the newest version of a key is known. Of
    what lies before a generation with other columns, nothing is. What the same gate has put aside is known, too.

    Args:
        extraction: What is extracted.
        lake: The lake.
        generations: What the lake holds of the table, oldest first.
        since: Where rows are read again, or None if all are.
    """
    alike = list(takewhile(lambda generation: _has_columns_of(extraction, generation), reversed(generations)))
    keys = ", ".join(column.quoted for column in extraction.key_columns)
    values = ", ".join(filter(None, [keys, f'{row_digest(extraction.columns)} AS "tidegate digest"']))
    selects = [
        f'SELECT {values}, {age} AS "tidegate age" '
        f"FROM {read_files([lake.duckdb_path(path) for path in generation.files])} WHERE {_read_again(since)}"
        for age, generation in enumerate(alike)
        if generation.files
    ]
    found = aside = np.empty(0, np.uint64)
    if selects:
        newest = f' QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY "tidegate age") = 1' if keys else ""
        query = f'SELECT "tidegate digest" AS digest FROM ({" UNION ALL ".join(selects)}){newest}'
        with duck(extraction.settings) as connection:
            lake.attach(connection)
            found = np.asarray(connection.execute(query).fetchnumpy()["digest"], np.uint64)
    gated = [g for g in alike if g.quarantine and g.manifest.gate == extraction.gate_digest]
    if gated:
        with duck(extraction.settings) as connection:
            lake.attach(connection)
            aside = quarantined_digests(connection, lake, gated, _read_again(since))
    owners = np.concatenate([np.zeros(len(found), np.int32), np.full(len(aside), -1, np.int32)])
    return KnownRows(np.concatenate([found, aside]), owners, [], unique=bool(extraction.key))


def _has_columns_of(extraction: Extraction, generation: Generation) -> bool:
    stored = tuple(column for column in generation.manifest.columns if not column.added)
    return same_plan(stored, extraction.columns)


def _read_again(since: Since | None) -> str:
    if since is None:
        return "true"
    name, value = since.column.quoted, since.value
    begin = str(value) if isinstance(value, int) else f"'{value.isoformat(sep=' ')}'"
    return f"({name} >= {begin} OR {name} IS NULL)"
