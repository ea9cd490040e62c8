"""Pipelines in the order in which they need each other, and those that are written in SQL."""

import re
from pathlib import Path
from typing import Any

import pytest
from build_bench import STAGED, BuildBench

from schemas.build_report import BuildFailed, PipelineState
from schemas.errors import ConfigError
from schemas.project import Project
from tasks.build.order import plan_build

DONE, FAILED, PLANNED, SKIPPED, UNCHANGED = (
    PipelineState.DONE, PipelineState.FAILED, PipelineState.PLANNED, PipelineState.SKIPPED, PipelineState.UNCHANGED
)  # fmt: skip
ORDERS = {"name": "orders", "source": "raw.shop.orders", "destination": STAGED}
TOP = {"name": "top", "destination": "consume.bi.top", "sql": "SELECT max(id) AS id FROM {{ staging('sales.orders') }}"}


def of(name: str, source: str) -> dict[str, Any]:
    """Return a pipeline that copies a table of staging.x into another one of its own name."""
    return {"name": name, "source": source, "destination": f"staging.x.{name}"}


def states(bench: BuildBench, *names: str, **options: Any) -> dict[str, PipelineState]:
    return {report.pipeline: report.state for report in bench.build_all(*names, **options).pipelines}


def test_pipelines_run_after_what_they_read_and_only_if_that_has_changed(build_bench: BuildBench) -> None:
    build_bench.configure(TOP, ORDERS)
    build_bench.raw("SELECT 1 AS id")
    assert list(states(build_bench).items()) == [("orders", DONE), ("top", DONE)]
    assert build_bench.rows(dataset='"consume/bi".top') == [(1,)]
    assert set(states(build_bench).values()) == {UNCHANGED}
    build_bench.raw("SELECT 2 AS id")
    assert states(build_bench, "top") == {"top": UNCHANGED}, "what it reads is built when it is named, or with --all"
    assert states(build_bench, "top", "orders") == {"orders": DONE, "top": DONE}
    assert build_bench.rows(dataset='"consume/bi".top') == [(2,)]
    assert build_bench.build_all().pipelines[1].inputs == ("staging/sales/orders",)


def test_a_dry_run_shows_the_sql_of_all_and_writes_nothing(build_bench: BuildBench) -> None:
    build_bench.configure(TOP, ORDERS)
    build_bench.raw("SELECT 1 AS id")
    before = sorted(build_bench.folder.rglob("*"))
    report = build_bench.build_all(dry_run=True)
    assert (report.state, [p.state for p in report.pipelines]) == ("planned", [PLANNED, PLANNED])
    assert report.pipelines[0].read == 1
    assert report.pipelines[1].sql == 'SELECT max(id) AS id FROM "staging/sales"."orders"'
    assert sorted(build_bench.folder.rglob("*")) == before
    build_bench.build_all()
    assert set(states(build_bench, dry_run=True).values()) == {UNCHANGED}
    build_bench.raw("SELECT 2 AS id")
    assert set(states(build_bench, dry_run=True).values()) == {PLANNED}


def test_a_dry_run_checks_the_columns_that_will_be_built(build_bench: BuildBench) -> None:
    build_bench.configure({**TOP, "sql": "SELECT idd FROM {{ staging('sales.orders') }}"}, ORDERS)
    build_bench.raw("SELECT 1 AS id")
    report = build_bench.build_all(dry_run=True)
    assert [p.state for p in report.pipelines] == [PLANNED, FAILED]
    assert 'Referenced column "idd" not found' in (report.pipelines[1].error or "")


def test_one_that_fails_stops_only_those_that_need_it(build_bench: BuildBench) -> None:
    bad = {**ORDERS, "transforms": [{"type": "cast", "columns": {"id": "date"}}]}
    after = {**of("after", "consume.bi.top"), "transforms": [{"type": "select", "columns": ["id"]}]}
    build_bench.configure(
        after, TOP, bad, of("other", "raw.shop.orders"), {**of("lost", "raw.shop.orders"), "sql": None}
    )
    build_bench.raw("SELECT 'x' AS id")
    report = build_bench.build_all()
    assert {p.pipeline: p.state for p in report.pipelines} == {
        "orders": FAILED, "other": DONE, "lost": DONE, "top": SKIPPED, "after": SKIPPED,
    }  # fmt: skip
    notes = {p.pipeline: p.note for p in report.pipelines if p.note}
    assert notes["top"] == "not run, as it needs orders, which was not built"
    assert notes["after"] == "not run, as it needs top, which was not built"
    assert report.exit_code == 3
    failure = BuildFailed(report)
    assert "1 of 5 pipelines failed, and 2 that need them were skipped" in failure.state
    assert "cannot be made date: 'x'" in failure.what


