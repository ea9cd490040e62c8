"""Quality checks on real Parquet files: what holds, what does not, and what becomes of the rows."""

import datetime
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from check_bench import CHECKS, CheckBench, values
from pandera.config import config_context

from schemas.errors import ConfigError, ProofFailed
from tasks.build import run_checks as run_checks_module
from tasks.build.check_rules import check_columns


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CheckBench]:
    bench = CheckBench(tmp_path)
    yield bench
    bench.connection.close()


# Two files, so that what is wrong lies in the second one, or across both.
FIRST = "SELECT 1 AS id, 'Ada' AS name, 10.50::DECIMAL(9,2) AS paid, DATE '2026-01-31' AS day, 1.5::DOUBLE AS ratio"
SECOND = "SELECT 2, 'Bob', 0.10, DATE '2026-02-28', 'nan'"
NULLS = "SELECT NULL, NULL, NULL, NULL, NULL"


@pytest.mark.parametrize(
    ("check", "failing"),
    [
        ({"type": "not_null", "columns": ["id"]}, [(2, 0)]),
        ({"type": "not_null", "columns": ["ratio", "name"]}, [(2, 0)]),
        ({"type": "unique", "columns": ["id"]}, []),
        ({"type": "valid_values", "column": "name", "values": ["Ada", "Bob"]}, []),
        ({"type": "valid_values", "column": "name", "values": ["Ada"]}, [(1, 0)]),
        ({"type": "valid_values", "column": "id", "values": [2, 3]}, [(0, 0)]),
        ({"type": "valid_values", "column": "paid", "values": [10.5, 0.1]}, []),
        ({"type": "valid_values", "column": "paid", "values": [10]}, [(0, 0), (1, 0)]),
        ({"type": "valid_values", "column": "day", "values": ["2026-01-31"]}, [(1, 0)]),
        ({"type": "range", "column": "id", "min": 1.5}, [(0, 0)]),
        ({"type": "range", "column": "id", "max": 1.5}, [(1, 0)]),
        ({"type": "range", "column": "id", "min": 1, "max": 2}, []),
        ({"type": "range", "column": "id", "min": -(10**30), "max": 10**30}, []),
        ({"type": "range", "column": "id", "min": 10**30}, [(0, 0), (1, 0)]),
        ({"type": "range", "column": "paid", "min": 0.1, "max": 10.5}, []),
        ({"type": "range", "column": "paid", "min": 0.101}, [(1, 0)]),
        ({"type": "range", "column": "paid", "max": 10.499}, [(0, 0)]),
        ({"type": "range", "column": "paid", "max": 1e60}, []),
        ({"type": "range", "column": "day", "min": "2026-02-01"}, [(0, 0)]),
        ({"type": "range", "column": "ratio", "min": 0}, [(1, 0)]),  # NaN is in no range
        ({"type": "regex", "column": "name", "pattern": "[A-Z][a-z]+"}, []),
        ({"type": "regex", "column": "name", "pattern": "B|A"}, [(0, 0), (1, 0)]),  # as a whole
        ({"type": "regex", "column": "name", "pattern": "(?i)ADA"}, [(1, 0)]),
        ({"type": "length", "column": "name", "min": 3, "max": 3}, []),
        ({"type": "length", "column": "name", "min": 4}, [(0, 0), (1, 0)]),
        ({"type": "length", "column": "name", "max": 2}, [(0, 0), (1, 0)]),
        ({"type": "foreign_key", "column": "id", "references": "staging.crm.people"}, [(1, 0)]),
        ({"type": "foreign_key", "column": "name", "references": "staging.crm.people(called)"}, [(0, 0)]),
        ({"type": "expression", "condition": "id = 1 -- the first"}, [(1, 0)]),
        ({"type": "expression", "condition": "paid > 0 AND length(name) = 3"}, []),
    ],
)  # fmt: skip
def test_rows_that_are_wrong_are_found_and_a_null_is_wrong_for_not_null_only(
    table: CheckBench, check: dict[str, Any], failing: list[tuple[int, int]]
) -> None:
    table.put(FIRST, SECOND, NULLS)
    table.tables = {"staging/crm/people": "(SELECT 1 AS id, 'Bob' AS called UNION ALL SELECT NULL, NULL)"}
    assert table.failing(**check) == failing
    result = table.one(**check)
    assert (result.checked, result.failed) == (3, len(failing))
    assert result.state == ("refused" if failing else "passed")
    assert len(result.examples) == len(failing)
    assert bool(result.message) == bool(failing)


