"""The way in that people are told: a new project, a MySQL source, a pipeline; here word for word, against MariaDB."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_cli import CommandLine
from service_prefect_server import PrefectServer

from tidegate.demo.mariadb import MariaDB

SOURCE = """
  - {name: mysql_ventas, type: mysql, enabled: true, connection: {host: ${MYSQL_HOST}, port: 3306, database: ventas, user: ${MYSQL_USER}, password: ${MYSQL_PASSWORD}}, tables: [clientes, pedidos, facturas], extract: {mode: incremental, key_column: updated_at, batch_size: 10000}}
"""  # noqa: E501 - as it was written down
PIPELINES = """pipelines:
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
CLIENTES = """
CREATE TABLE clientes (
    cli_id int PRIMARY KEY, cli_nom varchar(100), cli_email varchar(100), fecha_alta varchar(10), activo tinyint(1),
    estado varchar(20), updated_at datetime)
"""


@pytest.fixture
def ventas(mariadb: MariaDB) -> Iterator[MariaDB]:
    """A server with the database `ventas`."""
    mariadb.sql("CREATE DATABASE ventas CHARACTER SET utf8mb4")
    mariadb.sql(CLIENTES, database="ventas")
    mariadb.sql(
        "INSERT INTO clientes VALUES (1, 'Ana', 'ana@example.com', '2024-01-31', 1, 'ACTIVO', '2026-01-01'),"
        " (2, 'José', NULL, '2024-02-29', 0, 'INACTIVO', '2026-01-02'),"
        " (3, 'Eva', NULL, '2024-03-01', 0, 'DELETED', '2026-01-03')",
        database="ventas",
    )
    for table in ("pedidos", "facturas"):
        mariadb.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, updated_at datetime)", database="ventas")
        mariadb.sql(f"INSERT INTO {table} VALUES (1, '2026-01-01')", database="ventas")
    yield mariadb
    mariadb.sql("DROP DATABASE ventas")


@pytest.mark.slow
def test_from_a_new_project_to_a_staging_table(ventas: MariaDB, tmp_path: Path, prefect_server: PrefectServer) -> None:
    made = CommandLine(tmp_path)("init", "mi_proyecto")
    assert made.code == 0, made.err
    folder = tmp_path / "mi_proyecto"
    sources, pipelines = folder / "config/sources.yaml", folder / "config/pipelines.yaml"
    # The server of this test has a port that was free; all else is as it was written down.
    sources.write_text(sources.read_text() + SOURCE.replace("port: 3306", f"port: {ventas.port}"))
    pipelines.write_text(PIPELINES)
    (folder / ".env").write_text(
        f"MYSQL_HOST=127.0.0.1\nMYSQL_USER={ventas.user}\nMYSQL_PASSWORD='{ventas.password}'\n"
    )
    tidegate = CommandLine(folder, prefect_server.environment)

    ran = tidegate("extract", "mysql_ventas")
    assert ran.code == 0, ran.err
    raw = folder / "lake/raw/mysql_ventas"
    assert {path.relative_to(raw).parts[0] for path in raw.rglob("*.parquet")} == {"clientes", "pedidos", "facturas"}

    ran = tidegate("run", "ventas_staging")
    assert ran.code == 0, ran.out + ran.err
    assert list((folder / "lake/staging/ventas/clientes").rglob("*.parquet"))

    ran = tidegate("catalog")
    assert ran.code == 0, ran.err
    assert "raw/mysql_ventas/clientes" in ran.out and "staging/ventas/clientes" in ran.out
    asked = tidegate(
        "query", "--json", 'SELECT cliente_id, nombre, fecha_alta, activo FROM "staging/ventas".clientes ORDER BY 1'
    )
    assert json.loads(asked.out)["rows"] == [[1, "Ana", "2024-01-31", True], [2, "José", "2024-02-29", False]]
    for text in (ran.out, ran.err, asked.out):
        assert ventas.password not in text
