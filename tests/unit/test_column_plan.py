"""The column plan: what is stored for each type, and that a canonical text stands for one row and no other."""

from itertools import product

import duckdb
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.dialects.postgresql.catalog import describe
from blocks.dialects.postgresql.session import session, statement
from blocks.dialects.postgresql.statements import export_rows
from blocks.dialects.postgresql.stream import decode, reader_url
from blocks.dialects.postgresql.types import (
    MAX_JOINED,
    TypeInfo,
    digest_expression,
    field_expression,
    key_type,
    numeric_digits,
    plan_column,
    value_expression,
)
from schemas.column_plan import Column, Kind, arrow_schema, canonical_field, row_digest, same_plan
from schemas.errors import UnsupportedValue

NUMERIC_12_4 = (12 << 16 | 4) + 4
NUMERIC_3_MINUS_2 = (3 << 16 | -2 & 0x7FF) + 4


def planned(base: str, full_name: str = "", typmod: int = -1) -> Column:
    return plan_column("c", TypeInfo(full_name or base, base, typmod), nullable=True)


@pytest.mark.parametrize(
    ("base", "typmod", "kind", "arrow"),
    [
        ("int2", -1, Kind.INTEGER, pa.int16()),
        ("int4", -1, Kind.INTEGER, pa.int32()),
        ("int8", -1, Kind.INTEGER, pa.int64()),
        ("oid", -1, Kind.INTEGER, pa.int64()),
        ("regclass", -1, Kind.INTEGER, pa.int64()),
        ("bool", -1, Kind.BOOLEAN, pa.bool_()),
        ("float4", -1, Kind.FLOAT32, pa.float32()),
        ("float8", -1, Kind.FLOAT64, pa.float64()),
        ("numeric", NUMERIC_12_4, Kind.DECIMAL, pa.decimal128(12, 4)),
        ("numeric", (38 << 16 | 38) + 4, Kind.DECIMAL, pa.decimal128(38, 38)),
        ("date", -1, Kind.DATE, pa.date32()),
        ("time", 2, Kind.TIME, pa.time64("us")),
        ("timestamp", 0, Kind.TIMESTAMP, pa.timestamp("us")),
        ("timestamptz", -1, Kind.TIMESTAMPTZ, pa.timestamp("us", tz="UTC")),
        ("bytea", -1, Kind.BINARY, pa.large_binary()),
        ("text", -1, Kind.TEXT, pa.string()),
        ("varchar", 24, Kind.TEXT, pa.string()),
        ("bpchar", 9, Kind.TEXT, pa.string()),
        ("name", -1, Kind.TEXT, pa.string()),
    ],
)
def test_types_with_a_counterpart_in_parquet_are_stored_as_it(
    base: str, typmod: int, kind: Kind, arrow: pa.DataType
) -> None:
    column = planned(base, typmod=typmod)
    assert (column.kind, column.arrow_type, column.exact_text) == (kind, arrow, False)


# No server with the type xml can be had as a wheel: of xml, this plan is all that is tested.
@pytest.mark.parametrize(
    "base",
    ["xml", "money", "interval", "timetz", "uuid", "json", "jsonb", "bit", "varbit", "inet", "tsvector", "int4range",
     "_int4", "_numeric", "_text", "point", "pg_lsn", "char", "xid8", "a_type_of_postgresql_30", ""],
)  # fmt: skip
def test_all_other_types_are_stored_as_their_exact_text_and_say_so(base: str) -> None:
    column = planned(base, "shop.mood")
    assert (column.kind, column.arrow_type, column.exact_text) == (Kind.TEXT, pa.string(), True)
    assert key_type(column) == "shop.mood"


def test_xml_is_read_as_the_text_that_it_was_written_as() -> None:
    assert value_expression(planned("xml"), '"doc"') == '"doc"::text'


@pytest.mark.parametrize(
    "typmod", [-1, NUMERIC_3_MINUS_2, (39 << 16 | 2) + 4, (1000 << 16 | 500) + 4, (3 << 16 | 5) + 4]
)
def test_numbers_that_a_decimal_cannot_hold_are_stored_as_text(typmod: int) -> None:
    column = planned("numeric", typmod=typmod)
    assert (column.kind, column.precision, column.scale, column.exact_text) == (Kind.TEXT, None, None, True)


