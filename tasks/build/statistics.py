"""What is in the columns of a table: NULLs, distinct values, the smallest and the largest one. In one pass."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from blocks.duck import read_files
from schemas.column_plan import Column, Kind
from schemas.run_record import ColumnStatistics

MOST_COLUMNS = 1_000
LONGEST = 80


def column_statistics(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], columns: tuple[Column, ...]
) -> tuple[ColumnStatistics, ...]:
    """Return what is in the columns of some Parquet files; nothing for a table of more than 1,000 columns.

    The number of distinct values is an estimate, a few percent off. Of floats, NaN is the largest. Of binary values
    there is no smallest and largest: they would tell nobody anything.

    Raises:
        duckdb.Error: The files could not be read.
    """
    if len(columns) > MOST_COLUMNS:
        return ()
    if not files or not columns:
        return tuple(_of(column, 0, 0, None, None) for column in columns)
    # In two steps: DuckDB takes seconds to plan thousands of functions of aggregates.
    found = ", ".join(
        f"count({column.quoted}) AS c{n}, approx_count_distinct({column.quoted}) AS d{n}"
        + ("" if column.kind is Kind.BINARY else f", min({column.quoted}) AS l{n}, max({column.quoted}) AS h{n}")
        for n, column in enumerate(columns)
    )
    told = ", ".join(
        f"c{n}, d{n}, {_text('l', n, column)}, {_text('h', n, column)}" for n, column in enumerate(columns)
    )
    data = read_files([str(file) for file in files])
    ((rows, *values),) = connection.execute(
        f"SELECT rows, {told} FROM (SELECT count(*) AS rows, {found} FROM {data})"
    ).fetchall()
    return tuple(
        _of(column, rows - count, min(count, distinct), low, high)
        for column, count, distinct, low, high in zip(
            columns, values[::4], values[1::4], values[2::4], values[3::4], strict=True
        )
    )


def _text(edge: str, number: int, column: Column) -> str:
    return "NULL" if column.kind is Kind.BINARY else f"left(CAST({edge}{number} AS VARCHAR), {LONGEST + 1})"


def _of(column: Column, nulls: int, distinct: int, minimum: str | None, maximum: str | None) -> ColumnStatistics:
    return ColumnStatistics(
        column=column.name,
        type=column.source_type,
        nulls=nulls,
        distinct=distinct,
        minimum=_cut(minimum),
        maximum=_cut(maximum),
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else text[:LONGEST] + "…"
