"""Each step of a pipeline: the values that it makes, and what it says of what it cannot do."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.errors import ConfigError
from schemas.pipelines.transforms import Transform
from tasks.build.chain import Chain
from tasks.build.expressions import parse_expression
from tasks.build.inputs import create_view
from tasks.build.shape import Shape, shape_of

Rows = list[tuple[Any, ...]]
_CONNECTION, _PARSER = duckdb.connect(), duckdb.connect()
_TRANSFORM: TypeAdapter[Any] = TypeAdapter(Transform)


def chain_of(rows: str, *steps: dict[str, Any] | str, other: str | None = None) -> tuple[Chain, Any]:
    """Return a chain over the rows of a query, and a connection that has them; `other` is raw.shop.other."""
    connection, parser = _CONNECTION, _PARSER
    tables = {}
    for dataset, query in (("raw/shop/rows", rows), *([("raw/shop/other", other)] if other else [])):
        types = shape_of(connection, query)
        shape = Shape(types, {name: frozenset([f"{dataset}.{name}"]) for name in types})
        tables[dataset] = (create_view(connection, dataset, query), shape)
        create_view(parser, dataset, shape.empty)
    view, shape = tables["raw/shop/rows"]
    chain = Chain("pipelines.yaml: pipelines[p]", view, "raw.shop.rows", shape, tables)
    for step in steps:
        chain.add(_TRANSFORM.validate_python(step), parser)
    return chain, connection


def run(rows: str, *steps: dict[str, Any] | str, other: str | None = None) -> Rows:
    chain, connection = chain_of(rows, *steps, other=other)
    found: Rows = connection.execute(f"SELECT * FROM ({chain.sql()}) ORDER BY ALL").fetchall()
    return found


def columns(rows: str, *steps: dict[str, Any] | str, other: str | None = None) -> dict[str, str]:
    return dict(chain_of(rows, *steps, other=other)[0].shape.types)


def refusal(rows: str, *steps: dict[str, Any] | str, other: str | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        chain_of(rows, *steps, other=other)
    assert refused.value.state == "Nothing of this pipeline was built; its table is as it was."
    return refused.value.what


def test_rename_keeps_order_and_may_swap_names() -> None:
    assert columns("SELECT 1 AS a, 'x' AS b, true AS c", {"type": "rename", "columns": {"a": "b", "b": "a"}}) == {
        "b": "INTEGER", "a": "VARCHAR", "c": "BOOLEAN",
    }  # fmt: skip
    assert run("SELECT 1 AS a, 'x' AS b", {"type": "rename", "columns": {"a": "b", "b": "a"}}) == [(1, "x")]


def test_rename_refuses_two_columns_of_one_name() -> None:
    told = refusal("SELECT 1 AS a, 2 AS b", {"type": "rename", "columns": {"a": "B"}})
    assert told == "pipelines.yaml: pipelines[p].transforms[0]: step 1 (rename): there would be two columns 'b' ('B')."


@pytest.mark.parametrize(
    ("value", "into", "expected"),
    [
        ("'2024-01-31'", "date", date(2024, 1, 31)),
        ("TIMESTAMP '2024-01-31 23:59:00'", "date", date(2024, 1, 31)),
        ("'2024-01-31 10:00:00'", "datetime", datetime(2024, 1, 31, 10)),
        ("'12.50'", "decimal(10, 2)", Decimal("12.50")),
        ("'12'", "integer", 12),
        ("12", "text", "12"),
        ("1::TINYINT", "boolean", True),
        ("' Sí '", "boolean", True),
        ("'NO'", "bool", False),
        ("'off'", "boolean", False),
        ("'\\x01'::BLOB", "boolean", True),
        ("'\\x00'::BLOB", "boolean", False),
        ("NULL::VARCHAR", "boolean", None),
        ("NULL::VARCHAR", "date", None),
    ],
)
def test_cast_reads_what_is_typical(value: str, into: str, expected: Any) -> None:
    assert run(f"SELECT {value} AS v", {"type": "cast", "columns": {"v": into}}) == [(expected,)]


def test_cast_reads_dates_by_their_format_only() -> None:
    step = {"type": "cast", "columns": {"v": "date"}, "format": "%d/%m/%Y", "on_error": "null"}
    assert run("FROM (VALUES ('31/01/2024'), ('2024-01-31'), (NULL)) t(v)", step) == [
        (date(2024, 1, 31),), (None,), (None,)
    ]  # fmt: skip
    with pytest.raises(duckdb.InvalidInputException):
        run("SELECT '2024-01-31' AS v", {**step, "on_error": "fail"})


def test_cast_makes_null_of_what_does_not_fit_or_fails() -> None:
    rows = "FROM (VALUES ('1'), ('x'), ('maybe'), ('')) t(v)"
    assert run(rows, {"type": "cast", "columns": {"v": "integer"}, "on_error": "null"}) == [(1,), *[(None,)] * 3]
    assert run(rows, {"type": "cast", "columns": {"v": "boolean"}, "on_error": "null"}) == [(True,), *[(None,)] * 3]
    for into in ("integer", "boolean"):
        with pytest.raises(duckdb.ConversionException):
            run(rows, {"type": "cast", "columns": {"v": into}})


def test_cast_of_text_to_a_whole_number_does_not_round() -> None:
    rows = "FROM (VALUES ('5.00'), ('-7'), ('2.7'), (NULL)) t(v)"
    step = {"type": "cast", "columns": {"v": "integer"}}
    assert run(rows, {**step, "on_error": "null"}) == [(-7,), (5,), (None,), (None,)]
    with pytest.raises(duckdb.InvalidInputException, match=r"string 2\.7 to INTEGER"):
        run(rows, step)


def test_cast_writes_dates_by_their_format_as_well() -> None:
    step = {"type": "cast", "columns": {"v": "text"}, "format": "%d/%m/%Y"}
    assert run("FROM (VALUES (DATE '2024-01-31'), (NULL)) t(v)", step) == [("31/01/2024",), (None,)]
    assert run("SELECT TIMESTAMPTZ '2024-01-31 23:00:00+00' AS v", step) == [("31/01/2024",)]


@pytest.mark.parametrize(("into", "told"), [("dat", "Type with name"), ("decimal(50,2)", "between 1 and 38")])
def test_cast_to_no_type_is_refused(into: str, told: str) -> None:
    assert told in refusal("SELECT 1 AS v", {"type": "cast", "columns": {"v": into}})


def test_filter_keeps_rows_of_which_the_condition_is_true() -> None:
    rows = "FROM (VALUES ('A'), ('DELETED'), (NULL)) t(estado)"
    assert run(rows, {"type": "filter", "condition": "estado != 'DELETED'"}) == [("A",)]
    # Comments and line breaks end with the expression.
    assert run(rows, {"type": "filter", "condition": "estado -- the state\n IS NULL -- or nothing"}) == [(None,)]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("1; DROP TABLE x", "must be one SQL expression|must be a SELECT"),
        ("a > 1) --", "is not SQL"),
        ("true) OR (SELECT 1", "is not SQL"),
        ("1) FROM (SELECT 2", "is not SQL"),
        ("a > 1 FROM other", "must be one SQL expression"),
        ("DISTINCT a", "is not SQL|must be one"),
        ("ALL a > 0", "is not SQL"),
        ("a, 2", "must be one SQL expression"),
        ("a AS b", "without a name of its own"),
        ("a IN (SELECT 1)", "must not look at other tables"),
        ("EXISTS (FROM 'x.csv')", "must not look at other tables"),
        ("COLUMNS(*) > 1", "must be one expression, and not one for all columns"),
        ("a > (", "is not SQL"),
        ("/* a", "is not SQL"),
        ("aa > 1", r"there is no column 'aa' here; did you mean 'a'\? Columns: a"),
        ("nonsense(a)", "Scalar Function with name nonsense does not exist"),
    ],
)  # fmt: skip
def test_what_is_not_one_expression_is_refused(condition: str, told: str) -> None:
    import re

    found = refusal("SELECT 1 AS a", {"type": "filter", "condition": condition})
    assert found.startswith("pipelines.yaml: pipelines[p].transforms[0]: step 1 (filter): "), found
    assert re.search(told, found), found


def test_a_wrong_expression_is_shown_with_its_line() -> None:
    told = refusal("SELECT 1 AS a", {"type": "filter", "condition": "a > 0\nAND AND a < 9"})
    assert 'at or near "AND"' in told and "AND AND a < 9" in told


def test_an_unknown_column_is_named_with_step_and_type_and_the_closest() -> None:
    told = refusal(
        "SELECT 1 AS fecha_alta, 2 AS id",
        {"type": "drop", "columns": ["id"]},
        {"type": "cast", "columns": {"fecha_alt": "date"}},
    )
    assert told == (
        "pipelines.yaml: pipelines[p].transforms[1]: step 2 (cast): there is no column 'fecha_alt' here; "
        "did you mean 'fecha_alta'? Columns: fecha_alta."
    )


@pytest.mark.parametrize(
    "step",
    [
        {"type": "rename", "columns": {"x": "y"}},
        {"type": "deduplicate", "keys": ["x"]},
        {"type": "deduplicate", "keys": ["a"], "order": ["x desc"]},
        {"type": "select", "columns": ["a", "x"]},
        {"type": "drop", "columns": ["x"]},
        {"type": "derive", "columns": {"y": "a + x"}},
        {"type": "trim", "columns": ["x"]},
        {"type": "normalise_case", "columns": {"x": "upper"}},
        {"type": "fill_null", "values": {"x": 1}},
        {"type": "parse_json", "column": "x", "fields": {"y": "$.y"}},
        {"type": "explode", "column": "x"},
        {"type": "join", "with": "raw.shop.other", "on": {"x": "a"}},
        {"type": "aggregate", "group_by": ["x"], "measures": {"n": "count(*)"}},
        {"type": "aggregate", "measures": {"n": "sum(x)"}},
    ],
    ids=lambda step: step["type"],
)
def test_every_step_names_a_column_that_is_not_there(step: dict[str, Any]) -> None:
    told = refusal("SELECT 1 AS a", step, other="SELECT 1 AS a, 2 AS b")
    assert "step 1" in told and step["type"] in told and "there is no column 'x' here" in told


def test_deduplicate_keeps_what_was_ingested_last() -> None:
    rows = """FROM (VALUES (1, 'old', TIMESTAMPTZ '2024-01-01 00:00Z'), (1, 'new', '2024-01-02 00:00Z'),
        (2, 'x', NULL)) t(id, v, _ingested_at)"""
    kept = run(rows, {"type": "deduplicate", "keys": ["id"]}, {"type": "select", "columns": ["id", "v"]})
    assert kept == [(1, "new"), (2, "x")]


def test_deduplicate_goes_by_an_order_of_ones_own() -> None:
    rows = "FROM (VALUES (1, 3, 'c'), (1, 1, 'a'), (1, NULL, 'n'), (2, NULL, 'x')) t(id, n, v)"
    for order, expected in ((["n"], "a"), (["n desc"], "c"), ([{"column": "n", "descending": True}], "c")):
        step = {"type": "deduplicate", "keys": ["id"], "order": order}
        assert [row[2] for row in run(rows, step)] == [expected, "x"]


def test_deduplicate_keeps_of_what_its_order_does_not_tell_apart_what_was_ingested_last() -> None:
    days = "FROM range(50) t(day)"
    rows = f"SELECT 1 AS id, 7 AS changed, day AS v, DATE '2026-01-01' + day::INTEGER AS _ingested_at {days}"
    step = {"type": "deduplicate", "keys": ["id"], "order": ["changed desc"]}
    assert [row[2] for row in run(rows, step)] == [49]


def test_rows_without_a_key_are_no_duplicates_of_each_other() -> None:
    rows = "FROM (VALUES (NULL, NULL, 1), (NULL, NULL, 2), (1, NULL, 3), (1, NULL, 3)) t(a, b, v)"
    assert len(run(rows, {"type": "deduplicate", "keys": ["a", "b"]})) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 2)),
        max_size=12,
    )
)
def test_deduplicate_is_the_model(rows: list[tuple[int | None, int | None, int]]) -> None:
    """One row a key, the one with the highest n (NULL last); the same whatever the order of the rows."""
    if not rows:
        return
    step = {"type": "deduplicate", "keys": ["k"], "order": ["n desc"]}
    sql = [
        "SELECT * FROM (VALUES {}) t(k, n, v)".format(
            ", ".join(
                f"({'NULL' if k is None else k}::INT, {'NULL' if n is None else n}::INT, {v})" for k, n, v in some
            )
        )
        for some in (rows, rows[::-1])
    ]
    one, other = (run(query, step) for query in sql)
    assert one == other
    best: dict[int, int] = {}
    for k, n, _ in rows:
        if k is not None:
            best[k] = max(best.get(k, -1), -1 if n is None else n)
    assert {k: -1 if n is None else n for k, n, _ in one if k is not None} == best
    assert sum(row[0] is None for row in one) == sum(row[0] is None for row in rows)
    assert set(one) <= set(rows)


def test_select_and_drop() -> None:
    rows = "SELECT 1 AS a, 2 AS b, 3 AS c"
    assert run(rows, {"type": "select", "columns": ["c", "a"]}) == [(3, 1)]
    assert run(rows, {"type": "drop", "columns": ["b"]}) == [(1, 3)]
    assert "no column would be left" in refusal("SELECT 1 AS a", {"type": "drop", "columns": ["a"]})


def test_derive_computes_new_columns_and_replaces_others_all_over_the_columns_before() -> None:
    step = {"type": "derive", "columns": {"a": "a * 10", "total": "a + b"}}
    assert run("SELECT 1 AS a, 2 AS b", step) == [(10, 2, 3)]
    told = refusal("SELECT 1 AS a", {"type": "derive", "columns": {"b": "a + 1", "c": "b + 1"}})
    assert "columns.c: there is no column 'b' here" in told


def test_derive_knows_lambdas_and_json_from_columns() -> None:
    step = {"type": "derive", "columns": {"b": "list_transform(a, lambda x: x + n)", "c": "j ->> '$.k'"}}
    assert run("""SELECT [1, 2] AS a, 10 AS n, '{"k": "v"}'::JSON AS j""", step)[0][3:] == ([11, 12], "v")


def test_trim_takes_all_white_space_off_text_only() -> None:
    rows = "SELECT e' \\t a b\\n' AS a, '   ' AS b, 1 AS n"
    assert run(rows, {"type": "trim"}) == [("a b", "", 1)]
    assert run(rows, {"type": "trim", "empty_as_null": True}) == [("a b", None, 1)]
    assert run(rows, {"type": "trim", "columns": ["b"]})[0][1] == ""
    assert "is INTEGER, and no text; cast it first" in refusal(rows, {"type": "trim", "columns": ["n"]})


def test_normalise_case() -> None:
    rows = "SELECT 'ana MARÍA  lópez' AS a, 'A@B.C' AS b, 'x' AS c, NULL::VARCHAR AS d"
    cases = {"a": "title", "b": "lower", "c": "upper", "d": "title"}
    assert run(rows, {"type": "normalise_case", "columns": cases}) == [("Ana María  López", "a@b.c", "X", None)]


def test_fill_null_keeps_the_type() -> None:
    rows = "SELECT NULL::DATE AS d, NULL::DECIMAL(10,2) AS n, NULL::BOOLEAN AS b, NULL::VARCHAR AS t"
    values = {"d": "2024-01-01", "n": 0.1, "b": False, "t": 7}
    assert run(rows, {"type": "fill_null", "values": values}) == [(date(2024, 1, 1), Decimal("0.10"), False, "7")]
    told = refusal(rows, {"type": "fill_null", "values": {"d": "soon"}})
    assert "values.d: 'soon' is no DATE" in told


@pytest.mark.parametrize(("kind", "value", "becomes"), [("INTEGER", 0.5, "1"), ("DECIMAL(10,2)", 0.005, "0.01")])
def test_fill_null_does_not_round(kind: str, value: float, becomes: str) -> None:
    told = refusal(f"SELECT NULL::{kind} AS n", {"type": "fill_null", "values": {"n": value}})
    assert f"values.n: '{value}' is no {kind}: it would become {becomes}" in told
    assert run("SELECT NULL::DOUBLE AS n", {"type": "fill_null", "values": {"n": value}}) == [(value,)]


def test_parse_json_takes_typed_values_out() -> None:
    rows = """SELECT '{"id": "7", "who": {"name": "Ana"}, "at": "2024-01-31", "tags": [1, 2], "no": null}' AS j"""
    fields = {
        "id": {"path": "$.id", "type": "integer"}, "name": "who.name", "at": {"path": "$.at", "type": "date"},
        "tags": "$.tags", "second": {"path": "$.tags[1]", "type": "bigint"}, "no": "$.no", "gone": "$.gone",
    }  # fmt: skip
    step = {"type": "parse_json", "column": "j", "fields": fields, "keep": False}
    assert run(rows, step) == [(7, "Ana", date(2024, 1, 31), "[1,2]", 2, None, None)]


def test_parse_json_makes_null_of_what_is_no_json_or_fails() -> None:
    step = {
        "type": "parse_json",
        "column": "j",
        "fields": {"a": {"path": "$.a", "type": "integer"}},
        "on_error": "null",
    }
    rows = """FROM (VALUES ('{"a": 1}'), ('{oops'), ('{"a": "x"}'), (NULL)) t(j)"""
    assert sorted(row[1] or 0 for row in run(rows, step)) == [0, 0, 0, 1]
    with pytest.raises(duckdb.Error):
        run(rows, {**step, "on_error": "fail"})
    assert "two columns 'j'" in refusal("SELECT '1' AS j", {**step, "fields": {"j": "$.a"}})


def test_explode_makes_a_row_of_each_element_and_loses_none() -> None:
    rows = """FROM (VALUES (1, '[{"sku": "a"}, {"sku": "b"}]'), (2, '[]'), (3, NULL)) t(id, items)"""
    step = {"type": "explode", "column": "items", "position": "line"}
    assert run(rows, step) == [(1, '{"sku":"a"}', 1), (1, '{"sku":"b"}', 2), (2, None, 1), (3, None, 1)]
    assert len(run(rows, {**step, "keep_empty": False})) == 2
    assert run("SELECT [1, 2] AS l", {"type": "explode", "column": "l"}) == [(1,), (2,)]
    with pytest.raises(duckdb.InvalidInputException, match="items holds no JSON array"):
        run("""SELECT '{"a": 1}' AS items""", {"type": "explode", "column": "items"})
    assert "is INTEGER, and neither a list nor text" in refusal("SELECT 1 AS n", {"type": "explode", "column": "n"})


OTHER = "FROM (VALUES (1, 'Ana', now()), (2, 'Bob', now())) t(cid, name, _ingested_at)"
ORDERS = "FROM (VALUES (10, 1), (11, 3)) t(id, customer)"


def test_join_brings_columns_in() -> None:
    step = {"type": "join", "with": "raw.shop.other", "on": {"customer": "cid"}}
    assert run(ORDERS, step, other=OTHER) == [(10, 1, "Ana"), (11, 3, None)]
    assert run(ORDERS, {**step, "how": "inner"}, other=OTHER) == [(10, 1, "Ana")]
    assert run(ORDERS, {**step, "how": "semi"}, other=OTHER) == [(10, 1)]
    assert run(ORDERS, {**step, "how": "anti"}, other=OTHER) == [(11, 3)]
    named = {**step, "with": {"layer": "raw", "domain": "shop", "table": "other"}, "columns": {"name": "who"}}
    assert list(columns(ORDERS, named, other=OTHER)) == ["id", "customer", "who"]


def test_join_refuses_names_that_clash_and_columns_that_are_not_there() -> None:
    step = {"type": "join", "with": "raw.shop.other", "on": ["id"]}
    told = refusal(ORDERS, step, other="SELECT 1 AS id, 2 AS Customer")
    assert "raw.shop.other has a column 'Customer', and there is a column 'Customer' already" in told
    told = refusal(ORDERS, {**step, "columns": ["nam"]}, other="SELECT 1 AS id, 'x' AS name")
    assert "raw.shop.other: there is no column 'nam' here; did you mean 'name'?" in told


def test_aggregate() -> None:
    rows = "FROM (VALUES ('a', 1), ('a', 2), ('b', 5)) t(k, n)"
    step = {"type": "aggregate", "group_by": ["k"], "measures": {"n": "count(*)", "total": "sum(n)"}}
    assert run(rows, step) == [("a", 2, 3), ("b", 1, 5)]
    assert run(rows, {"type": "aggregate", "measures": {"total": "sum(n)"}}) == [(8,)]
    assert "must appear in the GROUP BY" in refusal(
        rows, {"type": "aggregate", "group_by": ["k"], "measures": {"x": "n + 1"}}
    )


def test_aggregate_without_groups_is_one_row_whatever_the_measure() -> None:
    rows = "FROM (VALUES ('a', 1), ('a', 2), ('b', 5)) t(k, n)"
    assert run(rows, {"type": "aggregate", "measures": {"one": "1"}}) == [(1,)]
    assert "must appear in the GROUP BY" in refusal(rows, {"type": "aggregate", "measures": {"x": "n"}})
    assert run(f"{rows} WHERE false", {"type": "aggregate", "measures": {"n": "count(*)"}}) == [(0,)]


def test_snake_case() -> None:
    names = ["Order ID", "orderLineNo", "HTTPCode", "Año de Alta", "already_snake", "_ingested_at", "A1 (net)"]
    rows = "SELECT " + ", ".join(f'{n} AS "{name}"' for n, name in enumerate(names))
    assert list(columns(rows, "snake_case")) == [
        "order_id", "order_line_no", "http_code", "año_de_alta", "already_snake", "_ingested_at", "a1_net",
    ]  # fmt: skip
    assert "two columns 'order_id'" in refusal('SELECT 1 AS "Order ID", 2 AS orderId', "snake_case")


def test_where_columns_come_from_is_known_through_every_step() -> None:
    chain, _ = chain_of(
        "SELECT 1 AS cli_id, 'x' AS a, 'y' AS b, 2 AS customer",
        {"type": "rename", "columns": {"cli_id": "id"}},
        {"type": "cast", "columns": {"id": "text"}},
        {"type": "derive", "columns": {"name": "a || ' ' || b", "one": "1", "id2": "ID"}},
        {"type": "join", "with": "raw.shop.other", "on": {"customer": "cid"}, "columns": {"name": "who"}},
        {"type": "filter", "condition": "id <> 'x'"},
        {"type": "aggregate", "group_by": ["id", "who", "one"],
         "measures": {"all": "string_agg(name || id2)", "n": "count(*)"}},
        other="SELECT 1 AS cid, 'Ana' AS name",
    )  # fmt: skip
    found = {name: sorted(made or ()) for name, made in chain.shape.origins.items()}
    assert found == {
        "id": ["raw/shop/rows.cli_id"],
        "who": ["raw/shop/other.name"],
        "one": [],
        "all": ["raw/shop/rows.a", "raw/shop/rows.b", "raw/shop/rows.cli_id"],
        "n": [],
    }


@pytest.mark.parametrize(
    ("expression", "steady"),
    [
        ("a + 1", True),
        ("now()", False),
        ("current_date", False),
        ("random() * a", False),
        ("'now()'", True),
        ("age(a)", False),
        ("age(a, b)", True),
    ],
)
def test_what_changes_by_itself_is_known(expression: str, steady: bool) -> None:
    assert parse_expression(_PARSER, expression).is_steady is steady


def test_hostile_names_of_columns_stay_names() -> None:
    name = 'a"; DROP TABLE x; --'
    rows = 'SELECT 1 AS "a""; DROP TABLE x; --", 2 AS "select"'
    steps = [
        {"type": "rename", "columns": {name: "it's"}},
        {"type": "derive", "columns": {"b'": '"it\'s" + "select"'}},
        {"type": "trim"},
        {"type": "deduplicate", "keys": ["it's"]},
        {"type": "explode", "column": "l'", "position": "p'"},
    ]
    assert run(rows.replace("SELECT", "SELECT '[1]' AS \"l'\",", 1), *steps) == [("1", 1, 2, 3, 1)]
