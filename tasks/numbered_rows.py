"""DuckDB SQL for archived rows, each with its file and its place in it: what is needed to write a file without it."""

from collections.abc import Iterator, Sequence

import duckdb

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, quote_identifier
from tasks.scan import FILE, Scan, scans

# Names of our own hold a space, so that no column of an archive is mistaken for one.
FILE_OF_ROW, PLACE_IN_FILE = '"tidegate file"', '"tidegate row"'
_NUMBERED = "file_row_number"


def numbered_rows(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    generations: Sequence[Generation],
    columns: Sequence[Column],
    key: Sequence[tuple[Column, str]],
) -> list[str]:
    """Return one query for each set of files that is read in one way: of what readers see, and of quarantine.

    Args:
        connection: Where they will run; it may be told to keep to the order of rows.
        lake: The lake.
        generations: Those of which the rows are wanted.
        columns: What readers see of a row.
        key: The key's columns, and the names under which they come once more.
    """
    found = scans(lake, list(generations), range(len(generations)), tuple(columns))
    for place, generation in enumerate(generations):
        if generation.quarantine:
            files = [(place, generation, file) for file in generation.quarantine]
            found.append(Scan(lake, generation.manifest, by_path=False, files=files))
    return [sql for scan in found for sql in _numbered(connection, scan, columns, key)]


def _numbered(
    connection: duckdb.DuckDBPyConnection, scan: Scan, columns: Sequence[Column], key: Sequence[tuple[Column, str]]
) -> Iterator[str]:
    values = [f"{scan.value(column)} AS {column.quoted}" for column in columns]
    values += [f"{scan.value(column)} AS {name}" for column, name in key]
    values += [f"f.{quote_identifier(FILE)} AS {FILE_OF_ROW}"]
    if all(column.name.casefold() != _NUMBERED for column in scan.manifest.columns):
        yield f"SELECT {', '.join([*values, f'f.{_NUMBERED} AS {PLACE_IN_FILE}'])} FROM {scan.numbered_source}"
        return
    # A column of that name hides DuckDB's: the rows are counted as one thread reads them.
    connection.execute("SET threads = 1")
    connection.execute("SET preserve_insertion_order = true")
    for file in scan.files:
        one = Scan(scan.lake, scan.manifest, scan.by_path, [file])
        yield f"SELECT {', '.join([*values, f'row_number() OVER () - 1 AS {PLACE_IN_FILE}'])} FROM {one.source}"
