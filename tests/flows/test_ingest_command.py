"""`tidegate ingest` as people use it: a source of several tables, one of which fails, from the YAML that they write."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from ingest_bench import IngestBench
from mysql_bench import MySQLBench
from service_cli import RUN_ALL, CommandLine, assert_calm_and_discreet, examples_of
from service_prefect_server import PrefectServer

SOURCES = """
sources:
  - {name: mysql_ventas, type: mysql, enabled: true, connection: {host: ${MYSQL_HOST}, port: PORT, database: DATABASE, user: ${MYSQL_USER}, password: ${MYSQL_PASSWORD}}, tables: [clientes, pedidos, facturas], extract: {mode: incremental, key_column: updated_at, batch_size: 10000}}
  - {name: viejo, type: sqlite, enabled: false, connection: {url: sqlite:///viejo.db}, tables: [t]}
"""  # noqa: E501 - as it was written down


@pytest.fixture
def ventas(mysql_bench: MySQLBench, prefect_server: PrefectServer) -> CommandLine:
    """The command line in a project with that source; its tables have two rows each."""
    for table in ("clientes", "pedidos", "facturas"):
        mysql_bench.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, nombre text, updated_at datetime)")
        mysql_bench.sql(f"INSERT INTO {table} VALUES (1, 'Ana', '2026-01-01'), (2, 'José', '2026-01-02')")
    url = urlsplit(mysql_bench.url)
    sources = SOURCES.replace("PORT", str(url.port)).replace("DATABASE", url.path[1:])
    (mysql_bench.config_dir / "sources.yaml").write_text(sources)
    (mysql_bench.config_dir / "archives.yaml").unlink()
    login = {
        "MYSQL_HOST": str(url.hostname), "MYSQL_USER": unquote(url.username or ""),
        "MYSQL_PASSWORD": unquote(url.password or ""),
    }  # fmt: skip
    return CommandLine(mysql_bench.folder, {**prefect_server.environment, **login})


def test_a_source_goes_into_the_raw_layer_and_a_table_that_fails_does_not_stop_the_others(
    ventas: CommandLine, mysql_bench: MySQLBench
) -> None:
    mysql_bench.sql("DROP TABLE pedidos")
    ran = ventas("extract", "mysql_ventas", "--json")
    assert ran.code == 2, ran.err
    assert "pedidos" in ran.out
    assert_calm_and_discreet(ran, mysql_bench)
    raw = mysql_bench.folder / "lake/raw/mysql_ventas"
    assert sorted({path.relative_to(raw).parts[0] for path in raw.rglob("*.parquet")}) == ["clientes", "facturas"]
    asked = ventas("query", 'SELECT nombre FROM "raw/mysql_ventas".clientes ORDER BY id', "--json")
    assert json.loads(asked.out)["rows"] == [["Ana"], ["José"]]
    mysql_bench.sql("INSERT INTO clientes VALUES (3, 'Eva', '2026-01-03')")
    ran = ventas("ingest", "--table", "clientes", "--table", "facturas")
    assert ran.code == 0, ran.err
    assert "Not enabled, and left out: viejo" in ran.out
    assert "unchanged" in ran.out and "2026-01-01 23:00:00" in ran.out
    assert ventas("verify", "raw/mysql_ventas/clientes").code == 0
    shown = ventas("status", "--json")
    assert [(d["dataset"], d["rows"], d["unpurged"]) for d in json.loads(shown.out)["datasets"]] == [
        ("raw/mysql_ventas/clientes", 3, 0), ("raw/mysql_ventas/facturas", 2, 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mysql_venta"], "There is no source 'mysql_venta'; did you mean 'mysql_ventas'?"),
        (["--table", "cliente"], "There is no table 'cliente' under mysql_ventas; did you mean 'clientes'?"),
    ],
)
def test_what_is_not_there_is_named_before_anything_starts(
    ventas: CommandLine, arguments: list[str], told: str
) -> None:
    ran = ventas("ingest", *arguments)
    assert (ran.code, told in ran.err) == (2, True), ran.err
    assert not (ventas.folder / "lake").exists()


@pytest.mark.slow
def test_examples_of_the_help_work(crm_of_sqlite: IngestBench, prefect_server: PrefectServer) -> None:
    ran = CommandLine(crm_of_sqlite.bench.folder, prefect_server.environment)(
        json.dumps(examples_of("ingest")), program=("-c", RUN_ALL)
    )
    assert ran.code == 0, ran.err
    raw = crm_of_sqlite.bench.folder / "lake/raw/shop/orders"
    assert len(list(raw.rglob("*.parquet"))) == 1, "a table that is as it was is not stored again"


@pytest.fixture
def crm_of_sqlite(tmp_path: Path) -> IngestBench:
    """A project as the examples speak of it: a source `shop` with a table `orders`."""
    from sqlite_bench import SqliteBench

    bench = SqliteBench.in_folder(tmp_path / "shop")
    crm = IngestBench("sqlite", bench)
    bench.sql("CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY)")
    bench.sql("INSERT INTO orders VALUES (1)")
    source = {"name": "shop", "type": "sqlite", "connection": {"url": bench.url}, "tables": ["orders"]}
    bench._write("sources", {"sources": [source]})
    return crm
