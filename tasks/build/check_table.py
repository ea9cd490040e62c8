"""The checks of a table as a whole: how many rows it has, and how old its newest one is.

What is found is a frame of one row, which Pandera judges as it does those of rows.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandera.polars as pa
import polars as pl

from blocks.duck import read_files, text_literal
from schemas.column_plan import Column, Kind
from schemas.pipelines.checks import Freshness, RowCount
from tasks.build.check_judge import judge
from tasks.build.check_rules import ROW_NUMBER

FUTURE = timedelta(days=1)
"""How far ahead a moment may be: clocks without a time zone are up to 14 hours ahead of UTC."""


def row_count_problem(check: RowCount, rows: int) -> str | None:
    """Return what is wrong with a number of rows, or None."""
    checks = []
    if check.min is not None:
        checks.append(pa.Check.ge(check.min))
    if check.max is not None:
        checks.append(pa.Check.le(check.max))
    schema = pa.DataFrameSchema({"rows": pa.Column(pl.Int64, checks)})
    return f"there are {rows:,} rows" if judge(schema, pl.DataFrame({"rows": [rows]})) else None


def freshness_problem(check: Freshness, newest: date | datetime | None, now: datetime) -> str | None:
    """Return what is wrong with the newest moment of a column, or None. Without one, nothing is fresh."""
    if newest is None:
        return f"no row has a moment in {check.column}"
    oldest = check.max_age.before(now)
    if isinstance(newest, datetime):
        moment = newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest.astimezone(UTC)
    else:
        moment = datetime.combine(newest, datetime.max.time(), UTC)
    schema = pa.DataFrameSchema({"newest": pa.Column(pl.Datetime("us", "UTC"), pa.Check.ge(oldest))})
    frame = pl.DataFrame({"newest": [moment]}, schema={"newest": pl.Datetime("us", "UTC")})
    if not judge(schema, frame):
        return None
    return f"the newest is of {newest.isoformat(sep=' ') if isinstance(newest, datetime) else newest}"


def newest_moment(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    column: Column,
    now: datetime,
    without: Path | None = None,
) -> Any:
    """Return the newest moment of a column that is not in the future, or None.

    Args:
        connection: Where the files are read.
        files: Parquet files.
        column: A date or a moment.
        now: Moments more than a day later are left out.
        without: A Parquet file that names rows (`file`, `file_row_number`) which do not count.
    """
    latest = f"TIMESTAMP '{(now + FUTURE).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    value = f"({column.quoted} AT TIME ZONE 'UTC')" if column.kind is Kind.TIMESTAMPTZ else column.quoted
    newest = None
    for file in files:
        kept = "true" if without is None else (
            f"{ROW_NUMBER} NOT IN (SELECT {ROW_NUMBER} FROM {read_files([str(without)])} "
            f"WHERE file = {text_literal(str(file))})"
        )  # fmt: skip
        ((found,),) = connection.execute(
            f"SELECT max({value}) FROM {read_files([str(file)])} "
            f"WHERE {value} BETWEEN TIMESTAMP '0001-01-01' AND {latest} AND {kept}"
        ).fetchall()
        if found is not None and (newest is None or found > newest):
            newest = found
    return newest
