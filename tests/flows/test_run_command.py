"""`tidegate run` as people use it, from the YAML that they write to the table that they query."""

import json
from urllib.parse import unquote, urlsplit

import pytest
from build_bench import STAGED, BuildBench
from mysql_bench import MySQLBench
from service_cli import RUN_ALL, CommandLine, examples_of
from service_prefect_server import PrefectServer

from schemas.build_report import BuildReport, PipelineReport, PipelineState
from schemas.config import Settings
from tasks.build.build_pipeline import build_pipeline
from tasks.ingest.ingest_table import ingest_table
from tidegate.show.build import show_build
from tidegate.show.output import Output

SOURCES = """
sources:
  - {name: mysql_ventas, type: mysql, enabled: true, connection: {host: ${MYSQL_HOST}, port: PORT, database: DATABASE, user: ${MYSQL_USER}, password: ${MYSQL_PASSWORD}}, tables: [clientes, pedidos, facturas], extract: {mode: incremental, key_column: updated_at, batch_size: 10000}}
"""  # noqa: E501 - as it was written down
PIPELINES = """
pipelines:
  - name: ventas_staging
    description: "ventas, raw to staging"
    source: {layer: raw, domain: mysql_ventas, table: clientes}
    destination: {layer: staging, domain: ventas, table: clientes}
    transforms:
      - {type: rename, columns: {cli_id: cliente_id, cli_nom: nombre, cli_email: email}}
      - {type: cast, columns: {fecha_alta: date, activo: boolean}}
      - {type: filter, condition: "estado != 'DELETED'"}
      - {type: deduplicate, keys: [cliente_id]}
    quality_checks:
      - {type: not_null, columns: [cliente_id, nombre]}
      - {type: unique, columns: [cliente_id]}
      - {type: valid_values, column: estado, values: [ACTIVO, INACTIVO, PENDIENTE]}
"""
TOP = "SELECT max(id) AS id FROM {{ staging('sales.orders') }}"
CLIENTES = """
CREATE TABLE clientes (
    cli_id int PRIMARY KEY, cli_nom varchar(80), cli_email varchar(80), fecha_alta varchar(20), activo {activo},
    estado varchar(20), updated_at datetime(6))
"""


@pytest.fixture(params=["tinyint(1)", "bit(1)", "varchar(5)"])
def ventas(request: pytest.FixtureRequest, mysql_bench: MySQLBench, monkeypatch: pytest.MonkeyPatch) -> MySQLBench:
    """A project with the YAML as it stands, over MariaDB, where flags are kept in many ways."""
    mysql_bench.sql(CLIENTES.format(activo=request.param))
    mysql_bench.sql(
        "INSERT INTO clientes VALUES (1, 'Ana', 'ana@x.es', '2024-01-31', 1, 'ACTIVO', '2026-01-01'),"
        " (2, 'José', NULL, '2024-02-29', 0, 'INACTIVO', '2026-01-02'),"
        " (3, 'Eva', 'eva@x.es', '2024-03-01', 1, 'DELETED', '2026-01-03')"
    )
    url = urlsplit(mysql_bench.url)
    sources = SOURCES.replace("PORT", str(url.port)).replace("DATABASE", url.path[1:])
    (mysql_bench.config_dir / "sources.yaml").write_text(sources)
    (mysql_bench.config_dir / "pipelines.yaml").write_text(PIPELINES)
    (mysql_bench.config_dir / "archives.yaml").unlink()
    monkeypatch.setenv("MYSQL_HOST", str(url.hostname))
    monkeypatch.setenv("MYSQL_USER", unquote(url.username or ""))
    monkeypatch.setenv("MYSQL_PASSWORD", unquote(url.password or ""))
    return mysql_bench


def test_the_yaml_of_ventas_runs_as_it_stands(ventas: MySQLBench) -> None:
    from tasks.views import open_views

    def run() -> tuple[int, list[tuple[object, ...]]]:
        ingest_table(ventas.config_dir, "mysql_ventas", "clientes", "run")
        report = build_pipeline(ventas.config_dir, "ventas_staging", "run")
        with open_views(ventas.lake, ventas.project.settings) as connection:
            columns = "cliente_id, nombre, email, fecha_alta::VARCHAR, activo, estado"
            query = f'SELECT {columns} FROM "staging/ventas".clientes ORDER BY 1'
            return report.rows, connection.execute(query).fetchall()

    assert run() == (
        2,
        [
            (1, "Ana", "ana@x.es", "2024-01-31", True, "ACTIVO"),
            (2, "José", None, "2024-02-29", False, "INACTIVO"),
        ],
    )
    assert run()[0] == 0, "nothing has changed"
    ventas.sql("UPDATE clientes SET estado = 'PENDIENTE', updated_at = '2026-02-01' WHERE cli_id = 2")
    assert [row[5] for row in run()[1]] == ["ACTIVO", "PENDIENTE"]
    assert {path.suffix for path in (ventas.folder / "lake/staging/ventas/clientes").iterdir()} == {".parquet"}