def test_a_circle_is_named_before_anything_runs(build_bench: BuildBench) -> None:
    build_bench.configure(
        of("a", "staging.x.c"),
        {**of("b", "staging.x.a"), "enabled": False},
        of("c", "staging.x.b"),
        of("free", "raw.shop.orders"),
    )
    build_bench.raw("SELECT 1 AS id")
    with pytest.raises(ConfigError) as refused:
        plan_build(build_bench.project)
    (names,) = re.findall(r"circle: (.*)\.$", refused.value.what)
    assert sorted(set(names.split(" -> "))) == ["a", "b", "c"] and names.split(" -> ")[0] == names.split(" -> ")[-1]
    assert refused.value.state == "Nothing was read or written."
    # What does not need them runs.
    assert [p.name for p in plan_build(build_bench.project, ["free"]).pipelines] == ["free"]
    with pytest.raises(ConfigError, match="must not read the table that it builds"):
        build_bench.configure({**TOP, "sql": "FROM {{ consume('bi.top') }}"})
        build_bench.build("top")


def test_only_what_is_enabled_runs_unless_it_is_named(build_bench: BuildBench) -> None:
    build_bench.configure({**ORDERS, "enabled": False})
    build_bench.raw("SELECT 1 AS id")
    with pytest.raises(ConfigError, match="none that is enabled"):
        build_bench.build_all()
    assert states(build_bench, "orders") == {"orders": DONE}
    with pytest.raises(ConfigError, match="There is no pipeline 'order'; did you mean 'orders'"):
        build_bench.build_all("order")


def test_what_another_pipeline_has_not_built_yet_says_so(build_bench: BuildBench) -> None:
    build_bench.configure(ORDERS, TOP)
    build_bench.raw("SELECT 1 AS id")
    with pytest.raises(ConfigError, match=r"reads staging.sales.orders, which is not built yet") as refused:
        build_bench.build("top")
    assert refused.value.next_step == "Build it first, or together: tidegate run orders top"


def test_a_dry_run_before_the_first_ingest_says_what_it_waits_for(build_bench: BuildBench) -> None:
    cast = {"type": "cast", "columns": {"id": "text"}}
    build_bench.configure({**ORDERS, "transforms": [cast]}, TOP, {**ORDERS, "name": "w", "source": "raw.shop.order",
                                                                 "destination": "staging.x.w"})  # fmt: skip
    found = {p.pipeline: p for p in build_bench.build_all(dry_run=True).pipelines}
    assert (found["orders"].state, found["top"].state) == (PLANNED, PLANNED)
    assert found["orders"].note == "nothing was ingested into raw.shop.orders yet"
    assert found["orders"].sql == "-- to be told when there is a table raw.shop.orders"
    assert "staging/sales" in (found["top"].sql or "")
    assert found["w"].state is FAILED
    assert (found["w"].error or "").startswith(
        "pipelines.yaml: pipelines[w]: reads raw.shop.order, which is neither in the lake nor built by a pipeline; did "
        "you mean 'raw.shop.orders'?\n"
    )
    assert not (build_bench.folder / "lake").exists()
    with pytest.raises(ConfigError, match=r"(?s)neither in the lake nor built .*ingest the source first"):
        build_bench.build()


# SQL


