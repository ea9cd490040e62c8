"""Each check against a plain model of it, on any values, in any split into files and parts."""

import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from check_bench import CheckBench
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.column_plan import Column, Kind, arrow_schema

COLUMNS = (
    Column(name="n", source_type="INTEGER", kind=Kind.INTEGER, bits=32),
    Column(name="t", source_type="VARCHAR", kind=Kind.TEXT),
    Column(name="x", source_type="DOUBLE", kind=Kind.FLOAT64),
    Column(name="d", source_type="DECIMAL(6,2)", kind=Kind.DECIMAL, precision=6, scale=2),
)
TEXT = st.text(st.sampled_from("abñ\n '\"😀"), max_size=4)
Row = tuple[int | None, str | None, float | None, Decimal | None]
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-3, 3),
        st.none() | TEXT,
        st.none() | st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf")]),
        st.none() | st.decimals(-3, 3, places=2),
    ),
    max_size=40,
)


def _key(row: Row, places: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple("nan" if row[place] != row[place] else row[place] for place in places)


def _repeated(*places: int) -> Callable[[list[Row]], list[bool]]:
    def wrong(rows: list[Row]) -> list[bool]:
        seen = Counter(_key(row, places) for row in rows)
        return [seen[_key(row, places)] > 1 and all(row[place] is not None for place in places) for row in rows]

    return wrong


def _each(place: int, is_wrong: Callable[[Any], bool]) -> Callable[[list[Row]], list[bool]]:
    return lambda rows: [row[place] is not None and is_wrong(row[place]) for row in rows]


MODELS: list[tuple[dict[str, Any], Callable[[list[Row]], list[bool]]]] = [
    ({"type": "not_null", "columns": ["n", "x"]}, lambda rows: [row[0] is None or row[2] is None for row in rows]),
    ({"type": "unique", "columns": ["n"]}, _repeated(0)),
    ({"type": "unique", "columns": ["x", "t"]}, _repeated(2, 1)),
    ({"type": "valid_values", "column": "t", "values": ["a", "", "ñ"]}, _each(1, lambda t: t not in ("a", "", "ñ"))),
    ({"type": "valid_values", "column": "x", "values": [0, 1.5]}, _each(2, lambda x: x not in (0, 1.5))),
    ({"type": "valid_values", "column": "d", "values": [0.5, -1]}, _each(3, lambda d: d not in (Decimal("0.5"), -1))),
    ({"type": "range", "column": "n", "min": -1.5, "max": 2}, _each(0, lambda n: not -1.5 <= n <= 2)),
    ({"type": "range", "column": "x", "min": 0}, _each(2, lambda x: not x >= 0)),
    ({"type": "range", "column": "x", "max": 1.5}, _each(2, lambda x: not x <= 1.5)),
    ({"type": "range", "column": "d", "min": -1.255, "max": 2.5}, _each(3, lambda d: not -1.255 <= d <= 2.5)),
    ({"type": "regex", "column": "t", "pattern": "a*|b.?"}, _each(1, lambda t: not re.fullmatch("a*|b.?", t))),
    ({"type": "length", "column": "t", "min": 1, "max": 2}, _each(1, lambda t: not 1 <= len(t) <= 2)),
    ({"type": "foreign_key", "column": "n", "references": "raw.a.b"}, _each(0, lambda n: n not in (1, 2))),
    (
        {"type": "expression", "condition": "n < 2 OR t = 'a'"},
        lambda rows: [
            (n is not None and n >= 2 and t is not None and t != "a")  # NULL < 2 is unknown, and so is what follows
            for n, t, *_ in rows
        ],
    ),
]


@pytest.mark.parametrize(("check", "model"), MODELS, ids=lambda one: one["type"] if isinstance(one, dict) else "")
@settings(max_examples=15, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 40))
def test_a_check_finds_what_its_plain_model_finds(
    check: dict[str, Any], model: Callable[[list[Row]], list[bool]], rows: list[Row], cut: int
) -> None:
    with TemporaryDirectory() as folder:
        bench = CheckBench(Path(folder))
        bench.columns, bench.tables = COLUMNS, {"raw/a/b": "(SELECT unnest([1, 2, NULL]) AS n)"}
        places = []
        for number, part in enumerate((rows[:cut], rows[cut:])):
            path = Path(folder) / f"{number}.parquet"
            columns = list(zip(*part, strict=True)) or [()] * len(COLUMNS)
            arrays = [pa.array(values, column.arrow_type) for values, column in zip(columns, COLUMNS, strict=True)]
            pq.write_table(pa.Table.from_arrays(arrays, schema=arrow_schema(COLUMNS)), path, row_group_size=7)
            bench.files.append(path)
            places += [(number, place) for place in range(len(part))]
        expected = [place for place, wrong in zip(places, model(rows), strict=True) if wrong]
        assert bench.failing(**check) == expected
        result = bench.one(**check)
        assert (result.checked, result.failed, len(result.examples)) == (
            len(rows), len(expected), min(5, len(expected)),
        )  # fmt: skip
        bench.connection.close()