@pytest.fixture
def shop(build_bench: BuildBench, prefect_server: PrefectServer) -> CommandLine:
    """The command line in a project with a pipeline of staging, one in SQL over it, and one that does not fit."""
    check = {"type": "not_null", "columns": ["id"], "on_failure": "quarantine"}
    build_bench.configure(
        {"name": "top", "destination": "consume.bi.top", "sql": TOP},
        {
            "name": "orders_staging", "source": "raw.shop.orders", "destination": STAGED, "quality_checks": [check],
            "transforms": [{"type": "select", "columns": ["id", "state"]}],
        },
    )  # fmt: skip
    build_bench.raw("FROM (VALUES (1, 'A'), (NULL, 'B')) t(id, state)")
    return CommandLine(build_bench.folder, prefect_server.environment)


def test_pipelines_run_in_order_and_what_their_checks_found_is_shown(
    shop: CommandLine, build_bench: BuildBench
) -> None:
    ran = shop("run", "--all")
    assert ran.code == 0, ran.err
    assert ran.out.index("orders_staging") < ran.out.index("consume.bi.top")
    assert "orders_staging: not_null(id): quarantined: " in ran.out
    assert "Next: tidegate query 'SELECT * FROM \"staging/sales\".orders LIMIT 10'" in ran.out
    assert "Traceback" not in ran.err
    asked = shop("query", 'SELECT id FROM "consume/bi".top', "--json")
    assert asked.json["rows"] == [[1]]


def test_a_pipeline_that_fails_is_told_and_those_that_need_it_are_skipped(
    shop: CommandLine, build_bench: BuildBench
) -> None:
    top, orders = build_bench.entries
    refusing = [{"type": "not_null", "columns": ["id"]}]
    build_bench.configure(
        top, {**orders, "quality_checks": refusing}, {**orders, "name": "copy", "destination": "staging.x.y"}
    )
    ran = shop("run", "--all", "--json")
    assert ran.code == 3, ran.err
    found = {p["pipeline"]: p["state"] for p in ran.json["pipelines"]}
    assert found == {"orders_staging": "failed", "top": "skipped", "copy": "done"}
    assert ran.json["error"]["type"] == "BuildFailed"
    assert (
        "orders_staging: pipelines.yaml: pipelines[orders_staging]: not_null(id) refuses it"
        in ran.json["error"]["what"]
    )
    shown = shop("run", "--all")
    assert shown.code == 3
    assert "top: not run, as it needs orders_staging, which was not built." in shown.out
    assert "1 of 3 pipelines failed, and 1 that need them were skipped" in shown.err


def test_a_dry_run_prints_the_sql(shop: CommandLine, build_bench: BuildBench) -> None:
    before = sorted(build_bench.folder.rglob("*"))
    ran = shop("run", "--all", "--dry-run")
    assert ran.code == 0, ran.err
    assert 'SELECT * FROM "raw/shop"."orders"\n' in ran.out
    assert (
        '-- top: staging.sales.orders -> consume.bi.top (replace)\nSELECT max(id) AS id FROM "staging/sales"."orders"'
        in ran.out
    )
    assert "Next: tidegate run orders_staging top" in ran.out
    assert sorted(build_bench.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run", "toop"], 2, "There is no pipeline 'toop'; did you mean 'top'?"),
        (["run"], 2, "Name the pipelines to run, or give --all"),
        (["run", "top", "--all"], 2, "Name the pipelines to run, or give --all"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_starts(
    build_bench: BuildBench, arguments: list[str], code: int, told: str
) -> None:
    build_bench.configure({"name": "top", "destination": "consume.bi.top", "sql": "SELECT 1 AS id"})
    ran = CommandLine(build_bench.folder)(*arguments)
    assert (ran.code, told in ran.err) == (code, True), ran.err


def test_what_went_wrong_is_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    failed = PipelineReport(
        pipeline="orders", dataset="staging/a/b", state=PipelineState.FAILED, error="no", exit_code=3
    )
    skipped = PipelineReport(pipeline="top", dataset="consume/bi/top", state=PipelineState.SKIPPED, note="not run")
    report = BuildReport(state="failed", run_id="r", pipelines=(failed, skipped), disabled=("old",))
    show_build(Output(False, False, "./config"), report, Settings(lake="/lake"))
    shown = capsys.readouterr().out
    assert "staging.a.b" in shown and "top: not run.\n" in shown and "left out: old" in shown
    assert "Next" not in shown, "the error says it"


@pytest.mark.slow
def test_examples_of_the_help_work(shop: CommandLine) -> None:
    ran = shop(json.dumps(examples_of("run", "build")), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err
