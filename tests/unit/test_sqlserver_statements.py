"""What is sent to SQL Server, as text: no server can be run here, and the dialect says so."""

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from lake_builder import LakeBuilder, flight, month
from rich.console import Console

from blocks.dialects.sqlserver import statements as sql
from blocks.dialects.sqlserver.catalog import referenced_by
from blocks.dialects.sqlserver.connection import COLLISIONS, Locked, connect_arguments, translate
from blocks.dialects.sqlserver.deleter import as_json
from blocks.dialects.sqlserver.rows import decode
from blocks.dialects.sqlserver.source import SQLServer, lock_name
from blocks.dialects.sqlserver.types import TypeInfo, digest_expression, field_expression, plan_column, read_expression
from blocks.lake import Lake
from schemas.column_plan import Column, Kind, canonical_text
from schemas.errors import ConfigError, SourceError, SourceUnavailable, UnsupportedValue
from schemas.table import Table
from schemas.window import Window, WindowUnit
from tidegate.dataset_status import dataset_status
from tidegate.show.status import show_not_verified


def column(base: str, *, name: str = "a", length: int = 20, precision: int = 12, scale: int = 4) -> Column:
    return plan_column(name, TypeInfo(base, base, length, precision, scale), nullable=False)


ID, AT, NOTE = column("bigint", name="id"), column("datetime2", name="at", scale=7), column("nvarchar", name='n]o"te')
JANUARY = Window(start=datetime(2024, 1, 1), end=datetime(2024, 2, 1))
ORDERS = Table(
    schema_name="dbo", name="orders", columns=(ID, AT, NOTE), primary_key=("id",), unique_keys=(), kind="r",
    inherited=False, may_select=True, may_delete=True, utf8=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("base", "kind", "source_type"),
    [
        ("tinyint", Kind.INTEGER, "tinyint"), ("smallint", Kind.INTEGER, "smallint"), ("int", Kind.INTEGER, "int"),
        ("bigint", Kind.INTEGER, "bigint"), ("bit", Kind.BOOLEAN, "bit"), ("decimal", Kind.DECIMAL, "decimal(12,4)"),
        ("money", Kind.DECIMAL, "money"), ("float", Kind.FLOAT64, "float"), ("real", Kind.FLOAT32, "real"),
        ("date", Kind.DATE, "date"), ("datetime", Kind.TIMESTAMP, "datetime"),
        ("datetime2", Kind.TIMESTAMP, "datetime2(4)"), ("datetimeoffset", Kind.TEXT, "datetimeoffset(4)"),
        ("time", Kind.TEXT, "time(4)"), ("nvarchar", Kind.TEXT, "nvarchar(10)"), ("varchar", Kind.TEXT, "varchar(20)"),
        ("varbinary", Kind.BINARY, "varbinary(20)"), ("uniqueidentifier", Kind.TEXT, "uniqueidentifier"),
        ("xml", Kind.TEXT, "xml"), ("timestamp", Kind.BINARY, "rowversion"),
    ],
)  # fmt: skip
def test_every_type_has_its_kind_and_its_full_name(base: str, kind: Kind, source_type: str) -> None:
    planned = column(base)
    assert (planned.kind, planned.source_type, planned.base_type) == (kind, source_type, base)
    assert planned.generated is (base == "timestamp")


@pytest.mark.parametrize("base", ["sql_variant", "geometry", "geography", "cursor"])
def test_a_type_that_nobody_knows_how_to_keep_is_refused(base: str) -> None:
    with pytest.raises(ConfigError, match=f"Column a is of type {base}"):
        column(base)


