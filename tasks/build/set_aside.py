"""Takes the rows that checks want aside out of what was computed; none is lost on the way."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from blocks.duck import read_files, text_literal
from blocks.parquet_writer import WrittenFile
from blocks.quarantine import REASON
from blocks.write_query import write_query
from schemas.column_plan import Column, quote_identifier
from schemas.errors import ProofFailed
from tasks.build.shape import NOTHING_BUILT

_FILE = "tidegate file"  # it holds a space, so that no column of a table is mistaken for it


def set_aside(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[WrittenFile],
    bad_rows: Path,
    columns: tuple[Column, ...],
    scratch: Path,
    partition_by: Sequence[str],
) -> tuple[list[WrittenFile], list[WrittenFile]]:
    """Return the files without the bad rows, and files of these with `_reason`.

    Only files with a bad row are written again.

    Raises:
        ProofFailed: The rows of both together are not those of the files.
    """
    bad = read_files([str(bad_rows)])
    touched = {name for (name,) in connection.execute(f"SELECT DISTINCT file FROM {bad}").fetchall()}
    whole = [file for file in files if str(file.local) not in touched]
    mixed = [file for file in files if str(file.local) in touched]
    names = ", ".join(text_literal(str(file.local)) for file in mixed)
    rows = (
        f"read_parquet([{names}], hive_partitioning = false, filename = {text_literal(_FILE)}, "
        "file_row_number = true) AS f"
    )
    same = f"f.{quote_identifier(_FILE)} = b.file AND f.file_row_number = b.file_row_number"
    values = ", ".join(f"f.{column.quoted}" for column in columns)
    kept = write_query(
        connection, f"SELECT {values} FROM {rows} ANTI JOIN {bad} AS b ON {same}", scratch, partition_by=partition_by
    )
    aside = write_query(
        connection, f"SELECT {values}, b.reason AS {REASON} FROM {rows} JOIN {bad} AS b ON {same}", scratch
    )
    before, after = (sum(file.rows for file in some) for some in (mixed, [*kept, *aside]))
    if not mixed or before != after:
        raise ProofFailed(
            f"Of {before} rows, {after} were left after putting bad ones aside.",
            state=NOTHING_BUILT,
            next_step="Run the same command again; if it happens again, please report it.",
        )
    for file in mixed:
        file.local.unlink()
    return [*whole, *kept], aside