def test_precision_and_scale_of_a_type_modifier() -> None:
    assert numeric_digits(NUMERIC_12_4) == (12, 4)
    assert numeric_digits(NUMERIC_3_MINUS_2) == (3, -2)
    assert numeric_digits(-1) == (None, None)


def test_a_plan_stays_the_same_when_only_nullability_changes() -> None:
    column = planned("numeric", "numeric(12,4)", NUMERIC_12_4)
    assert same_plan((column,), (column.model_copy(update={"nullable": False, "generated": True}),))
    for change in ({"name": "d"}, {"scale": 3}, {"kind": Kind.TEXT}, {"source_type": "price"}, {"derived": "1"}):
        assert not same_plan((column,), (column.model_copy(update=change),))
    assert not same_plan((column,), (column, column))


# Texts that look like fields, so that the rows made of them run into each other wherever they can.
FIELDS = (None, "", "~", ",", ",~", "0:", "1:~", "~,~", "0:,0:", ",0:,", "1:,~")
COLUMNS = tuple(
    plan_column(f"c{i}", TypeInfo(base, base, -1), nullable=True)
    for i, base in enumerate(["text", "varchar", "int4", "int4", "bool", "bytea"])
)


@settings(max_examples=10, deadline=None, database=None)
@given(more=st.lists(st.text("~,:0123", max_size=6), max_size=4))
def test_two_different_rows_never_share_a_text(more: list[str]) -> None:
    texts = {*FIELDS, *more}
    rows = list(product(texts, texts, (None, 1, 11), (None, 1, 11), (None, True, False), (None, b"", b"~")))
    schema = arrow_schema(COLUMNS)
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
    with duckdb.connect() as connection:
        connection.register("stored", pa.table(arrays, schema=schema))
        found = connection.execute(f"SELECT count(DISTINCT {row_digest(COLUMNS)}) FROM stored").fetchone()
    assert found == (len(rows),)


CANONICAL = [
    ("text", "~", "1:~"),
    ("text", "", "0:"),
    ("text", None, "~"),
    ("text", "e\u0301😀", "7:e\u0301😀"),
    ("char(4)", "a", "4:a   "),
    ("boolean", "f", "f"),
    ("boolean", "t", "t"),
    ("boolean", None, "~"),
    ("smallint", "-32768", "-32768"),
    ("bigint", None, "~"),
    ("regclass", "pg_class", "1259"),
    ("real", "-0", "80000000"),
    ("real", "1e-45", "00000001"),
    ("real", "NaN", "7fc00000"),
    ("float8", "0.1", "3fb999999999999a"),
    ("float8", "-Infinity", "fff0000000000000"),
    ("float8", "NaN", "7ff8000000000000"),
    ("float8", None, "~"),
    ("numeric(5,5)", "-0.1", "-0.10000"),
    ("numeric(5,5)", "0", "0.00000"),
    ("numeric(12,4)", "1e3", "1000.0000"),
    ("numeric(38,38)", "-1e-38", "-0." + "0" * 37 + "1"),
    ("numeric(38)", "9" * 38, "9" * 38),
    ("numeric", "1.10", "4:1.10"),
    ("bytea", "\\x", "d41d8cd98f00b204e9800998ecf8427e"),
    ("bytea", "\\x00", "93b885adfe0da089cdf634904fd59f71"),
    ("date", "0044-03-15 BC", "0044-03-15 BC"),
    ("date", "5874897-12-31", "5874897-12-31"),
    ("date", "-infinity", "-infinity"),
    ("time", "24:00:00", "24:00:00"),
    ("time", "12:00:00.100", "12:00:00.1"),
    ("timestamp", "0001-12-31 23:59:59.5 BC", "0001-12-31 23:59:59.5 BC"),
    ("timestamp", "infinity", "infinity"),
    ("timestamptz", "2024-03-31 01:30:00+05:45", "2024-03-30 19:45:00+00"),
    ("timestamptz", "294246-12-31 23:59:59.999999+00", "294246-12-31 23:59:59.999999+00"),
    ("interval", "-1 mon +1 day -00:00:01", "24:-1 mons +1 day -00:00:01"),
    ("money", "-1234.5", "10:-$1,234.50"),
    ("json", '{"a" :1.10}', '11:{"a" :1.10}'),
    ("text[]", '{NULL,"NULL"}', '13:{NULL,"NULL"}'),
]


