"""Finds which archived rows a restore is to bring back: the newest version of each key, and only that.

A version that a newer generation supersedes stays in the lake, also when the newer one lies in another window (the
row's time was changed) or outside of the range that was asked for. A table without a key has no versions: all its
archived rows in the range come back.
"""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import duckdb_type, stored_value
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import DataFile
from schemas.restore import RestoreRequest
from tasks.archived_keys import FILE, GENERATION, ArchivedKeys
from tasks.checked_files import discard, fetch_checked, refusal

WantedKeys = list[list[str] | None] | None


@dataclass(frozen=True, slots=True)
class Picked:
    """The rows of one generation that are to be restored.

    Attributes:
        generation: The generation.
        files: The files to check and to read: all that may hold such rows.
        rows: How many rows that are.
        predicate: DuckDB SQL that holds for them in these files, on the connection that picked them.
    """

    generation: Generation
    files: tuple[DataFile, ...]
    rows: int
    predicate: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request selects.

    Attributes:
        picked: The rows to restore, oldest generation first.
        superseded: Row versions in the range that are not the newest of their key.
        missing: Numbers of the wanted keys of which there is no row.
    """

    picked: tuple[Picked, ...]
    superseded: int
    missing: frozenset[int]


def pick_versions(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    generations: list[Generation],
    request: RestoreRequest,
    zone: ZoneInfo,
    wanted: WantedKeys,
    scratch: Path,
) -> Selection:
    """Return the rows to restore; which they are stays in tables of the connection.

    Args:
        connection: A DuckDB connection, for this one selection.
        lake: The lake.
        generations: All committed generations of the dataset, oldest snapshot first.
        request: Which rows are wanted.
        zone: What a moment without a time zone means.
        wanted: Canonical texts of the keys that are wanted, or None for all rows in the range; a None among them
            is a key that no row can have.
        scratch: A local folder for copies of files.

    Raises:
        ProofFailed: A file that has to be looked at is missing, has another size or cannot be read.
    """
    keys = ArchivedKeys(connection, lake, generations, request, zone)
    candidates = keys.candidates()
    later = list(range(min(candidates), len(generations))) if candidates and keys.columns else []
    consulted = [generations[n] for n in sorted({*candidates, *later})]
    _refuse_absent(lake, consulted)
    try:
        _want(connection, keys, wanted or [])
        _select(connection, keys, candidates, by_key=wanted is not None)
        _leave_superseded(connection, keys, later)
        return _selection(connection, keys, generations, candidates, wanted)
    except (duckdb.Error, OSError) as error:  # the latter comes from S3, through DuckDB
        raise _unreadable(lake, consulted, scratch, error) from None


def _unreadable(lake: Lake, generations: list[Generation], scratch: Path, error: Exception) -> ProofFailed:
    """Return the error for a search that failed: by the first file that is damaged, as DuckDB may not name it."""
    finding = Finding(
        check="unreadable", where=generations[-1].manifest.dataset, expected="the keys of rows", found=str(error)
    )
    for file in (f for g in generations for f in g.manifest.files if f.path not in g.removed):
        result = fetch_checked(lake, file, scratch)
        if isinstance(result, Finding):
            finding = result
            break
        discard([result], scratch)
    return refusal(generations[-1].manifest.archive, [finding])


def _refuse_absent(lake: Lake, generations: list[Generation]) -> None:
    present = {e.path: e.size_bytes for e in lake.list(generations[0].manifest.dataset)} if generations else {}
    findings = []
    for file in (f for g in generations for f in g.manifest.files if f.path not in g.removed):
        size, expected = present.get(file.path), f"{file.size_bytes} bytes"
        if size is None:
            findings.append(Finding(check="missing", where=file.path, expected=expected, found="no file"))
        elif size != file.size_bytes:
            findings.append(Finding(check="size", where=file.path, expected=expected, found=f"{size} bytes"))
    if findings:
        raise refusal(generations[0].manifest.archive, findings)


def _want(connection: duckdb.DuckDBPyConnection, keys: ArchivedKeys, wanted: list[list[str] | None]) -> None:
    """Make `wanted`: the wanted keys, with their numbers."""
    texts = [(number, key) for number, key in enumerate(wanted) if key is not None]
    values = [
        f"{stored_value(column, f'key[{i + 1}]')} AS {name}"
        for i, (column, name) in enumerate(zip(keys.columns, keys.names, strict=True))
    ]
    connection.execute(
        f"CREATE TABLE wanted AS SELECT {', '.join(['number', *values])} FROM "
        "(SELECT unnest(?::INTEGER[]) AS number, unnest(?::VARCHAR[][]) AS key)",
        [[number for number, _ in texts], [key for _, key in texts]],
    )


def _select(connection: duckdb.DuckDBPyConnection, keys: ArchivedKeys, candidates: list[int], *, by_key: bool) -> None:
    """Make `selected`: key, generation and file of every row in the range (with one of the wanted keys)."""
    typed = [f"{name} {duckdb_type(column)}" for name, column in zip(keys.names, keys.columns, strict=True)]
    connection.execute(f"CREATE TABLE selected ({', '.join([*typed, f'{GENERATION} INTEGER', f'{FILE} INTEGER'])})")
    semi_join = f" SEMI JOIN wanted ON {_same_key(keys, 'archived', 'wanted')}" if by_key else ""
    for rows in keys.queries(candidates, in_range=True):
        connection.execute(f"INSERT INTO selected SELECT * FROM ({rows}) AS archived{semi_join}")


def _leave_superseded(connection: duckdb.DuckDBPyConnection, keys: ArchivedKeys, later: list[int]) -> None:
    """Make `picked`: of the selected rows those of which no later generation holds another version."""
    if not keys.columns:
        connection.execute("CREATE TABLE picked AS FROM selected")
        return
    columns = ", ".join([*keys.names, GENERATION])
    connection.execute(f"CREATE TABLE versions AS SELECT {columns} FROM selected")
    for rows in keys.queries(later, in_range=False):
        connection.execute(
            f"INSERT INTO versions SELECT {columns} FROM ({rows}) AS archived "
            f"SEMI JOIN selected ON {_same_key(keys, 'archived', 'selected')}"
        )
    newest = f"SELECT {', '.join(keys.names)}, max({GENERATION}) AS {GENERATION} FROM versions GROUP BY ALL"
    connection.execute(
        f"CREATE TABLE picked AS SELECT * FROM selected SEMI JOIN ({newest}) AS newest "
        f"ON {_same_key(keys, 'selected', 'newest')} AND selected.{GENERATION} = newest.{GENERATION}"
    )
    connection.execute("DROP TABLE versions")


def _selection(
    connection: duckdb.DuckDBPyConnection,
    keys: ArchivedKeys,
    generations: list[Generation],
    candidates: list[int],
    wanted: WantedKeys,
) -> Selection:
    counted = connection.execute(
        f"SELECT {GENERATION}, list(DISTINCT {FILE}), count(*) FROM picked GROUP BY 1"
    ).fetchall()
    found = {n: (set(files), rows) for n, files, rows in counted}
    picked = []
    # Without keys, the files of every window in the range are checked, also those of which no row was picked: a
    # damaged file may hide its rows.
    for n in candidates if wanted is None else sorted(found):
        generation, (numbers, rows) = generations[n], found.get(n, (set(), 0))
        files = [f for i, f in enumerate(generation.manifest.files) if wanted is None or i in numbers]
        present = tuple(file for file in files if file.path not in generation.removed)
        picked.append(Picked(generation, present, rows, _predicate(keys, n)))
    missing = set(range(len(wanted or [])))
    if wanted is not None:
        found_keys = f"SELECT number FROM wanted SEMI JOIN selected ON {_same_key(keys, 'wanted', 'selected')}"
        missing -= {number for (number,) in connection.execute(found_keys).fetchall()}
    (superseded,) = connection.execute(
        "SELECT (SELECT count(*) FROM selected) - (SELECT count(*) FROM picked)"
    ).fetchone() or (0,)
    return Selection(tuple(picked), superseded, frozenset(missing))


def _predicate(keys: ArchivedKeys, n: int) -> str:
    if not keys.columns:
        return keys.predicate(n)
    same = [f"{v} IS NOT DISTINCT FROM {name}" for v, name in zip(keys.values(n), keys.names, strict=True)]
    return f"{keys.predicate(n)} AND EXISTS (FROM picked WHERE {GENERATION} = {n} AND {' AND '.join(same)})"


def _same_key(keys: ArchivedKeys, left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in keys.names)