@pytest.mark.parametrize(
    ("base", "field"),
    [
        ("int", "COALESCE(CONVERT(varchar(20), t.a), '~')"),
        ("bit", "COALESCE(CASE t.a WHEN 1 THEN 't' WHEN 0 THEN 'f' END, '~')"),
        ("decimal", "COALESCE(CONVERT(varchar(41), CAST(t.a AS decimal(12,4))), '~')"),
        ("money", "COALESCE(CONVERT(varchar(41), CAST(t.a AS decimal(19,4))), '~')"),
        ("float", "COALESCE(LOWER(CONVERT(char(16), CONVERT(binary(8), t.a), 2)), '~')"),
        ("real", "COALESCE(LOWER(CONVERT(char(8), CONVERT(binary(4), t.a), 2)), '~')"),
        ("date", "COALESCE(CONVERT(char(10), t.a, 23), '~')"),
        (
            "varbinary",
            "COALESCE(LOWER(CONVERT(char(32), HASHBYTES('MD5', CAST(t.a AS varbinary(max))), 2)), '~')",
        ),
    ],
)
def test_fields_are_written_as_the_column_plan_says(base: str, field: str) -> None:
    assert field_expression(column(base), "t.a") == field


def test_a_text_is_hashed_in_utf8_with_its_length_and_null_is_none() -> None:
    utf8 = "CAST((CAST(t.a AS nvarchar(max))) COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max))"
    utf8 += " COLLATE Latin1_General_100_BIN2_UTF8"
    expected = f"COALESCE(CONVERT(varchar(20), DATALENGTH({utf8})) + ':' + {utf8}, '~')"
    assert field_expression(column("nvarchar"), "t.a") == expected


def test_the_digest_is_over_long_text_and_many_columns() -> None:
    columns = tuple(column("int", name=f"c{n}") for n in range(250))
    text = digest_expression(columns, [f"t.c{n}" for n in range(250)])
    assert text.startswith("LEFT(LOWER(CONVERT(char(32), HASHBYTES('MD5', CAST(CONCAT(CAST('' AS varchar(max)), ")
    assert text.count("CONCAT(CAST('' AS varchar(max)), ") == 4  # three parts, and what joins them
    assert text.endswith(" AS varbinary(max))), 2)), 16)")
    assert text.count("COALESCE(") == 250


@pytest.mark.parametrize(
    ("printed", "canonical"),
    [
        ("2024-01-01T10:00:00", "2024-01-01 10:00:00"),
        ("2024-01-01T10:00:00.1200000", "2024-01-01 10:00:00.12"),
        ("2024-10-10T10:10:10.0000000", "2024-10-10 10:10:10"),
        ("2024-01-01T00:00:00.0000010", "2024-01-01 00:00:00.000001"),
        ("2024-01-01T00:00:00.003", "2024-01-01 00:00:00.003"),
    ],
)
def test_zeros_at_the_end_of_a_moment_are_cut(printed: str, canonical: str) -> None:
    # The functions that it is made of mean the same in DuckDB: only the CONVERT has to be taken out.
    text = read_expression(AT, "t.at").replace("CONVERT(varchar(33), t.at, 126)", "printed")
    text = text.replace("CHARINDEX('.', printed)", "strpos(printed, '.')")
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT {text} FROM (SELECT ?::VARCHAR AS printed)", [printed]).fetchone()
        lake = connection.execute(f"SELECT {canonical_text(AT)} FROM (SELECT ?::TIMESTAMP AS at)", [canonical])
        assert (row, lake.fetchone()) == ((canonical,), (canonical,))


def test_windows_are_bound_in_the_type_of_the_column() -> None:
    assert sql.in_window(AT, JANUARY, None) == (
        "\"at\" >= CAST('2024-01-01T00:00:00.000000' AS datetime2(7)) "
        "AND \"at\" < CAST('2024-02-01T00:00:00.000000' AS datetime2(7))"
    )
    old = column("datetime", name="at")
    assert sql.bound(JANUARY.start, old) == "CAST('2024-01-01T00:00:00.000' AS datetime)"
    assert sql.bound(JANUARY.start, column("date", name="at")) == "CAST('2024-01-01' AS date)"
    assert "1753-01-02" in sql.usable_time(old)
    assert sql.in_window(AT, JANUARY, "a = 1 -- no more").endswith(" AND (\na = 1 -- no more\n)")


