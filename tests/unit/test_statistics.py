"""Statistics of columns, over real Parquet files."""

from pathlib import Path

import duckdb
import pytest

from blocks.lake_types import arrow_columns, select_list, stored_as
from schemas.column_plan import Column, Kind
from schemas.run_record import ColumnStatistics
from tasks.build.statistics import MOST_COLUMNS, column_statistics


def _of(folder: Path, *queries: str) -> list[ColumnStatistics]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        stored = stored_as(connection, queries[0])
        files = []
        for number, query in enumerate(queries):
            files.append(folder / f"{number}.parquet")
            connection.execute(f"COPY (SELECT {select_list(stored)} FROM ({query})) TO '{files[-1]}' (FORMAT parquet)")
        return list(column_statistics(connection, files, arrow_columns(stored)))


def test_nulls_distinct_values_and_edges_are_those_of_all_files(tmp_path: Path) -> None:
    (n, day) = _of(
        tmp_path,
        "SELECT 3 AS n, DATE '2026-01-31' AS day",
        "SELECT unnest([1, NULL, 3, NULL]) AS n, DATE '2020-02-29' AS day",
    )
    assert n == ColumnStatistics(column="n", type="INTEGER", nulls=2, distinct=2, minimum="1", maximum="3")
    assert (day.nulls, day.distinct, day.minimum, day.maximum) == (0, 2, "2020-02-29", "2026-01-31")


@pytest.mark.parametrize(
    ("value", "minimum", "maximum"),
    [
        ("unnest(['nan', '1.5', '-inf', 'inf'])::DOUBLE", "-inf", "nan"),
        ("unnest(['-1.50', '9.25'])::DECIMAL(9,2)", "-1.50", "9.25"),
        ("unnest(['infinity', '2020-01-01'])::DATE", "2020-01-01", "infinity"),
        ("unnest(['2020-01-01 00:00:00+01', '1999-01-01 00:00:00+00'])::TIMESTAMPTZ", "1999-01-01 00:00:00+00",
         "2019-12-31 23:00:00+00"),
        ("unnest([true, false])", "false", "true"),
        ("'\\xFF'::BLOB", None, None),
        ("unnest([[1, 2], [3]])", "[1,2]", "[3]"),
        ("{'a': 1}", '{"a":1}', '{"a":1}'),
        ("unnest(['z' || repeat('é', 500), ''])", "", "z" + "é" * 79 + "…"),
        ("repeat('x', 80)", "x" * 80, "x" * 80),
        ("NULL::VARCHAR", None, None),
    ],
)  # fmt: skip
def test_edges_of_any_type_are_text_and_short(
    tmp_path: Path, value: str, minimum: str | None, maximum: str | None
) -> None:
    (found,) = _of(tmp_path, f"SELECT {value} AS v")
    assert (found.minimum, found.maximum) == (minimum, maximum)


def test_there_are_never_more_distinct_values_than_values(tmp_path: Path) -> None:
    (found,) = _of(tmp_path, "SELECT CASE WHEN range < 50000 THEN range END AS v FROM range(100000)")
    assert found.nulls == 50_000
    assert 47_000 < found.distinct <= 50_000


@pytest.mark.parametrize("name", ['quo"te', "*", "a, b", "select"])
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    (found, _) = _of(tmp_path, f"SELECT 1 AS {quoted}, 2 AS other")
    assert (found.column, found.minimum) == (name, "1")


def test_a_table_without_rows_has_none(tmp_path: Path) -> None:
    (found,) = _of(tmp_path, "SELECT 1 AS v WHERE false")
    assert found == ColumnStatistics(column="v", type="INTEGER", nulls=0, distinct=0)
    column = Column(name="v", source_type="INTEGER", kind=Kind.INTEGER, bits=32)
    with duckdb.connect(":memory:") as connection:
        assert column_statistics(connection, [], (column,)) == (found,)


def test_a_thousand_columns_are_read_in_one_pass_and_more_are_left_out(tmp_path: Path) -> None:
    columns = ", ".join(f"{n} AS c{n}" for n in range(MOST_COLUMNS))
    assert len(_of(tmp_path, f"SELECT {columns}")) == MOST_COLUMNS
    assert _of(tmp_path, f"SELECT {columns}, 1 AS more") == []
