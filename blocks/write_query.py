"""Writes the rows of a DuckDB query to local Parquet files: streaming, in bounded memory, split by partition keys."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow.parquet as pq

from blocks.duck import text_literal
from blocks.parquet_writer import Partition, WrittenFile
from schemas.column_plan import quote_identifier
from schemas.errors import ProofFailed

ROW_GROUP_ROWS = 122_880
FILE_MAX_BYTES = "1GB"


def write_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    folder: Path,
    *,
    partition_by: Sequence[str] = (),
    ordered: bool = False,
) -> list[WrittenFile]:
    """Run a query and write its rows as Parquet, compressed with zstd.

    Args:
        connection: Where the query runs.
        query: One SELECT, whose columns are stored as they are (`blocks.lake_types`).
        folder: An existing local folder with room for the files.
        partition_by: Columns; rows with other values of them go into other files. They stay in the files, too.
        ordered: Whether rows have to be written in the order of the query.

    Returns:
        The files that have rows.

    Raises:
        ProofFailed: The files do not hold as many rows as were written.
        duckdb.Error: The query failed. Nothing of it is left in the folder but files that nobody names.
    """
    target = folder / uuid4().hex
    options = ["FORMAT parquet", "COMPRESSION zstd", f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}"]
    if partition_by:
        keys = ", ".join(quote_identifier(key) for key in partition_by)
        options += [f"PARTITION_BY ({keys})", "WRITE_PARTITION_COLUMNS true"]
    else:
        options += [f"FILE_SIZE_BYTES '{FILE_MAX_BYTES}'"]
    if ordered:
        connection.execute("SET preserve_insertion_order = true")
    try:
        copy = connection.execute(f"COPY ({query}) TO {text_literal(str(target))} ({', '.join(options)})")
        ((rows,),) = copy.fetchall()
    finally:
        if ordered:
            connection.execute("SET preserve_insertion_order = false")
    found = sorted(target.rglob("*.parquet")) if target.is_dir() else [target] if target.exists() else []
    files = [file for path in found if (file := written(path, _partition(path, partition_by))).rows]
    if (kept := sum(file.rows for file in files)) != rows:
        raise ProofFailed(
            f"DuckDB wrote {rows} rows, and the Parquet files hold {kept}.",
            state="Nothing was committed.",
            next_step="Run the same command again; if it happens again, please report it.",
        )
    return files


def written(path: Path, partition: Partition | None = None) -> WrittenFile:
    """Return what is to be known of a finished Parquet file before it goes into the lake."""
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    rows = pq.read_metadata(path).num_rows
    return WrittenFile(path, partition or {}, rows, path.stat().st_size, sha256, 0)


def _partition(path: Path, keys: Sequence[str]) -> Partition:
    """Return a file's partition, read from the file: what is in the path has lost what is NULL and what is escaped."""
    if not keys:
        return {}
    first = next(pq.ParquetFile(path).iter_batches(batch_size=1, columns=list(keys)), None)
    if first is None:
        return dict.fromkeys(keys)
    return {key: _as_text(first.column(key)[0].as_py()) for key in keys}


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
