"""Benches of all kinds of sources whose tables go into the raw layer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mysql_bench import MySQLBench
from service_bench import Bench
from sqlite_bench import SqliteBench

from schemas.ingest_report import TableReport
from tasks.audit import audit
from tasks.ingest.ingest_table import ingest_table
from tasks.views import open_views

KINDS = ("postgresql", "mysql", "sqlite")
CUSTOMERS = {
    "postgresql": "id int PRIMARY KEY, name text, changed_at timestamptz, balance numeric(12,2)",
    "mysql": "id int PRIMARY KEY, name text, changed_at datetime(6), balance decimal(12,2)",
    "sqlite": "id INTEGER NOT NULL PRIMARY KEY, name TEXT, changed_at DATETIME, balance REAL",
}


class IngestBench:
    """A source with a table `customers`, and a project that extracts it."""

    def __init__(self, kind: str, bench: Bench) -> None:
        self.kind, self.bench = kind, bench
        (bench.config_dir / "archives.yaml").unlink()
        self.bench.sql(f"CREATE TABLE customers ({CUSTOMERS[kind]})")
        self.configure()

    def configure(self, tables: list[Any] | None = None, **extract: Any) -> None:
        """Write sources.yaml, with the source's `extract`."""
        source: dict[str, Any] = {"name": "crm", "type": self.kind, "connection": {"url": self.bench.url}}
        source["tables"] = tables or ["customers"]
        if extract:
            source["extract"] = extract
        self.bench._write("sources", {"sources": [source]})

    def put(self, *rows: tuple[int, str | None, str | None]) -> None:
        """Insert customers, or replace them: (id, name, time of the change in UTC)."""
        for id_, name, at in rows:
            self.bench.sql(f"DELETE FROM customers WHERE id = {id_}")
            values = ", ".join("NULL" if value is None else f"'{value}'" for value in (name, at))
            self.bench.sql(f"INSERT INTO customers VALUES ({id_}, {values}, 1.5)")

    def ingest(self, table: str = "customers", **options: Any) -> TableReport:
        return ingest_table(self.bench.config_dir, "crm", table, "run", **options)

    def now(self, table: str = "customers", columns: str = "id, name") -> list[tuple[Any, ...]]:
        """Return what readers see of a table now."""
        return self._ask(f'SELECT {columns} FROM "raw/crm".{table} ORDER BY ALL')

    def history(self, table: str = "customers", columns: str = "id, name") -> list[tuple[Any, ...]]:
        """Return everything that was ever stored of a table."""
        return self._ask(f'SELECT {columns} FROM "raw/crm".{table}__history ORDER BY ALL')

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with open_views(self.bench.lake, self.bench.project.settings) as connection:
            return connection.execute(query).fetchall()

    def assert_sound(self) -> None:
        """Find that everything in the lake is as its manifests say, digests included."""
        report = audit(self.bench.config_dir)
        assert (report.findings, [one.orphans for one in report.datasets]) == ((), [()] * len(report.datasets))


@pytest.fixture(params=KINDS)
def crm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IngestBench]:
    """A source of each kind in turn, with an empty table `customers`."""
    kind: str = request.param
    if kind == "postgresql":
        bench: Bench = request.getfixturevalue("bench")
    elif kind == "mysql":
        bench = request.getfixturevalue("mysql_bench")
        assert isinstance(bench, MySQLBench)
    else:
        bench = SqliteBench.in_folder(tmp_path / "shop")
    yield IngestBench(kind, bench)
