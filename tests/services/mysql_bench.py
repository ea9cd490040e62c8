"""A test bench over a MariaDB database: a project that archives one of its tables, and the steps without Prefect."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
import pytest
from service_bench import Bench

from schemas.restore import RestoreReport, RestoreRequest
from tasks.restore import restore_rows
from tidegate.demo.mariadb import MariaDB

ORDERS = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, placed_at datetime(6), shop varchar(20), amount decimal(12,4), note text, payload json,
    open bit(1), weight double, KEY (placed_at))
"""
FILL_ORDERS = """
INSERT INTO orders
SELECT seq, '2024-01-01' + INTERVAL seq * 433 MINUTE, CONCAT('shop ', seq % 3), seq * 1.37,
       CASE WHEN seq % 5 = 0 THEN NULL WHEN seq % 7 = 0 THEN '' ELSE CONCAT('note ', seq) END,
       JSON_OBJECT('n', seq), seq % 2, seq / 8e0
FROM seq_1_to_{rows}
"""


@dataclass
class MySQLBench(Bench):
    """A project under test over the MariaDB or MySQL database that `url` names."""

    def configure(self, **changes: Any) -> None:
        super().configure(**{"table": "orders", **changes} if "table" not in self.archive else changes)
        source = {"name": "shop", "type": "mysql", "connection": {"url": self.url}}
        self._write("sources", {"sources": [source]})

    @contextmanager
    def connected(self) -> Iterator["pymysql.connections.Connection[Any]"]:
        """Open a connection as an application does, in autocommit mode."""
        parts = urlsplit(self.url)
        connection = pymysql.connect(
            host=parts.hostname, port=parts.port or 3306, user=unquote(parts.username or ""),
            password=unquote(parts.password or ""), database=parts.path[1:], autocommit=True, charset="utf8mb4",
            ssl_disabled=True,
        )  # fmt: skip
        with closing(connection):
            yield connection

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def fill_orders(self, rows: int = 200) -> None:
        self.sql(ORDERS)
        self.sql(FILL_ORDERS.format(rows=rows))

    def rows_of_all_tables(self) -> dict[str, int]:
        tables = self.sql("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()")
        return {table: self.count(f"`{table}`") for (table,) in tables}

    def content(self, table: str = "orders") -> list[tuple[Any, ...]]:
        """Return the rows of a table as octets, each value as the server prints it."""
        names = [row[0] for row in self.sql(f"SHOW COLUMNS FROM {table}")]
        values = ", ".join(f"CAST(`{name}` AS BINARY)" for name in names)
        return sorted(self.sql(f"SELECT {values} FROM {table}"), key=repr)

    def restore(self, **options: Any) -> RestoreReport:
        """Put archived rows back."""
        project = self.project
        return restore_rows(project, project.archives[0], RestoreRequest.of(**{"from_": "0001-01-01", **options}))


@pytest.fixture
def mysql_bench(mariadb: MariaDB, mariadb_database: str, tmp_path: Path) -> MySQLBench:
    """A project over a fresh MariaDB database and a fresh local lake."""
    return MySQLBench(mariadb.url(mariadb_database), tmp_path / "project")