def test_windows_are_counted_by_the_beginning_of_their_iso_text() -> None:
    query = sql.count_by_window("t", AT, WindowUnit.MONTH, None, None, datetime(2024, 2, 1))
    assert query.startswith('SELECT LEFT(CONVERT(varchar(33), "at", 126), 7), COUNT_BIG(*) FROM t WHERE ')
    assert query.endswith('GROUP BY LEFT(CONVERT(varchar(33), "at", 126), 7) ORDER BY 1')


def test_rows_are_read_with_the_digest_at_the_end() -> None:
    query = sql.export_rows('"dbo"."orders"', (ID, AT), sql.in_window(AT, JANUARY, None), with_digest=True)
    assert query.startswith('SELECT t."id" AS c0, REPLACE(CASE WHEN CHARINDEX')
    assert ' AS digest FROM "dbo"."orders" AS t WHERE "at" >= CAST(\'2024-01-01' in query
    assert "HASHBYTES('MD5'" in query


def test_the_delete_takes_keys_and_digests_as_one_parameter_and_counts_what_it_deleted() -> None:
    predicate = sql.in_window(AT, JANUARY, None)
    text = sql.delete_equal('"dbo"."orders"', (ID, NOTE), ORDERS.columns, predicate)
    declared, delete, count = text.split(";\n")
    assert declared == "DECLARE @deleted TABLE ([tidegate n] int NOT NULL)"
    assert delete.startswith('DELETE t OUTPUT b.[tidegate n] INTO @deleted FROM "dbo"."orders" AS t JOIN OPENJSON(%s)')
    batch = "[tidegate n] int '$[0]', [tidegate k0] nvarchar(4000) '$[1]', [tidegate k1] nvarchar(4000) '$[2]', "
    assert f"WITH ({batch}[tidegate digest] char(16) '$[3]') AS b" in delete
    assert 't."id" = CAST(b.[tidegate k0] AS bigint) AND t."n]o""te" = CAST(b.[tidegate k1] AS nvarchar(10))' in delete
    assert delete.endswith(f" = b.[tidegate digest] AND {predicate}")
    assert count.startswith("SELECT (SELECT COUNT(*) FROM @deleted), COUNT(*), COUNT(had_to_go) FROM (SELECT CASE WHEN")
    assert text.count("%s") == 2


@pytest.mark.parametrize(
    ("base", "value"),
    [
        ("varbinary", "CONVERT(varbinary(max), SUBSTRING(x, 3, LEN(x)), 2)"),
        ("bit", "CASE x WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"),
        ("datetime2", "CAST(REPLACE(x, ' ', 'T') AS datetime2(4))"),
        ("decimal", "CAST(x AS decimal(12,4))"),
    ],
)
def test_texts_become_values_of_the_column(base: str, value: str) -> None:
    assert sql.value_of(column(base), "x") == value


def test_a_batch_is_json() -> None:
    batch = as_json((pa.array(["1", 'it\'s "5" %']), pa.array(["ß😀", "\\x00"])), ["00ff", "ff00"])
    assert json.loads(batch) == [[0, "1", "ß😀", "00ff"], [1, 'it\'s "5" %', "\\x00", "ff00"]]


def test_an_expression_has_to_be_right_between_both_kinds_of_brackets() -> None:
    for forms in (sql.one_expression(ORDERS, "a > 1 -- x"), sql.one_value(ORDERS, "a + 1 -- x")):
        assert all("\na " in form and "-- x\n" in form for form in forms)
        assert "(\n" in forms[0]
        assert "CASE WHEN" in forms[1]
    assert "sys.dm_exec_describe_first_result_set" in sql.DESCRIBE  # which executes nothing


def test_lock_and_snapshot() -> None:
    assert "sp_getapplock" in sql.TAKE_LOCK
    assert "@LockOwner = 'Session', @LockTimeout = 0" in sql.TAKE_LOCK
    assert "ISOLATION LEVEL SNAPSHOT" in sql.BEGIN_SNAPSHOT
    assert len(lock_name(ORDERS)) < 255
    assert lock_name(ORDERS) != lock_name(ORDERS.model_copy(update={"name": "Orders"}))