def test_postgresql_and_duckdb_print_the_same_text(database: str) -> None:
    declared = ", ".join(f"c{i} {type_name}" for i, (type_name, _, _) in enumerate(CANONICAL))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement(f"CREATE TABLE t ({declared})"))
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write_row([value for _, value, _ in CANONICAL])
    with session(database) as connection:
        columns = describe(connection, "public", "t").columns
        values = [value_expression(column, column.name) for column in columns]
        fields = ", ".join(field_expression(c, v, utf8=True) for c, v in zip(columns, values, strict=True))
        (printed,) = connection.execute(statement(f"SELECT {fields} FROM t")).fetchall()
        query = export_rows("t", columns, "true", digest=True, utf8=True)
        (read,) = connection.execute(statement(query)).fetchall()
    expected = [text for _, _, text in CANONICAL]
    assert list(printed) == expected
    assert len(columns) < MAX_JOINED
    names = [*(f"c{i}" for i in range(len(columns))), "digest"]
    stored = decode(pa.RecordBatch.from_pylist([dict(zip(names, read, strict=True))]), columns)
    with duckdb.connect() as lake:
        lake.execute("SET TimeZone = 'UTC'")
        lake.register("rows", stored.rows)
        (recomputed,) = lake.execute(f"SELECT {', '.join(canonical_field(c) for c in columns)} FROM rows").fetchall()
        (digest,) = lake.execute(f"SELECT {row_digest(columns)} FROM rows").fetchall()
    assert list(recomputed) == expected
    assert stored.digests is not None
    assert digest == (int(stored.digests[0]),)


def test_the_digest_of_many_columns_is_that_of_one_long_list(database: str) -> None:
    columns = tuple(plan_column(f"c{i}", TypeInfo("int4", "int4", -1), nullable=True) for i in range(500))
    values = [str(i) if i % 7 else "NULL::int4" for i in range(500)]
    text = ",".join("~" if i % 7 == 0 else str(i) for i in range(500))
    with session(database) as connection:
        digest = digest_expression(columns, values, utf8=True)
        assert connection.execute(statement(f"SELECT {digest} = md5('{text}')")).fetchone() == (True,)


def test_a_value_that_does_not_fit_is_told_with_the_rows_key_as_people_write_it() -> None:
    columns = (
        plan_column("day", TypeInfo("date", "date", -1), nullable=False),
        plan_column("amount", TypeInfo("numeric(12,4)", "numeric", NUMERIC_12_4), nullable=True),
    )
    days = pa.array([(8400 + i).to_bytes(4, "big") for i in range(3)], pa.large_binary())
    batch = pa.record_batch([days, pa.array(["1.0", None, "NaN"])], names=["c0", "c1"])
    with pytest.raises(UnsupportedValue, match=r"amount \(numeric\(12,4\)\) holds NaN .* key \{'day': '2023-01-02'\}"):
        decode(batch, columns, ("day",))


def test_an_empty_batch_is_an_empty_batch() -> None:
    columns = tuple(plan_column(n, TypeInfo(n, n, -1), nullable=True) for n in ("date", "timestamptz", "bytea", "int8"))
    binary, numbers = pa.array([], pa.large_binary()), pa.array([], pa.int64())
    texts = pa.array([], pa.string())
    batch = pa.record_batch([binary, binary, binary, numbers, texts], names=["c0", "c1", "c2", "c3", "digest"])
    decoded = decode(batch, columns)
    assert decoded.rows.schema == arrow_schema(columns)
    assert decoded.digests is not None
    assert len(decoded.digests) == 0


def test_the_reader_encrypts_where_it_cannot_check_certificates() -> None:
    url = "postgresql://u:sslmode=verify-full@h/d?application_name=x&sslmode=verify-full"
    read = reader_url(url)
    assert read.startswith("postgresql://u:sslmode=verify-full@h/d?application_name=x&sslmode=require&connect_timeout=")
    assert reader_url("postgresql://u@h/d?sslmode=disable").startswith("postgresql://u@h/d?sslmode=disable&")
    assert reader_url("postgresql://u@h/d").startswith("postgresql://u@h/d?connect_timeout=10&keepalives_idle=30&")
    assert reader_url("postgresql://u@h/d?keepalives_idle=7").count("keepalives_idle=") == 1