def test_sql_in_a_file_is_built_again_when_it_changes(build_bench: BuildBench) -> None:
    (build_bench.folder / "sql").mkdir()
    file = build_bench.folder / "sql/top.sql"
    file.write_text("-- the best\nWITH o AS (SELECT * FROM {{ raw('shop.orders') }})\nSELECT id FROM o;\n-- end\n")
    build_bench.configure({**TOP, "sql": "sql/top.sql", "mode": "merge", "keys": ["id"]})
    build_bench.raw("SELECT 1 AS id")
    assert (build_bench.build("top").rows, build_bench.build("top").state) == (1, UNCHANGED)
    file.write_text("SELECT id + 1 AS id FROM {{ raw('shop.orders') }}")
    assert build_bench.build("top").rows == 1
    assert build_bench.rows(dataset='"consume/bi".top') == [(1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT *\nFROM {{ raw('shop.order') }}", "sql/top.sql: reads raw.shop.order, .* mean 'raw.shop.orders'"),
        ("SELECT *\n\nFRM {{ raw('shop.orders') }}", r'sql/top.sql: is not SQL: .*at or near(.|\n)*LINE 3: FRM'),
        ("SELECT\nidd FROM {{ raw('shop.orders') }}", r'top.sql: Binder Error: .*"idd"(.|\n)*LINE 2: idd FROM'),
        ("SELECT 1 AS a;\nSELECT 2", "sql/top.sql: must be one SELECT; these are 2 statements"),
        ("SELECT 1 AS a; DROP TABLE x", "sql/top.sql: must be a SELECT"),
        ("COPY (SELECT 1) TO '/tmp/x'", "sql/top.sql: must be a SELECT"),
        ("SELECT * FROM orders", "sql/top.sql: reads 'orders', which is neither a reference nor a WITH"),
        ('SELECT * FROM "raw/shop".orders', "sql/top.sql: reads 'raw/shop.orders', which is neither a reference"),
        ("SELECT * FROM '/etc/passwd'", "sql/top.sql: reads '/etc/passwd', which is neither"),
        ("SELECT * FROM read_text('/etc/passwd')", r"sql/top.sql: calls read_text\(\)"),
        ("SELECT (SELECT max(content) FROM read_text('/etc/passwd')) AS x", r"sql/top.sql: calls read_text\(\)"),
        ("WITH a AS (COPY (SELECT 1) TO '/tmp/x') SELECT * FROM a", "top.sql: must be a SELECT; there is a COPY in it"),
        ("SELECT 1 FROM enable_logging(storage := 'file')", r"sql/top.sql: calls enable_logging\(\)"),
        ("FROM json_execute_serialized_sql('{}')", r"sql/top.sql: calls json_execute_serialized_sql\(\)"),
        ("SHOW TABLES", "sql/top.sql: must be a SELECT over tables of the lake"),
        ("SELECT * FROM {{ ref('shop.orders') }}", "sql/top.sql: 'ref' is undefined; known here: raw"),
        ("SELECT 1\n{% if x %}", "sql/top.sql: line 2: "),
        ("SELECT * FROM {{ raw('shop') }}", r"sql/top.sql: raw\('shop'\) must be domain.table: shop.orders"),
        ("SELECT * FROM {{ consume('sales.top') }}", "must name a use case after consume: bi, ml, llm, exports"),
        ("SELECT {{ raw.__class__.__mro__ }}", "sql/top.sql: .*unsafe"),
        ("SELECT 1 AS a, 2 AS a FROM {{ raw('shop.orders') }}", "sql/top.sql: there would be two columns 'a'"),
        ("  ", "sql/top.sql: is empty"),
    ],
)  # fmt: skip
def test_sql_that_is_wrong_is_shown_with_file_and_line(build_bench: BuildBench, sql: str, told: str) -> None:
    (build_bench.folder / "sql").mkdir()
    (build_bench.folder / "sql/top.sql").write_text(sql)
    build_bench.configure({**TOP, "sql": "sql/top.sql"}, ORDERS)
    build_bench.raw("SELECT 1 AS id")
    report = build_bench.build_all()
    found = {p.pipeline: p for p in report.pipelines}
    assert (found["top"].state, found["orders"].state) == (FAILED, DONE)
    assert re.search(told, found["top"].error or ""), found["top"].error
    assert found["top"].exit_code == 2
    assert not (build_bench.folder / "lake/consume").exists()


def test_a_file_of_sql_that_is_not_there_is_named(build_bench: BuildBench) -> None:
    build_bench.configure({**TOP, "sql": "sql/nope.sql"})
    (report,) = build_bench.build_all().pipelines
    told = (
        f"pipelines.yaml: pipelines[top].sql: the file {build_bench.folder}/sql/nope.sql cannot be read: No such file"
    )
    assert (report.error or "").startswith(told)