def test_rows_come_in_the_stored_types_or_are_refused() -> None:
    columns = (ID, AT, column("decimal", name="amount"), column("bit", name="ok"), column("real", name="r"))
    rows: list[tuple[Any, ...]] = [
        (1, "2024-01-01 10:00:00.12", "1.3700", True, 0.5, "0102030405060708"),
        (2, None, "-99999999.9999", None, None, "0000000000000001"),
    ]
    batch = decode(rows, columns, ("id",), with_digest=True)
    assert batch.rows.schema.types == [c.arrow_type for c in columns]
    assert batch.digests is not None
    assert [int(d).to_bytes(8, "little").hex() for d in batch.digests] == ["0102030405060708", "0000000000000001"]
    rows[1] = (2, "2024-01-01 10:00:00.1234567", "0.0000", None, None, "00")
    with pytest.raises(UnsupportedValue, match=r"Column at .* 10:00:00.1234567 in the row with key {'id': '2'}"):
        decode(rows, columns, ("id",), with_digest=False)


def test_a_url_is_taken_apart() -> None:
    assert connect_arguments("mssql://sa:p%40ss@db:1434/shop") == {
        "server": "db", "port": "1434", "user": "sa", "password": "p@ss", "database": "shop",
    }  # fmt: skip
    for wrong in ("mssql://db", "mssql://a@b@c/shop", "mssql://db:x/shop", "mssql://db/shop?encrypt=no"):
        with pytest.raises(ConfigError, match="malformed"):
            connect_arguments(wrong)


def test_errors_say_whether_trying_again_can_help_and_never_the_password() -> None:
    url = "mssql://sa:secret@db/shop"
    assert all(isinstance(translate(Exception(number, b"x"), url), Locked) for number in COLLISIONS)
    assert isinstance(translate(Exception(18456, b"Login failed"), url), ConfigError)
    assert isinstance(translate(Exception(547, b"conflicted with the REFERENCE constraint"), url), SourceError)
    lost = translate(Exception(20006, b"DBPROCESS is dead or not enabled"), url)
    assert isinstance(lost, SourceUnavailable)
    assert "secret" not in str(translate(Exception("no secret is told"), url))


def test_status_says_that_the_dialect_is_not_verified(local_lake: Lake) -> None:
    builder = LakeBuilder(local_lake)
    builder.commit([flight(1, date(2024, 1, 5))], month(2024, 1))
    found = dataset_status(local_lake, "flights")
    assert found.verified_dialect
    console = Console(record=True, width=200)
    show_not_verified(console, [found])
    assert console.export_text() == ""
    show_not_verified(console, [replace(found, verified_dialect=False)])
    assert "Not verified against a server: the dialect of SQL Server, which flights came by." in console.export_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidegate.dataset_status._NOT_VERIFIED", ("c",))
        assert dataset_status(local_lake, "flights").as_json()["verified_dialect"] is False


def test_without_its_driver_a_source_says_what_to_install_and_that_it_is_not_verified() -> None:
    with (
        pytest.raises(ConfigError, match="need the package pymssql") as refusal,
        SQLServer("mssql://db/shop").session(),
    ):
        pass
    assert "not been verified against a server" in refusal.value.next_step


def test_foreign_keys_that_point_at_the_table_are_put_together_from_their_columns() -> None:
    rows = [
        ("dbo", "items", "fk_a", "NO_ACTION", False, "order_shop", "shop"),
        ("dbo", "items", "fk_a", "NO_ACTION", False, "order_no", "no"),
        ("crm", "notes", "fk_b", "SET_NULL", True, "order_id", "id"),
    ]
    one, two = referenced_by(rows)
    assert (one.table, one.columns, one.referenced) == ("dbo.items", ("order_shop", "order_no"), ("shop", "no"))
    assert (one.on_delete, one.enforced) == ("no action", True)
    assert (str(two), two.enforced) == ("fk_b on crm.notes (order_id), ON DELETE SET NULL", False)
    assert "WHERE f.referenced_object_id = %s" in sql.REFERENCED_BY
