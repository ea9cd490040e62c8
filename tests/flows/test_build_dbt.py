"""A dbt project builds tables of the lake: what its tests let pass is stored, and only when there is something to do.

dbt needs an older pathspec than mypy does, so it has an environment of its own, beside the one of the tests.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from build_bench import BuildBench
from service_cli import CommandLine, Ran
from service_prefect_server import PrefectServer
from service_seaweedfs import SeaweedFS

from schemas.errors import ConfigError
from schemas.project import Project
from tasks.build.dbt_database import make_workspace
from tasks.build.order import plan_build

# The first test installs what it needs.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
ORDERS = "FROM (VALUES (1, 'a', 2), (2, 'b', 3), (NULL, 'b', 4)) t(id, state, amount)"

PROJECT = """
name: shop
profile: anything
models:
  shop:
    staging: {+schema: staging, +materialized: table}
    consume: {+schema: consume, +materialized: table}
"""
SALES = "select id, upper(state) as state, amount from {{ source('raw', 'shop_orders') }} where id is not null"
TOTALS = "select state, sum(amount) as amount from {{ ref('sales_orders') }} group by all"
STATES = "{{ config(meta={'tidegate': {'domain': 'crm', 'table': 'states'}}) }} select distinct state from {{ source('raw', 'shop_orders') }}"  # noqa: E501
SOURCES = {"name": "raw", "schema": "raw", "tables": [{"name": "shop_orders"}]}
UNIQUE = {"models": [{"name": "sales_orders", "columns": [{"name": "id", "data_tests": ["unique", "not_null"]}]}]}
MODELS = {"staging/sales_orders": SALES, "consume/bi_totals": TOTALS, "staging/states": STATES}

# Runs what is asked for in lines of JSON, one after the other: dbt takes seconds to import.
DRIVER = """
import json, os, sys, traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from schemas.errors import TidegateError
from tasks.build.dbt_project import build_dbt
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environment"])
    said = StringIO()
    try:
        with redirect_stdout(said):
            reports = build_dbt(Path(asked["config_dir"]), "run", **asked["options"])
        answer = {"reports": [report.model_dump(mode="json") for report in reports]}
    except TidegateError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    except BaseException:
        answer = {"crash": traceback.format_exc()}
    print(json.dumps({**answer, "said": said.getvalue()}), file=answers, flush=True)