def test_a_shared_key_is_wrong_in_every_row_that_has_it_in_any_file(table: CheckBench) -> None:
    rows = values([(1, "a"), (2, "b"), (None, "c"), (None, "c")], "id, name")
    table.put(rows, values([(2, "x"), (3, "y"), (3, "y")], "id, name"))
    assert table.failing(type="unique", columns=["id"]) == [(0, 1), (1, 0), (1, 1), (1, 2)]
    assert table.failing(type="unique", columns=["id", "name"]) == [(1, 1), (1, 2)]
    assert table.one(type="unique", columns=["id", "name"]).examples == ("id=3, name=y", "id=3, name=y")


def test_keys_are_the_same_if_the_database_says_so(table: CheckBench) -> None:
    table.put("SELECT unnest(['nan', '-nan', '0', '-0', '1'])::DOUBLE AS x")
    assert table.one(type="unique", columns=["x"]).failed == 4


def test_two_keys_with_the_same_hash_are_not_taken_for_one(table: CheckBench) -> None:
    table.put("SELECT range AS id FROM range(10)")
    table.connection.execute("CREATE MACRO hash(x) AS x % 2")
    assert table.one(type="unique", columns=["id"]).failed == 0
    table.put("SELECT 7::BIGINT AS id")
    assert table.failing(type="unique", columns=["id"]) == [(0, 7), (1, 0)]


def test_a_foreign_key_of_two_columns_refers_to_both_together(table: CheckBench) -> None:
    table.put(values([(1, "a"), (1, "b"), (None, "z"), (2, None)], "shop, sku"))
    table.tables = {"raw/erp/items": "(SELECT 1 AS shop, 'a' AS code)"}
    reference = {"layer": "raw", "domain": "erp", "table": "items", "columns": ["shop", "code"]}
    assert table.failing(type="foreign_key", columns=["shop", "sku"], references=reference) == [(0, 1)]


@pytest.mark.parametrize(
    ("options", "state", "refused"),
    [
        ({}, "refused", True),
        ({"severity": "warn"}, "warned", False),
        ({"on_failure": "warn"}, "warned", False),
        ({"on_failure": "quarantine"}, "quarantined", False),
        ({"severity": "warn", "on_failure": "quarantine"}, "quarantined", False),
    ],
)
def test_what_becomes_of_wrong_rows_is_as_configured(
    table: CheckBench, options: dict[str, Any], state: str, refused: bool
) -> None:
    table.put(FIRST, SECOND)
    checked = table.run({"type": "valid_values", "column": "name", "values": ["Ada"], **options})
    assert (checked.results[0].state, checked.refused) == (state, refused)
    assert (checked.bad_rows is not None) == (state == "quarantined")
    assert checked.results[0].severity == options.get("severity", "error")


def test_all_checks_tell_what_they_found_though_one_refuses_and_then_nothing_is_put_aside(table: CheckBench) -> None:
    table.put(FIRST, SECOND)
    checked = table.run(
        {"type": "valid_values", "column": "name", "values": ["Ada"], "on_failure": "quarantine"},
        {"type": "range", "column": "id", "min": 2},
        {"type": "row_count", "max": 0, "severity": "warn"},
        {"type": "not_null", "columns": ["id"]},
    )
    assert [result.state for result in checked.results] == ["quarantined", "refused", "warned", "passed"]
    assert (checked.refused, checked.bad_rows) == (True, None)


