"""A test bench over a SQLite file: a project that archives one of its tables, and the steps without Prefect."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_bench import Bench

from schemas.restore import RestoreReport, RestoreRequest
from tasks.restore import restore_rows

ORDERS = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, placed_at DATETIME, shop TEXT, amount DECIMAL(12,4), note TEXT, weight REAL, picture BLOB,
    open BOOLEAN, day DATE)
"""
FILL_ORDERS = """
WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < ?)
INSERT INTO orders
SELECT n, datetime('2024-01-01', (n * 433) || ' minutes'), 'shop ' || (n % 3), n * 137 / 100.0,
       CASE WHEN n % 5 = 0 THEN NULL WHEN n % 7 = 0 THEN '' ELSE 'note ' || n END, n / 8.0, CAST(n AS BLOB), n % 2,
       date('2024-01-01', n || ' days')
FROM g
"""


@dataclass
class SqliteBench(Bench):
    """A project under test over the SQLite file that `url` names."""

    @classmethod
    def in_folder(cls, folder: Path, *, wal: bool = True) -> "SqliteBench":
        """Make an empty database and a project in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        bench = cls(f"sqlite:///{quote(str(folder / 'shop.db'))}", folder / "project")
        with bench.connected() as connection:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
        return bench

    @property
    def file(self) -> Path:
        return self.folder.parent / "shop.db"

    def configure(self, **changes: Any) -> None:
        super().configure(**changes if "table" in self.archive else {"table": "orders", **changes})
        source = {"name": "shop", "type": "sqlite", "connection": {"url": self.url}}
        self._write("sources", {"sources": [source]})

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Open a connection as an application does, in autocommit mode."""
        with closing(sqlite3.connect(self.file, isolation_level=None, timeout=10)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # no test pulls the plug
            yield connection

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connected() as connection:
            return connection.execute(query, parameters).fetchall()

    def fill_orders(self, rows: int = 200) -> None:
        self.sql(ORDERS)
        self.sql(FILL_ORDERS, rows)

    def rows_of_all_tables(self) -> dict[str, int]:
        tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table'") if self.file.is_file() else []
        return {table: self.count(table) for (table,) in tables}

    def content(self, table: str = "orders") -> set[tuple[Any, ...]]:
        """Return the rows of a table as SQL writes their values, with their storage classes."""
        names = [row[1].replace('"', '""') for row in self.sql(f"PRAGMA table_xinfo({table})")]
        quoted = ", ".join(
            f'typeof("{name}"), CASE typeof("{name}") WHEN \'text\' THEN hex("{name}") ELSE "{name}" END'
            for name in names
        )
        return {tuple(map(repr, row)) for row in self.sql(f"SELECT {quoted} FROM {table}")}

    def restore(self, **options: Any) -> RestoreReport:
        """Put archived rows back."""
        project = self.project
        return restore_rows(project, project.archives[0], RestoreRequest.of(**{"from_": "0001-01-01", **options}))

    def in_another_process(self, code: str) -> subprocess.Popen[bytes]:
        setup = (
            "import os, signal, sys; from pathlib import Path; from sqlite_bench import SqliteBench; "
            f"bench = SqliteBench({self.url!r}, Path({str(self.folder)!r}), {self.archive!r}, {self.settings!r})\n"
        )
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        return subprocess.Popen(
            [sys.executable, "-c", setup + code], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
        )