# Configuration


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"sql": "SELECT 1"}, "pipelines[orders].sql: must not stand beside source and transforms"),
        ({"source": None}, "pipelines[orders]: needs a source (with transforms), or sql"),
        ({"mode": "merge"}, "pipelines[orders]: needs keys for mode merge"),
        ({"keys": ["id"]}, "pipelines[orders]: must have no keys with mode replace"),
        ({"mode": "upsert"}, "pipelines[orders].mode: must be one of replace, merge, append"),
        ({"destination": "raw.shop.x"}, "pipelines[orders].destination: must be in the layer staging or consume"),
        ({"destination": {**STAGED, "layer": "consume"}}, "destination.domain: must be one of bi, ml, llm, exports"),
        ({"destination": {"layer": "staging", "use_case": "bi", "table": "x"}}, "destination: has a use_case"),
        ({"destination": "staging.sales.x__history"}, "must not end in __history"),
        ({"destination": "staging.sales"}, "must be layer.domain.table, such as raw.shop.orders"),
        ({"source": "rwa.shop.orders"}, "source: must start with a layer: raw, staging, consume; did you mean 'raw'?"),
        ({"source": "raw.shop.../x"}, "must name folders of the lake"),
        ({"transfoms": []}, "pipelines[orders].transfoms: unknown key; did you mean 'transforms'?"),
        ({"transforms": [{"type": "renam"}]}, "transforms[0].type: must be one of rename, cast"),
        ({"transforms": [{"type": "rename", "columns": {}}]}, "transforms[0].columns: must not be empty"),
        ({"transforms": [{"type": "cast", "columns": {"a": "int) --"}}]}, "columns.a: must be the name of a type"),
        ({"transforms": [{"type": "cast", "colums": {"a": "int"}}]}, "colums: unknown key; did you mean 'col"),
        ({"transforms": [{"python": "x"}]}, "must be module:function, such as transforms.shop:clean"),
        ({"transforms": [{"type": "parse_json", "column": "a", "fields": {"b": "$['"}}]}, "must be a path in JSON"),
        ({"transforms": [{"type": "join", "with": "raw.x", "on": ["a"]}]}, "[0].with: must be layer.domain"),
        ({"transforms": [{"type": "deduplicate", "keys": []}]}, "transforms[0].keys: must not be empty"),
        ({"source": "staging.sales.orders"}, "must not read the table that it builds"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_pipelines_yaml_is_named(build_bench: BuildBench, entry: dict[str, Any], told: str) -> None:
    merged = {key: value for key, value in {**ORDERS, **entry}.items() if value is not None}
    build_bench.configure(merged)
    with pytest.raises(ConfigError) as refused:
        Project.load(build_bench.config_dir)
    assert "pipelines.yaml: " in refused.value.what
    assert told in refused.value.what, refused.value.what


def test_append_of_sql_is_refused_with_the_reason(build_bench: BuildBench) -> None:
    build_bench.configure({**TOP, "mode": "append"})
    with pytest.raises(ConfigError, match="mode: append needs a source, whose new rows are added"):
        Project.load(build_bench.config_dir)


def test_two_pipelines_with_one_table_or_one_name_are_refused(build_bench: BuildBench) -> None:
    build_bench.configure(
        ORDERS, {**ORDERS, "name": "again", "destination": "staging.Sales.ORDERS"}, {**TOP, "name": "orders"}
    )
    with pytest.raises(ConfigError) as refused:
        Project.load(build_bench.config_dir)
    assert (
        "pipelines[again].destination: staging.Sales.ORDERS is built by pipelines[orders] as well" in refused.value.what
    )
    assert "pipelines[2].name: 'orders' is taken by pipelines[0]" in refused.value.what


def test_the_shipped_example_of_pipelines_is_true(build_bench: BuildBench) -> None:
    text = (Path(__file__).parents[2] / "config/pipelines.yaml").read_text()
    example = text.partition("pipelines: []\n")[2]
    assert Project.load(build_bench.config_dir).pipelines == ()
    (build_bench.config_dir / "pipelines.yaml").write_text(
        "pipelines:\n" + re.sub("^#", "", example, flags=re.MULTILINE)
    )
    build_bench.raw(
        "SELECT 7 AS \"Cust No\", ' ana ' AS name, 'Ana@X.es' AS email, '2024-01-31' AS \"signedUp\", 'yes' AS active,"
        " 'ACTIVE' AS status, NULL::VARCHAR AS country, now() AS updated_at, '' AS notes",
        "raw/demo/customers",
    )
    assert [p.state for p in build_bench.build_all().pipelines] == [DONE, DONE]
    assert build_bench.rows("customer_id, name, email, domain", '"staging/sales".customers') == [
        (7, "Ana", "ana@x.es", "X.es".lower())
    ]
    assert build_bench.rows(dataset='"consume/bi".customers_by_country') == [("unknown", 1)]