def test_a_row_is_put_aside_once_with_all_of_its_reasons(table: CheckBench) -> None:
    table.put(values([(1, "ok"), (5, "no"), (6, "ok")], "id, name"))
    aside = {"on_failure": "quarantine"}
    assert table.put_aside(
        {"type": "valid_values", "column": "name", "values": ["ok"], **aside},
        {"type": "range", "column": "id", "max": 5, **aside},
        {"type": "expression", "condition": "id < 5", "name": "small", **aside},
        {"type": "range", "column": "id", "max": 0, "severity": "warn"},
    ) == [
        (0, 1, "valid_values(name); expression(small)"),
        (0, 2, "range(id, ..5); expression(small)"),
    ]


def test_the_number_of_rows_is_that_of_the_rows_that_are_left(table: CheckBench) -> None:
    table.put("SELECT range AS id FROM range(10)", "SELECT range AS id FROM range(10, 20)")
    aside = {"type": "range", "column": "id", "min": 5, "on_failure": "quarantine"}
    assert table.run({"type": "row_count", "min": 20}).results[0].state == "passed"
    assert table.run({"type": "row_count", "min": 21}).results[0].message == "there are 20 rows"
    assert table.run({"type": "row_count", "max": 19}).refused
    left = table.run(aside, {"type": "row_count", "min": 16})
    assert (left.results[1].state, left.results[1].message) == ("refused", "there are 15 rows")
    assert not table.run(aside, {"type": "row_count", "min": 15, "max": 15}).refused


@pytest.mark.parametrize(
    ("newest", "fresh"),
    [
        ("now() - INTERVAL 47 HOURS", True),
        ("now() - INTERVAL 49 HOURS", False),
        ("(now() AT TIME ZONE 'UTC') - INTERVAL 47 HOURS", True),
        ("(now() AT TIME ZONE 'UTC') - INTERVAL 49 HOURS", False),
        ("(now() AT TIME ZONE 'UTC')::DATE - 2", True),  # it lasted until midnight
        ("(now() AT TIME ZONE 'UTC')::DATE - 3", False),
        ("now() + INTERVAL 12 HOURS", True),
        ("now() + INTERVAL 3 DAYS", False),  # from the future
        ("'infinity'::TIMESTAMPTZ", False),
        ("'infinity'::DATE", False),
        ("NULL::TIMESTAMP", False),
        ("'0044-03-15 (BC)'::DATE", False),
    ],
)
def test_a_table_is_as_fresh_as_its_newest_moment_that_has_been(table: CheckBench, newest: str, fresh: bool) -> None:
    table.put(f"SELECT {newest} AS at", "SELECT NULL")
    result = table.one(type="freshness", column="at", max_age="2 days")
    assert (result.state, result.failed) == (("passed", 0) if fresh else ("refused", 1))
    assert bool(result.message) != fresh


def test_rows_that_are_put_aside_make_nothing_fresh(table: CheckBench) -> None:
    table.put("SELECT now() AS at, 1 AS id UNION ALL SELECT now() - INTERVAL 9 DAYS, 2")
    fresh = {"type": "freshness", "column": "at", "max_age": "1 day"}
    assert not table.run(fresh).refused
    assert table.run(fresh, {"type": "range", "column": "id", "min": 2, "on_failure": "quarantine"}).refused


@pytest.mark.parametrize("files", [0, 1])
def test_of_no_rows_checks_say_that_they_checked_none_and_only_those_of_the_table_fail(
    table: CheckBench, files: int
) -> None:
    table.put(*[f"{FIRST} WHERE false"] * max(files, 1))
    del table.files[files:]
    table.tables = {"raw/a/b": "(SELECT 1 AS id)"}
    results = table.run(
        {"type": "not_null", "columns": ["id"]},
        {"type": "unique", "columns": ["id"]},
        {"type": "foreign_key", "column": "id", "references": "raw.a.b"},
        {"type": "expression", "condition": "id > 0"},
        {"type": "row_count", "min": 1},
        {"type": "freshness", "column": "day", "max_age": "9 years"},
        {"type": "row_count", "max": 3},
    ).results
    assert [(result.state, result.checked) for result in results] == [
        *[("passed", 0)] * 4, ("refused", 1), ("refused", 1), ("passed", 1),
    ]  # fmt: skip


