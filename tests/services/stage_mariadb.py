"""A stage over a MariaDB database."""

import time
from pathlib import Path

from mysql_bench import MySQLBench
from oracle import QuietOracle, Version
from service_stage import Stage, scope_of
from service_zygote import Zygote

from tidegate.demo.mariadb import MariaDB

ARCHIVE = {
    "from": "2024-01-01", "to": "2024-03-01", "where": "NOT (shop <=> 'shop 2')",
    "purge": {"mode": "delete", "batch_rows": 40},
}  # fmt: skip
SETTLE_S = 60.0  # for the server to notice that a client died
# As the oracle prints what is in the lake.
_TEXTS = {
    "bigint": "CAST({} AS CHAR)", "decimal": "CAST({} AS CHAR)", "double": "CAST({} AS CHAR)",
    "datetime": "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({} AS CHAR)))", "bit": "IF({}, 'true', 'false')",
    "varchar": "{}", "text": "{}", "longtext": "{}",
}  # fmt: skip


class MariaDBOracle(QuietOracle):
    """The oracle of a MariaDB table."""

    def source(self) -> dict[Version, bool]:
        columns = sorted(
            self._bench.sql(
                "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS "
                "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
                self._table,
            )
        )
        texts = [f"IF({name} IS NULL, NULL, {_TEXTS[kind].format(name)})" for name, kind in columns]
        rows = self._bench.sql(f"SELECT ({self._scope}) IS TRUE, {', '.join(texts)} FROM {self._table}")
        names = [name for name, _ in columns]
        return {tuple(zip(names, texts, strict=True)): bool(inside) for inside, *texts in rows}


class MariaDBStage(Stage):
    """A stage with a database of its own; the rows that are kept are in another one.

    Args:
        mariadb: The server.
        zygote: Runs the flows.
        folder: Of the project; its name becomes that of the database.
    """

    def __init__(self, mariadb: MariaDB, zygote: Zygote, folder: Path) -> None:
        self._server, self._name = mariadb, folder.name
        mariadb.sql(f"CREATE DATABASE {self._name} CHARACTER SET utf8mb4")
        super().__init__(MySQLBench(mariadb.url(self._name), folder, dict(ARCHIVE)), zygote)

    def fill(self) -> None:
        self.bench.fill_orders(220)  # from January into March
        self.bench.sql("INSERT INTO orders (id, placed_at) VALUES (1001, NULL), (1002, '2026-01-01')")
        self.bench.sql("INSERT INTO orders (id, placed_at) VALUES (1003, '2023-12-31 23:59:59.999999')")
        self.oracle = MariaDBOracle(self.bench, scope=scope_of(self.bench.archive))

    def keep_source(self) -> None:
        self._server.sql(f"CREATE DATABASE {self._name}_kept")
        self._server.sql(f"RENAME TABLE {self._name}.orders TO {self._name}_kept.orders")

    def reset_source(self) -> None:
        self._server.sql(f"CREATE OR REPLACE TABLE {self._name}.orders LIKE {self._name}_kept.orders")
        self._server.sql(f"INSERT INTO {self._name}.orders SELECT * FROM {self._name}_kept.orders")

    def settle(self) -> None:
        until = time.monotonic() + SETTLE_S
        while self._server.sql("SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = %s", self._name):
            assert time.monotonic() < until, "a connection of a dead process is still there"
            time.sleep(0.005)

    def close(self) -> None:
        for database in (self._name, f"{self._name}_kept"):
            self._server.sql(f"DROP DATABASE IF EXISTS {database}")
