"""Values of all kinds in PostgreSQL: as they are in the lake, each in the type that fits."""

import math
from datetime import UTC
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from publish_bench import PublishBench
from service_bench import Bench

TYPES = {
    "SMALLINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint", "BOOLEAN": "boolean", "FLOAT": "real",
    "DOUBLE": "double precision", "DECIMAL(38,10)": "numeric(38,10)", "DECIMAL(3,3)": "numeric(3,3)",
    "HUGEINT": "numeric(38,0)", "DATE": "date", "TIME": "time without time zone",
    "TIMESTAMP": "timestamp without time zone", "TIMESTAMPTZ": "timestamp with time zone", "VARCHAR": "text",
    "BLOB": "bytea", "UUID": "uuid", "INTEGER[]": "text",
}  # fmt: skip


def test_every_type_has_its_own_in_postgresql(publishing: PublishBench) -> None:
    columns = ", ".join(f"CAST(NULL AS {kind}) AS c{n}" for n, kind in enumerate(TYPES))
    publishing.put(f"SELECT {columns}")
    publishing.one()
    found = publishing.sql(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'consume.top'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [kind for (kind,) in found] == list(TYPES.values())


EDGES = {
    "SMALLINT": ["-32768", "32767"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "FLOAT": ["3.4028235e38", "1e-45", "-0.0", "nan", "inf", "-inf", "0.1"],
    "DOUBLE": ["1.7976931348623157e308", "5e-324", "-0.0", "nan", "inf", "-inf", "0.1"],
    "DECIMAL(38,10)": ["-9999999999999999999999999999.9999999999", "0.0000000001", "1"],
    "DECIMAL(3,3)": ["0.001", "-0.999"],
    "DATE": ["infinity", "-infinity", "4713-01-01 (BC)", "0001-01-01", "9999-12-31", "5874897-12-31"],
    "TIME": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "TIMESTAMP": ["infinity", "-infinity", "4713-01-01 (BC) 00:00:00", "0001-12-31 (BC) 23:59:59.5", "294246-12-31"],
    "TIMESTAMPTZ": [
        "infinity", "-infinity", "0044-03-15 (BC) 12:00:00+00", "2024-01-01 00:00:31.5+05:30",
        "294246-12-31 00:00:00Z",
    ],
    "UUID": ["00000000-0000-0000-0000-000000000000"],
}  # fmt: skip


def printed(kind: str, value: str) -> str:
    """Return a value as PostgreSQL prints it, by DuckDB."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        [(text,)] = connection.execute(f"SELECT CAST(CAST(? AS {kind}) AS VARCHAR)", [value]).fetchall()
    if kind in ("FLOAT", "DOUBLE"):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, str(text))
    if text.startswith("."):
        text = f"0{text}"
    text = text.replace("-.", "-0.")
    return f"{text.replace(' (BC)', '')} BC" if "(BC)" in text else str(text)


def test_the_edges_of_every_type_arrive(publishing: PublishBench) -> None:
    longest = max(map(len, EDGES.values()))
    columns = [
        f"CAST(unnest([{', '.join(repr(v) for v in values)}{', NULL' * (longest - len(values))}]) AS {kind}) AS c{n}"
        for n, (kind, values) in enumerate(EDGES.items())
    ]
    publishing.put(f"SELECT {', '.join(columns)}")
    publishing.one()
    for n, (kind, values) in enumerate(EDGES.items()):
        found = [text for (text,) in publishing.sql(f"SELECT c{n}::text FROM consume.top WHERE c{n} IS NOT NULL")]
        wanted = [printed(kind, value) for value in values]
        if kind in ("FLOAT", "DOUBLE"):
            assert sorted(str(float(t)) for t in found) == sorted(str(float(t)) for t in wanted), kind
            assert any(math.copysign(1, float(t)) < 0 and float(t) == 0 for t in found), kind
        else:
            assert sorted(found) == sorted(wanted), kind


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        st.none() | st.binary(max_size=20),
        st.none() | st.floats(width=64),
        st.none() | st.decimals(-(10**26), 10**26, places=10, allow_nan=False),
        st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0)),
        st.none() | st.dates(),
        st.none() | st.times().map(lambda time: time.replace(fold=0)),
        st.none() | st.booleans(),
    ),
    min_size=30,
    max_size=100,
)
SCHEMA = pa.schema(
    {
        "a text": pa.string(), "b": pa.binary(), "c": pa.float64(), "d": pa.decimal128(38, 10),
        "e": pa.timestamp("us", tz="UTC"), "f": pa.date32(), "g": pa.time64("us"), "h": pa.bool_(),
    }
)  # fmt: skip


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a row that is wrong is shown; to shrink it takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.large_base_example, HealthCheck.too_slow],
)
@given(rows=ROWS)
@example(
    rows=[(text, b"\0\\x", 0.1, None, None, None, None, None) for text in ("", "\\N", '"', "\\.", ",", "\r\n", " ")]
)
@example(rows=[(None,) * 8])
def test_any_row_arrives_as_it_is(publishing: PublishBench, rows: list[tuple[Any, ...]]) -> None:
    path = publishing.folder / "rows.parquet"
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)
    pq.write_table(table, path)
    publishing.put(f"SELECT * FROM '{path}'")
    publishing.one()
    found = publishing.sql("SELECT * FROM consume.top")
    assert sorted(map(repr, found)) == sorted(map(repr, rows))


def test_types_of_a_postgresql_come_back_as_they_were(bench: Bench) -> None:
    bench.sql(
        "CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz, u uuid, j json, b jsonb, i inet, "
        "v interval, n numeric, d numeric(10,2), t varchar(5), a int[], e text)"
    )
    bench.sql(
        """INSERT INTO orders VALUES (1, '2024-01-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1.10, "a":1 }',
           '{"b": 1.10}', '10.0.0.1/24', '1 mon -3 days 00:00:01.5', 1.10, 2.5, 'x', '{1,NULL}', ''),
           (2, '2024-01-02', NULL, NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, NULL)"""
    )
    bench.configure(purge=None)
    bench.run()
    publishing = PublishBench.__new__(PublishBench)
    publishing.url, publishing.folder = bench.url, bench.folder
    publishing.configure({"dataset": "orders", "as": "dwh.orders", "mode": "upsert"})
    publishing.one()
    compared = "id, placed_at, u, j::text, b, i, v, n, d, a::text, e"
    expected = publishing.sql(f"SELECT {compared} FROM orders ORDER BY id")
    assert str(publishing.sql(f"SELECT {compared} FROM dwh.orders ORDER BY id")) == str(expected)
    types = publishing.sql(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'dwh.orders'::regclass AND attnum > 0"
    )
    assert dict(types) == {
        "id": "bigint", "placed_at": "timestamp with time zone", "u": "uuid", "j": "json", "b": "jsonb", "i": "inet",
        "v": "interval", "n": "numeric", "d": "numeric(10,2)", "t": "text", "a": "text", "e": "text",
        "year": "integer", "month": "integer",
    }  # fmt: skip
    report = publishing.one(full=True)
    assert (report.equal, report.updated) == (2, 0)


def test_a_date_that_no_postgresql_can_hold_is_named(publishing: PublishBench) -> None:
    publishing.put("SELECT DATE '5000-01-01 (BC)' AS far")
    error = publishing.refusal()
    assert "out of range" in error.what and "column far" in error.what


@pytest.mark.parametrize("query", ["SELECT 1 AS ctid", f"SELECT 1 AS {'n' * 64}", "SELECT 1 AS id, 2 AS xmin"])
def test_a_column_that_cannot_be_called_so_is_named(publishing: PublishBench, query: str) -> None:
    publishing.put(query)
    assert publishing.refusal().what