def test_rows_are_told_apart_across_parts_and_row_groups(table: CheckBench) -> None:
    rows = 20_000
    for start in (0, rows):
        table.put(f"SELECT range AS id, range % 3000 = 7 AS odd FROM range({start}, {start + rows}) ORDER BY id")
    wrong = [(n // rows, n % rows) for n in range(2 * rows) if n % 3000 == 7]
    assert table.failing(type="expression", condition="NOT odd") == wrong
    result = table.run({"type": "expression", "condition": "NOT odd"}, batch_rows=2048).results[0]
    assert (result.checked, result.failed) == (2 * rows, len(wrong))
    assert result.examples == tuple(["true"] * 5)
    assert table.one(type="range", column="id", max=39_990).examples == tuple(str(39_991 + n) for n in range(5))


def test_examples_are_of_the_first_wrong_rows_in_whatever_order_they_are_read(
    table: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.put("SELECT range AS id FROM range(20000)")
    parts = run_checks_module._Run._parts
    monkeypatch.setattr(run_checks_module._Run, "_parts", lambda *a: (p.reverse() for p in reversed(list(parts(*a)))))
    assert table.one(type="range", column="id", min=20_000).examples == ("0", "1", "2", "3", "4")


def test_a_million_wrong_rows_are_counted_in_a_moment_and_little_memory(table: CheckBench) -> None:
    table.put("SELECT range AS id, 'bad ' || range AS name, NULL::INT AS nothing FROM range(1000000)")
    table.run({"type": "range", "column": "id", "max": 5})
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checked = table.run(
        {"type": "valid_values", "column": "name", "values": ["good"], "on_failure": "quarantine"},
        {"type": "not_null", "columns": ["nothing"], "on_failure": "quarantine"},
        {"type": "range", "column": "id", "max": -1, "on_failure": "quarantine"},
        batch_rows=100_000,
    )
    assert [result.failed for result in checked.results] == [1_000_000] * 3
    assert time.process_time() - began < 20  # of all threads; about 3 where it was written
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024
    assert checked.bad_rows is not None
    assert pl.scan_parquet(checked.bad_rows).select(pl.len()).collect().item() == 1_000_000


HOSTILE = ["*", "^a$", "^.*$", 'quo"te', "it's", "a b", "select", "value0", "ñ\n;", "rows", "file", "row", "place"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_column_may_have_any_name(table: CheckBench, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    table.put(f'SELECT unnest([1, 2, 2]) AS {quoted}, unnest([9, 9, 9]) AS "^a|b$"')
    table.tables = {"raw/a/b": f"(SELECT 1 AS {quoted})"}
    assert table.failing(type="unique", columns=[name]) == [(0, 1), (0, 2)]
    assert table.failing(type="range", column=name, min=2) == [(0, 0)]
    assert table.failing(type="expression", condition=f"{quoted} = 1") == [(0, 1), (0, 2)]
    assert table.failing(type="foreign_key", column=name, references="raw.a.b") == [(0, 1), (0, 2)]
    assert table.one(type="valid_values", column=name, values=[1]).examples == ("2", "2")
    assert table.one(type="unique", columns=[name, "^a|b$"]).failed == 2


def test_examples_are_short_and_of_any_type(table: CheckBench) -> None:
    table.put(
        "SELECT 'x'.repeat(500) AS text, '\\xFF'::BLOB AS bytes, 'infinity'::DATE AS day, "
        "'infinity'::TIMESTAMPTZ AS at, 1.5::DECIMAL(38,10) AS big"
    )
    assert table.one(type="length", column="text", max=3).examples == ("x" * 80 + "…",)
    assert table.one(type="length", column="bytes", max=0).examples == (r"\xFF",)
    assert table.one(type="range", column="day", max="2026-01-01").examples == ("infinity",)
    assert table.one(type="range", column="at", max="2026-01-01T00:00:00+02:00").examples == ("infinity",)
    assert table.one(type="range", column="big", max=1.4999999999).examples == ("1.5000000000",)


def test_what_is_null_is_shown_beside_what_tells_the_row(table: CheckBench) -> None:
    table.put(FIRST, "SELECT 7, NULL, 1.00, NULL, 1.0")
    assert table.one(type="not_null", columns=["name"]).examples == ("name=NULL, id=7, paid=1.00",)


@pytest.mark.parametrize("switched", [{"validation_enabled": False}, {"validation_depth": "SCHEMA_ONLY"}])
def test_pandera_judges_whatever_its_environment_says(table: CheckBench, switched: dict[str, Any]) -> None:
    table.put(FIRST)
    with config_context(**switched):
        assert pa.DataFrameSchema({"id": pa.Column(checks=pa.Check.gt(1))}).validate(pl.DataFrame({"id": [1]})).height
        assert table.one(type="range", column="id", min=2).failed == 1
        assert table.run({"type": "row_count", "min": 2}).refused


def test_it_is_the_pandera_schema_that_decides(table: CheckBench, monkeypatch: pytest.MonkeyPatch) -> None:
    table.put(FIRST)
    check = {"type": "range", "column": "id", "min": 2}
    assert table.run(check).refused
    monkeypatch.setattr(run_checks_module, "schema_of", lambda *_: pa.DataFrameSchema({}))
    assert not table.run(check).refused


def test_rows_that_a_reader_loses_are_an_error(table: CheckBench, monkeypatch: pytest.MonkeyPatch) -> None:
    table.put(FIRST, SECOND)
    parts = run_checks_module._Run._parts
    monkeypatch.setattr(run_checks_module._Run, "_parts", lambda *a: (part.head(0) for part in parts(*a)))
    with pytest.raises(ProofFailed, match="saw 0 rows of a file of 1 rows"):
        table.run({"type": "not_null", "columns": ["id"]})


def test_an_error_in_the_midst_of_the_rows_is_told_and_leaves_the_connection_usable(
    table: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.put("SELECT range % 100000 AS id FROM range(300000)")

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(run_checks_module, "judge", broken)
    with pytest.raises(RuntimeError, match="broken"):
        table.run({"type": "unique", "columns": ["id"]}, batch_rows=2048)
    assert table.connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ({"type": "not_null", "columns": ["id", "nam"]}, "(not_null): there is no column 'nam'; did you mean 'name'?"),
        ({"type": "unique", "columns": ["ID"]}, "(unique): there is no column 'ID'; did you mean 'id'?"),
        ({"type": "range", "column": "zzz", "min": 1}, "no column 'zzz'; there are: id, name, paid, day, ratio"),
        ({"type": "freshness", "column": "name", "max_age": "1 day"}, "name is VARCHAR, and freshness needs dates"),
        ({"type": "range", "column": "name", "min": 1}, "name is VARCHAR, and a range needs numbers, dates or moments"),
        ({"type": "range", "column": "id", "min": "1"}, "id is INTEGER and needs whole numbers (got '1')"),
        ({"type": "range", "column": "day", "min": "2026-13-01"}, "day is DATE and needs dates, such as '2026-01-31'"),
        ({"type": "range", "column": "day", "min": "2026-02-01", "max": "2026-01-01"}, "day has a min above its max"),
        ({"type": "valid_values", "column": "name", "values": ["a", False]}, "got false); YAML reads yes, no, on"),
        ({"type": "valid_values", "column": "name", "values": [1]}, "name is VARCHAR and needs text (got 1); put"),
        ({"type": "valid_values", "column": "id", "values": [1, 2.5]}, "id is INTEGER and can never be 2.5"),
        ({"type": "valid_values", "column": "id", "values": [2**31]}, "can never be 2147483648"),
        ({"type": "valid_values", "column": "paid", "values": [0.125]}, "paid is DECIMAL(9,2) and can never be 0.125"),
        ({"type": "regex", "column": "id", "pattern": "x"}, "id is INTEGER, and a pattern needs text"),
        ({"type": "length", "column": "id", "max": 1}, "id is INTEGER, and only text and binary values have a length"),
        ({"type": "expression", "condition": "nme = 1"}, 'condition: Binder Error: Referenced column "nme"'),
        ({"type": "expression", "condition": "id >"}, "(expression): condition: "),
        ({"type": "expression", "condition": "id + 1"}, "condition: is INTEGER, and must be true or false"),
        ({"type": "expression", "condition": "count(*) > 1"}, "WHERE clause cannot contain aggregates"),
        ({"type": "expression", "condition": "row_number() OVER () > 1"}, "cannot contain window functions"),
        ({"type": "expression", "condition": "id IN (SELECT 1)"}, "must not look at other tables"),
        ({"type": "expression", "condition": "true), (false"}, "(expression): condition: "),
        ({"type": "foreign_key", "column": "idd", "references": "raw.a.b"}, "there is no column 'idd'; did you"),
        ({"type": "model", "model": "schemas.table_name:TableName"}, "is not a Pandera model (it has no `validate`)"),
        ({"type": "model", "model": "schemas.table:Table"}, "'schemas.table:Table' is no Pandera model for Polars"),
        ({"type": "model", "model": "nowhere:Model"}, "'nowhere:Model' cannot be imported"),
    ],
)  # fmt: skip
def test_a_check_that_does_not_go_with_the_columns_is_refused_before_anything_is_read(
    table: CheckBench, check: dict[str, Any], told: str
) -> None:
    table.put(FIRST)
    for path in table.files:
        path.unlink()
    fine = {"type": "not_null", "columns": ["id"]}
    with pytest.raises(ConfigError) as refused:
        check_columns(CHECKS.validate_python([fine, check]), None, table.columns, "sales")
    assert told in str(refused.value)
    assert f"pipelines[sales].quality_checks[1] ({check['type']})" in refused.value.what
    with pytest.raises(ConfigError):
        table.run(fine, check)


def test_all_wrong_checks_are_told_at_once(table: CheckBench) -> None:
    table.put(FIRST)
    with pytest.raises(ConfigError, match=r"(?s)\[0\].*\[1\]"):
        table.run({"type": "unique", "columns": ["x"]}, {"type": "length", "column": "y", "max": 3})


def test_a_column_that_is_called_as_the_place_of_a_row_is_refused(table: CheckBench) -> None:
    table.put("SELECT 1 AS File_Row_Number")
    with pytest.raises(ConfigError, match="by which checks tell the rows of a file apart"):
        table.run({"type": "row_count", "min": 1})


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("staging.crm.peple", "there is no table 'staging.crm.peple'; did you mean 'staging/crm/people'?"),
        ("staging.crm.people(idd)", "staging.crm.people has no column 'idd'; did you mean 'id'?"),
        ("staging.crm.people(called)", "id is INTEGER, and staging.crm.people.called is VARCHAR; they cannot be"),
    ],
)
def test_a_foreign_key_to_what_is_not_there_is_refused(table: CheckBench, reference: str, told: str) -> None:
    table.put(FIRST)
    table.tables = {"staging/crm/people": "(SELECT 1::BIGINT AS id, 'Bob' AS called)"}
    with pytest.raises(ConfigError, match=r"quality_checks\[0\] \(foreign_key\)") as refused:
        table.run({"type": "foreign_key", "column": "id", "references": reference})
    assert told in refused.value.what


def test_a_foreign_key_is_compared_as_it_is_stored(table: CheckBench) -> None:
    table.put("SELECT uuid() AS id")  # stored as text
    assert table.columns[0].source_type == "UUID"
    table.tables = {"raw/a/b": f"(SELECT id FROM read_parquet('{str(table.files[0]).replace(chr(39), chr(39) * 2)}'))"}
    assert table.one(type="foreign_key", column="id", references="raw.a.b").state == "passed"


def test_a_condition_that_has_no_answer_for_a_row_is_an_error_that_names_it(table: CheckBench) -> None:
    table.put(FIRST, SECOND)
    with pytest.raises(ConfigError, match=r"quality_checks\[1\] \(expression\): .*Could not convert string 'Ada'") as e:
        table.run({"type": "expression", "condition": "id > 0"}, {"type": "expression", "condition": "name::INT > 0"})
    assert "TRY_CAST" in e.value.next_step
    assert table.connection.sql("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchall() == [(0,)]


MODELS = """
import pandera.polars as pa
import polars as pl

class People(pa.DataFrameModel):
    id: pl.Int32 = pa.Field(unique=True, lt=100)
    name: pl.String = pa.Field(nullable=True, str_matches="^[A-Z]")

class Dropping(People):
    class Config:
        drop_invalid_rows = True

class Needy(People):
    nickname: pl.String

class OtherTypes(pa.DataFrameModel):
    id: pl.String

class Together(pa.DataFrameModel):
    class Config:
        unique = ("id", "name")

Schema = pa.DataFrameSchema({"id": pa.Column(checks=pa.Check.lt(100))})
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models_of_a_test.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "models_of_a_test", raising=False)


ROWS = (
    "SELECT range::INT AS id, 'Ok' AS name, 1 AS other FROM range(50)",
    values([(3, "Ada", 1), (77, "ada", 1), (500, None, 1)], "id, name, other"),
)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("model", ["People", "Dropping"])
def test_rows_have_to_fit_a_model_and_what_it_wants_unique_is_so_in_the_whole_table(
    table: CheckBench, model: str
) -> None:
    table.put(*ROWS)
    name = f"models_of_a_test:{model}"
    (result,) = table.run(model=name, batch_rows=2048).results
    assert (result.check, result.state, result.checked, result.failed) == (f"model({name})", "refused", 53, 4)
    assert "id: less_than(100): 1" in result.message
    assert "unique(id): repeated: 2" in result.message
    aside = table.put_aside({"type": "model", "model": name, "on_failure": "quarantine"})
    assert [(file, row) for file, row, _ in aside] == [(0, 3), (1, 0), (1, 1), (1, 2)]
    assert aside[1][2] == f"model({name}): unique(id): repeated"
    assert aside[2][2] == f"model({name}): name: str_matches('^[A-Z]')"


@pytest.mark.usefixtures("models")
def test_a_model_may_be_a_schema_or_name_a_key_of_columns(table: CheckBench) -> None:
    table.put(*ROWS, "SELECT 3, 'Ada', 2")
    assert table.run(model="models_of_a_test:Schema").results[0].failed == 1
    aside = table.put_aside({"type": "model", "model": "models_of_a_test:Together", "on_failure": "quarantine"})
    assert [(file, row) for file, row, _ in aside] == [(1, 0), (2, 0)]


@pytest.mark.usefixtures("models")
def test_a_model_that_does_not_fit_the_table_is_refused(table: CheckBench) -> None:
    table.put(*ROWS)
    with pytest.raises(ConfigError, match=r"pipelines\[sales\]\.model: .*Needy needs a column 'nickname'"):
        table.run(model="models_of_a_test:Needy")
    # Wrong as a whole: no row can be put aside for it.
    checked = table.run({"type": "model", "model": "models_of_a_test:OtherTypes", "on_failure": "quarantine"})
    assert (checked.refused, checked.results[0].failed) == (True, 53)
    assert "expected column 'id' to have type String, got Int32" in checked.results[0].message


def test_moments_are_compared_in_their_time_zones(table: CheckBench) -> None:
    table.put(
        "SELECT TIMESTAMPTZ '2026-01-01 00:30:00+00' AS at, TIMESTAMP '2026-01-01 00:30:00' AS local, TIME '10:00' AS t"
    )
    assert table.one(type="range", column="at", min="2026-01-01T02:00:00+01:00").failed == 1
    assert table.one(type="range", column="at", min="2026-01-01").failed == 0
    assert table.one(type="range", column="local", max="2026-01-01").failed == 1
    assert table.one(type="range", column="t", min="09:59", max="10:00:00").failed == 0
    assert table.one(type="valid_values", column="at", values=["2026-01-01T01:30:00+01:00"]).failed == 0
    with pytest.raises(ConfigError, match="local is TIMESTAMP and needs moments"):
        table.one(type="range", column="local", max="2026-01-01T00:00:00+00:00")


def test_today_is_fresh(table: CheckBench) -> None:
    table.put(f"SELECT DATE '{datetime.datetime.now(datetime.UTC).date()}' AS day")
    assert table.one(type="freshness", column="day", max_age="1 hour").state == "passed"
