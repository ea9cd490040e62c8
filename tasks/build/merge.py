"""Finds the rows of a result that are new, or that differ from those which the table has under the same key."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from blocks.duck import read_files
from blocks.parquet_writer import WrittenFile
from blocks.write_query import write_query
from schemas.column_plan import Column, duckdb_type, quote_identifier
from schemas.errors import GateFailed
from schemas.extraction import PROVENANCE
from tasks.build.shape import NOTHING_BUILT

# When and by which run a row was read says nothing of what it holds.
_NOT_COMPARED = frozenset(column.name for column in PROVENANCE)


def rows_that_differ(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[WrittenFile],
    columns: Sequence[Column],
    present: str,
    present_types: Mapping[str, str],
    keys: Sequence[str],
    scratch: Path,
    partition_by: Sequence[str] = (),
) -> list[WrittenFile]:
    """Return files of the rows that the table does not have.

    Args:
        connection: Where both can be read.
        files: The result.
        columns: Its columns.
        present: SQL name of what the table has.
        present_types: Its columns, with their DuckDB types.
        keys: Columns that have to be equal for two rows to be compared; without any, all rows are.
        scratch: A local folder.
        partition_by: Columns by which the files are split.
    """
    if not files:
        return []
    kinds = {column.name: duckdb_type(column) for column in columns}
    as_text = {key: "" if present_types.get(key) == kinds[key] else "::VARCHAR" for key in keys}
    same = [f"r.{quote_identifier(key)}{cast} = p.{quote_identifier(key)}{cast}" for key, cast in as_text.items()]
    theirs = {name.casefold(): name for name in present_types}
    ours = {column.name.casefold() for column in columns}
    for column in columns:
        if column.name in _NOT_COMPARED or column.name in keys:
            continue
        other = theirs.get(column.name.casefold())
        if other is None:
            same.append(f"r.{column.quoted} IS NULL")
        elif present_types[other] == duckdb_type(column):
            same.append(f"r.{column.quoted} IS NOT DISTINCT FROM p.{quote_identifier(other)}")
        else:
            same.append(
                f"CAST(r.{column.quoted} AS VARCHAR) IS NOT DISTINCT FROM CAST(p.{quote_identifier(other)} AS VARCHAR)"
            )
    gone = [name for folded, name in theirs.items() if folded not in ours and name not in _NOT_COMPARED]
    same += [f"p.{quote_identifier(name)} IS NULL" for name in gone]
    values = ", ".join(f"r.{column.quoted}" for column in columns)
    result = read_files([str(file.local) for file in files])
    query = f"SELECT {values} FROM {result} AS r ANTI JOIN {present} AS p ON {' AND '.join(same) or 'true'}"
    return write_query(connection, query, scratch, partition_by=partition_by)


def check_keys(
    connection: duckdb.DuckDBPyConnection, files: Sequence[WrittenFile], keys: Sequence[str], label: str
) -> None:
    """Refuse a result in which a key comes twice, or is not there: which row is to stand in the table?

    Raises:
        GateFailed: It names the keys.
    """
    if not files:
        return
    rows = read_files([str(file.local) for file in files])
    quoted = [quote_identifier(key) for key in keys]
    nothing = " OR ".join(f"{key} IS NULL" for key in quoted)
    (missing,) = connection.execute(f"SELECT count(*) FROM {rows} WHERE {nothing}").fetchone() or (0,)
    if missing:
        raise _refused(f"{label}.keys: {missing} rows have no value in {', '.join(keys)}")
    shown = " || ', ' || ".join(f"CAST({key} AS VARCHAR)" for key in quoted)
    twice = connection.execute(
        f"SELECT {shown}, count(*), count(*) OVER () FROM {rows} GROUP BY {', '.join(quoted)} HAVING count(*) > 1 "
        f"ORDER BY 1 LIMIT 3"
    ).fetchall()
    if twice:
        examples = "; ".join(f"{key} ({rows} rows)" for key, rows, _ in twice)
        raise _refused(f"{label}.keys: {twice[0][2]} keys ({', '.join(keys)}) come more than once: {examples}")


def _refused(what: str) -> GateFailed:
    return GateFailed(
        f"{what}.",
        state=NOTHING_BUILT,
        next_step="Add a step deduplicate with these keys, or name keys that tell rows apart.",
    )