"""


@pytest.fixture(scope="session")
def dbt_python() -> str:
    """The interpreter of an environment with Tidegate's extra `dbt`, as locked."""
    folder = Path(sys.prefix) / "dbt"
    given = {"UV_PROJECT_ENVIRONMENT": str(folder), "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    words = ["sync", "--frozen", "--quiet", "--no-default-groups", "--group", "demo", "--extra", "dbt"]
    mine = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [str(Path(sys.prefix) / "bin/uv"), *words],
        cwd=ROOT, env={**mine, **given}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=840,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(folder / "bin/python")


class _Dbt:
    """A process that runs dbt projects."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )

    def ask(self, config_dir: Path, environment: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"config_dir": str(config_dir), "environment": dict(environment), "options": dict(options)}
        _pipe(self._process.stdin).write(json.dumps(asked) + "\n")
        _pipe(self._process.stdin).flush()
        answer: dict[str, Any] = json.loads(_pipe(self._process.stdout).readline())
        assert "crash" not in answer, answer["crash"]
        assert answer["said"] == "", "what dbt prints would be between the lines of --json"
        return answer

    def close(self) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait(30)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture(scope="module")
def dbt_process(dbt_python: str) -> Iterator[_Dbt]:
    process = _Dbt(dbt_python)
    yield process
    process.close()


@dataclass
class DbtBench:
    """A project with a dbt project in `./dbt`, over a raw layer with orders."""

    bench: BuildBench
    process: _Dbt
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, models: Mapping[str, str], *entries: Mapping[str, Any], project: str = PROJECT) -> None:
        """Write the dbt project: models, and what their YAML says."""
        shutil.rmtree(self.bench.folder / "dbt/models", ignore_errors=True)
        self.file("dbt_project.yml", project)
        for name, sql in models.items():
            self.file(f"models/{name}.sql", sql)
        merged: dict[str, Any] = {"version": 2, "sources": [SOURCES]}
        for entry in entries:
            for key, found in entry.items():
                merged[key] = found if key == "sources" else [*merged.get(key, []), *found]
        self.file("models/schema.yml", yaml.safe_dump(merged))

    def file(self, path: str, text: str) -> None:
        place = self.bench.folder / "dbt" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def configure(self, *pipelines: dict[str, Any], **dbt: Any) -> None:
        self.bench.configure(*pipelines)
        entries = {"pipelines": list(pipelines)} if pipelines else {}
        (self.bench.config_dir / "pipelines.yaml").write_text(
            yaml.safe_dump({"dbt": {"project": "./dbt", **dbt}, **entries})
        )

    def run(self, **options: Any) -> dict[str, dict[str, Any]]:
        """Return the reports by name."""
        answer = self.process.ask(self.bench.config_dir, self.environment, options)
        assert "error" not in answer, answer["error"]
        return {report["pipeline"].removeprefix("dbt."): report for report in answer["reports"]}

    def states(self, **options: Any) -> dict[str, str]:
        return {name: report["state"] for name, report in self.run(**options).items()}

    def refused(self, **options: Any) -> str:
        answer = self.process.ask(self.bench.config_dir, self.environment, options)
        assert answer.get("exit_code") == 2, answer
        return str(answer["error"])


@pytest.fixture
def dbt(build_bench: BuildBench, dbt_process: _Dbt) -> DbtBench:
    made = DbtBench(build_bench, dbt_process)
    made.configure()
    made.write(MODELS, UNIQUE)
    build_bench.raw(ORDERS)
    return made


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_models_become_tables_of_the_lake_and_are_left_alone_until_something_changes(dbt: DbtBench) -> None:
    bench, before = dbt.bench, files_below(dbt.bench.folder / "dbt")
    made = dbt.run()
    assert {name: (one["state"], one["dataset"], one["rows"]) for name, one in made.items()} == {
        "sales_orders": ("done", "staging/sales/orders", 2),
        "bi_totals": ("done", "consume/bi/totals", 2),
        "states": ("done", "staging/crm/states", 2),
    }
    assert bench.rows() == [(1, "A", 2), (2, "B", 3)]
    [manifest] = bench.generations()
    assert manifest.built is not None
    assert (manifest.built.pipeline, manifest.built.mode) == ("dbt.sales_orders", "replace")
    [raw] = bench.generations("raw/shop/orders")
    assert manifest.built.inputs == {"raw/shop/orders": (raw.path,)}
    [totals] = bench.generations("consume/bi/totals")
    assert totals.built is not None
    assert totals.built.inputs == {"staging/sales/orders": (manifest.path,)}
    record = next(one for one in bench.records() if one.name == "dbt.sales_orders")
    assert (record.job, record.state, record.read, record.rows) == ("build", "done", 3, 2)
    assert {check.check: check.state for check in record.checks} == {"not_null(id)": "passed", "unique(id)": "passed"}
    assert files_below(bench.folder / "dbt") == before, "dbt's own files lie elsewhere"

    assert set(dbt.states().values()) == {"unchanged"}
    assert len(bench.generations()) == 1
    dbt.file("models/consume/bi_totals.sql", TOTALS + " having sum(amount) > 2")
    assert dbt.states() == {"sales_orders": "unchanged", "states": "unchanged", "bi_totals": "done"}
    assert bench.rows(dataset='"consume/bi".totals') == [("B", 3)]
    bench.raw("SELECT 3 AS id, 'c' AS state, 9 AS amount")
    assert set(dbt.states().values()) == {"done"}
    assert bench.rows("id") == [(1,), (2,), (3,)]


def test_a_failing_test_keeps_the_table_as_it_was(dbt: DbtBench) -> None:
    dbt.run()
    dbt.bench.raw("FROM (VALUES (1, 'x', 7), (2, 'y', 8)) t(id, state, amount)")
    ran = dbt.run()
    orders = ran["sales_orders"]
    assert (orders["state"], orders["exit_code"]) == ("failed", 3)
    assert (
        "pipelines.yaml: dbt: models/staging/sales_orders.sql: unique(id) refuses it: Got 2 results" in orders["error"]
    )
    assert {check["check"]: check["state"] for check in orders["checks"]} == {
        "not_null(id)": "passed",
        "unique(id)": "refused",
    }
    [refused] = [check for check in orders["checks"] if check["state"] == "refused"]
    assert (refused["checked"], refused["failed"], sorted(refused["examples"])) == (4, 2, ["1, 2", "2, 2"])
    assert (ran["bi_totals"]["state"], ran["bi_totals"]["note"]) == (
        "skipped",
        "not run, as it needs dbt.sales_orders, which was not built",
    )
    assert ran["states"]["state"] == "done", "what does not need it goes on"
    assert dbt.bench.rows() == [(1, "A", 2), (2, "B", 3)]
    assert len(dbt.bench.generations()) == 1
    record = [one for one in dbt.bench.records() if one.name == "dbt.sales_orders"][-1]
    assert record.state == "failed" and "unique(id)" in str(record.error)
    assert [check.state for check in record.checks].count("refused") == 1


def test_unit_tests_and_tests_of_their_own_judge_as_well_and_those_that_warn_do_not(dbt: DbtBench) -> None:
    unit = {
        "name": "upper_states", "model": "sales_orders",
        "given": [{"input": "source('raw', 'shop_orders')", "rows": [{"id": 1, "state": "a", "amount": 2}]}],
        "expect": {"rows": [{"id": 1, "state": "a", "amount": 2}]},
    }  # fmt: skip
    warn = {"accepted_values": {"arguments": {"values": ["A"]}, "config": {"severity": "warn"}}}
    warned = {"models": [{"name": "sales_warned", "columns": [{"name": "state", "data_tests": [warn]}]}]}
    dbt.write({**MODELS, "staging/sales_warned": SALES}, {"unit_tests": [unit]}, warned)
    dbt.file("tests/few_states.sql", "select * from {{ ref('states') }} where state = 'b'")
    ran = dbt.run()
    assert (ran["sales_orders"]["state"], ran["states"]["state"]) == ("failed", "failed")
    assert "upper_states refuses it: actual differs from expected" in ran["sales_orders"]["error"]
    assert "few_states refuses it: Got 1 result" in ran["states"]["error"]
    assert dbt.bench.generations() == []
    one = ran["sales_warned"]
    [check] = one["checks"]
    assert (one["state"], check["state"], check["severity"]) == ("done", "warned", "warn")
    assert (check["check"], check["examples"]) == ("accepted_values(state)", ["B, 1"])


def test_what_is_no_table_of_the_lake_and_fails_is_told_with_its_file(dbt: DbtBench) -> None:
    middle = "{{ config(materialized='view', schema=none) }} select cast(state as integer) as n from raw.shop_orders"
    models = {
        "staging/sales_orders": "select broken_column from {{ source('raw', 'shop_orders') }}",
        "staging/sales_numbers": "select n from {{ ref('middle') }}",
        "staging/sales_lines": "select n from {{ ref('lines') }}",
        "middle": middle,
    }
    dbt.write({**MODELS, **models})
    dbt.file("seeds/lines.csv", "n\n1\n2\n")
    ran = dbt.run()
    assert "models/staging/sales_orders.sql" in ran["sales_orders"]["error"]
    assert 'Referenced column "broken_column" not found' in ran["sales_orders"]["error"]
    assert ran["sales_orders"]["exit_code"] == 1
    assert (
        "sales_numbers.sql: " in ran["sales_numbers"]["error"] and "Could not convert" in ran["sales_numbers"]["error"]
    )
    assert ran["bi_totals"]["state"] == "skipped"
    assert (ran["sales_lines"]["state"], ran["sales_lines"]["rows"]) == ("done", 2)
    dbt.file("seeds/lines.csv", "n\n1\n2\n3\n")
    dbt.file("models/middle.sql", middle.replace("'view'", "'table'"))
    again = dbt.run()
    assert again["sales_lines"]["rows"] == 3
    assert (again["middle"]["state"], again["middle"]["dataset"], again["middle"]["exit_code"]) == ("failed", "", 1)
    assert "pipelines.yaml: dbt: models/middle.sql: Runtime Error in model middle" in again["middle"]["error"]
    assert again["sales_numbers"]["note"] == "not run, as it needs dbt.middle, which was not built"


def test_a_failing_test_of_a_source_stops_what_reads_it(dbt: DbtBench) -> None:
    tested = {**SOURCES, "tables": [{"name": "shop_orders", "columns": [{"name": "id", "data_tests": ["not_null"]}]}]}
    dbt.write(MODELS, {"sources": [tested]})
    ran = dbt.run()
    told = ran.pop("source_not_null_raw_shop_orders_id")
    assert (told["state"], told["exit_code"], told["checks"][0]["check"]) == ("failed", 3, "not_null(id)")
    assert {one["state"] for one in ran.values()} == {"skipped"}
    assert "dbt.shop_orders" in ran["sales_orders"]["note"]


def test_what_sql_names_plainly_is_an_input_and_what_tells_the_time_is_built_each_time(dbt: DbtBench) -> None:
    plain = "select count(*) n from raw.shop_orders"
    dbt.write({"staging/sales_plain": plain, "staging/sales_clock": "select now() t"})
    assert dbt.run()["sales_plain"]["inputs"] == ["raw/shop/orders"]
    assert dbt.states() == {"sales_plain": "unchanged", "sales_clock": "done"}
    dbt.bench.raw("SELECT 3 AS id, 'c' AS state, 9 AS amount")
    assert dbt.run()["sales_plain"]["state"] == "done"
    assert dbt.bench.rows(dataset='"staging/sales".plain') == [(4,)]


def test_tables_that_a_test_compares_are_both_inputs(dbt: DbtBench) -> None:
    there = {"relationships": {"arguments": {"to": "ref('sales_known')", "field": "id"}}}
    dbt.write(
        {**MODELS, "staging/sales_known": "select 1 as id union all select 2"},
        {"models": [{"name": "sales_orders", "columns": [{"name": "id", "data_tests": [there]}]}]},
    )
    assert set(dbt.states().values()) == {"done"}
    dbt.file("models/staging/sales_known.sql", "select 1 as id")
    for _ in range(2):  # also when what it is compared with is stored already
        ran = dbt.run()
        assert ran["sales_orders"]["state"] == "failed" and "relationships(id)" in ran["sales_orders"]["error"]
    assert ran["sales_known"]["state"] == "unchanged"


def test_what_reads_a_table_that_its_pipeline_could_not_build_is_not_run(dbt: DbtBench) -> None:
    dbt.bench.raw("SELECT 1 AS id", "staging/crm/people", added=False)
    people, every = "select * from staging.crm_people", "select * from {{ ref('sales_people') }}"
    dbt.write({"staging/sales_people": people, "consume/bi_all": every, "staging/sales_orders": SALES})
    ran = dbt.run(lost=["staging/crm/people"])
    assert ran["sales_people"]["note"] == "not run, as it needs staging.crm.people, which was not built"
    assert {name: one["state"] for name, one in ran.items()} == {
        "sales_people": "skipped", "bi_all": "skipped", "sales_orders": "done",
    }  # fmt: skip
    assert set(dbt.states().values()) == {"done", "unchanged"}


def test_a_dry_run_shows_the_sql_and_writes_nothing(dbt: DbtBench) -> None:
    dbt.configure(target="prod", vars={"least": 2})
    dbt.write({**MODELS, "staging/sales_big": "select {{ var('least') }} as n, '{{ target.name }}' as t"})
    before = files_below(dbt.bench.folder)
    ran = dbt.run(dry_run=True)
    assert {one["state"] for one in ran.values()} == {"planned"}
    assert ran["sales_orders"]["sql"].endswith('from "tidegate"."raw"."shop_orders" where id is not null')
    assert ran["sales_big"]["sql"] == "select 2 as n, 'prod' as t"
    assert files_below(dbt.bench.folder) == before


def test_a_lake_on_s3_is_read_and_no_secret_is_written_down(
    dbt: DbtBench, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret}
    for name, value in {**keys, "AWS_ENDPOINT_URL": s3_server.endpoint_url, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
        dbt.environment[name] = value
    dbt.bench.settings = {"lake": f"s3://{s3_bucket}/lakes/{uuid.uuid4().hex}"}
    dbt.configure()
    dbt.bench.raw(ORDERS)
    assert set(dbt.states().values()) == {"done"}
    assert dbt.bench.rows("id") == [(1,), (2,)]
    make_workspace(dbt.bench.project, dbt.bench.lake, tmp_path)
    for path in files_below(tmp_path):
        assert s3_server.secret.encode() not in path.read_bytes()
    assert (tmp_path / "profiles.yml").stat().st_size > 100


# What cannot be run.

SNAPSHOT = "{% snapshot old %}{{ config(target_schema='s', unique_key='id', strategy='check', check_cols='all') }} select 1 as id{% endsnapshot %}"  # noqa: E501


ONE = "select 1 as id"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"models/staging/sales_x.sql": "select * from {{ ref('salesorders') }}"}, ["models/staging/sales_x.sql"]),
        ({"models/staging/sales_x.sql": "select {{ 1 "}, ["models/staging/sales_x.sql"]),
        (
            {"models/staging/people.sql": ONE, "models/consume/sales_x.sql": ONE},
            [
                "models/staging/people.sql: people has a name of one word",
                "its domain must be one of bi, ml, llm, exports",
            ],
        ),
        (
            {
                "snapshots/old.sql": SNAPSHOT,
                "models/staging/crm_states.sql": ONE,
                "models/staging/crm_taken.sql": ONE,
            },
            [
                "snapshots/old.sql: old is a snapshot",
                "staging.crm.states is built by models/staging/",
                "staging.crm.taken is built by pipelines[taken] as well",
            ],
        ),
        ({"dbt_project.yml": "name: shop\n"}, ["says +schema: staging, or +schema: consume"]),
    ],
    ids=["ref", "jinja", "names", "twice", "none"],
)
def test_what_is_wrong_with_the_project_is_said_before_anything_is_built(
    dbt: DbtBench, files: dict[str, str], told: list[str]
) -> None:
    dbt.configure({"name": "taken", "sql": "SELECT 1 AS id", "destination": "staging.crm.taken"})
    for path, text in files.items():
        dbt.file(path, text)
    error = dbt.refused()
    for words in told:
        assert words in error, error
    assert "pipelines.yaml: dbt: " in error and "Next: Correct" in error
    assert dbt.bench.generations() == []


def test_a_project_that_is_not_there_or_that_nothing_is_installed_for_is_a_clear_error(build_bench: BuildBench) -> None:
    (build_bench.config_dir / "pipelines.yaml").write_text("dbt: {project: ./dbt}\n")
    with pytest.raises(ConfigError, match=r"dbt\.project: there is no dbt_project\.yml in .*/project/dbt"):
        plan_build(build_bench.project)
    (build_bench.folder / "dbt").mkdir()
    (build_bench.folder / "dbt/dbt_project.yml").write_text(PROJECT)
    ran = CommandLine(build_bench.folder)("run", "--all")
    assert ran.code == 2
    assert "dbt-core, dbt-duckdb, prefect-dbt are not installed here" in ran.err
    assert "pip install 'tidegate[dbt]'" in ran.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dbt: {projekt: ./dbt, project: ./dbt}", "dbt.projekt: unknown key; did you mean 'project'?"),
        ("dbt: {}", "dbt.project: is required"),
        ("other: 1", "pipelines: is required"),
        ("{dbt: {project: ./dbt}, pipelines: [{name: dbt, sql: SELECT 1, destination: staging.a.b}]}", "names the dbt"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_named_by_key(build_bench: BuildBench, text: str, told: str) -> None:
    (build_bench.config_dir / "pipelines.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Project.load(build_bench.config_dir)
    assert f"pipelines.yaml: {told}" in caught.value.what or told in caught.value.what


def test_nothing_of_dbt_is_imported_where_none_is_configured() -> None:
    code = "import sys, flows.build; print([m for m in sys.modules if m.split('.')[0] in ('dbt', 'prefect_dbt')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


# As people use it.


@pytest.mark.slow
def test_the_command_line_runs_it_after_the_pipelines(
    dbt: DbtBench, dbt_python: str, prefect_server: PrefectServer
) -> None:
    people = {"name": "people", "sql": "SELECT 1 AS id", "destination": "staging.crm.people"}
    dbt.configure(people)
    dbt.write({**MODELS, "consume/bi_people": "select * from staging.crm_people"}, UNIQUE)
    dbt.bench.raw("FROM (VALUES (1, 'x', 7)) t(id, state, amount)")

    def run(*words: str) -> Ran:
        mine = CommandLine(dbt.bench.folder, prefect_server.environment).all_variables
        done = subprocess.run(
            [dbt_python, "-m", "tidegate", *words],
            cwd=dbt.bench.folder, env=mine, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    ran = run("run", "--all", "--json")
    assert ran.code == 3, ran.err
    assert {one["pipeline"]: one["state"] for one in ran.json["pipelines"]} == {
        "people": "done", "dbt.sales_orders": "failed", "dbt.states": "done", "dbt.bi_people": "done",
        "dbt.bi_totals": "skipped",
    }  # fmt: skip
    told = "dbt.sales_orders: pipelines.yaml: dbt: models/staging/sales_orders.sql: unique(id)"
    assert told in ran.json["error"]["what"]
    assert "Traceback" not in ran.err
    assert dbt.bench.rows(dataset='"consume/bi".people') == [(1,)]


def test_the_project_of_the_page_is_built(dbt: DbtBench) -> None:
    page = (ROOT / "docs/dbt.md").read_text()
    blocks = re.findall(r"^```dbt (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shutil.rmtree(dbt.bench.folder / "dbt")
    for path, text in blocks:
        place = dbt.bench.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    dbt.bench.raw(ORDERS.replace("NULL", "3"), whole=True)
    ran = dbt.run()
    assert {name: (one["state"], one["dataset"]) for name, one in ran.items()} == {
        "sales_orders": ("done", "staging/sales/orders"),
        "states": ("done", "consume/bi/states"),
    }
    assert dbt.bench.rows(dataset='"consume/bi".states') == [("A", 2), ("B", 7)]
