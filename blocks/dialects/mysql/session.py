"""Connections to MariaDB and MySQL: settings that make values print the same everywhere."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.converters import escape_string

from blocks.dialects.mysql.source_errors import code_of, translated
from blocks.dialects.mysql.source_url import connect_arguments, may_be_plain, redact
from schemas.errors import ConfigError
from schemas.table import QUERY, Table
from schemas.table_name import DEFAULT_SCHEMA, TableName

OLDEST_MARIADB, OLDEST_MYSQL = (10, 5), (8, 0)
_NO_TLS = 2026
# A client that pauses, and a server that thinks, are no reason to hang up.
_PATIENCE_S = 86_400
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

# What an operator writes is read as MySQL reads it out of the box: "x" is text, || is OR, \ escapes. Zero dates can
# be read and written back, as they are values that tables hold, and so can the 0 of a counting column; char(5)
# comes without the blanks that fill it up; whatever does not fit is an error.
SQL_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection, in autocommit mode, and what is known of its server."""

    driver: "pymysql.connections.Connection[Any]"
    url: str
    is_mariadb: bool
    database: str

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows that a statement gives; the text goes as it is, nothing in it is a placeholder."""
        with self.driver.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def one(self, query: str) -> tuple[Any, ...]:
        """Return the one row that a statement gives."""
        (row,) = self.rows(query)
        return row

    def run(self, query: str) -> int:
        """Run a statement and return how many rows it changed."""
        with self.driver.cursor() as cursor:
            return int(cursor.execute(query))


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings; it is closed at the end.

    Raises:
        ConfigError: A malformed URL, a wrong password, an unknown database or user, or a server that is too old.
        SourceUnavailable: It could not be reached.
    """
    arguments = connect_arguments(url)
    with translated(url):
        driver = _connect(url, arguments)
    try:
        with translated(url):
            _keep_alive(driver)
            version = str(driver.get_server_info())  # type: ignore[no-untyped-call]
            connection = Connection(driver, url, "MariaDB" in version, arguments["database"])
            _refuse_old(connection, version)
            for text in _settings(connection.is_mariadb):
                connection.run(text)
            yield connection
    finally:
        with suppress(pymysql.Error, OSError):
            driver.close()


def _connect(url: str, arguments: dict[str, Any]) -> "pymysql.connections.Connection[Any]":
    known = {
        **arguments, "charset": "utf8mb4", "autocommit": True, "connect_timeout": 10, "use_unicode": True,
        "program_name": "tidegate", "max_allowed_packet": 1 << 30,
    }  # fmt: skip
    try:
        return pymysql.connect(**known)
    except pymysql.OperationalError as error:
        if code_of(error) != _NO_TLS or not may_be_plain(url):
            raise
        return pymysql.connect(**{**known, "ssl": None, "ssl_disabled": True})
    except RuntimeError as error:  # what PyMySQL says where a way to log in needs another package
        raise ConfigError(
            f"{redact(url, url)}: {error}", next_step="Let the connection be encrypted (sslmode=require)."
        ) from None


def _keep_alive(driver: Any) -> None:
    if driver._sock.family in {socket.AF_INET, socket.AF_INET6}:
        driver._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                driver._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _refuse_old(connection: Connection, told: str) -> None:
    # An old client must not be frightened: MariaDB may say 5.5.5-10.11.6-MariaDB.
    numbers = re.search(r"(\d+)\.(\d+)", told.removeprefix("5.5.5-"))
    version = (int(numbers.group(1)), int(numbers.group(2))) if numbers else (0, 0)
    name, oldest = ("MariaDB", OLDEST_MARIADB) if connection.is_mariadb else ("MySQL", OLDEST_MYSQL)
    if version < oldest:
        raise ConfigError(
            f"{redact(connection.url, connection.url)} runs {name} {told}; "
            f"Tidegate needs {oldest[0]}.{oldest[1]} or later."
        )


def _settings(is_mariadb: bool) -> list[str]:
    """Return the statements with which every session begins."""
    common = {
        "sql_mode": f"'{SQL_MODE}'",
        "time_zone": "'+00:00'",
        "lc_time_names": "'en_US'",
        "div_precision_increment": "4",
        "default_week_format": "0",
        "sql_safe_updates": "0",
        "sql_select_limit": "18446744073709551615",
        "sql_quote_show_create": "1",  # grants are read
        "autocommit": "1",
        "completion_type": "'NO_CHAIN'",
        # Some servers have them off for all, as a load of data may; rows must not go or come past the constraints.
        "foreign_key_checks": "1",
        "unique_checks": "1",
        "innodb_lock_wait_timeout": "50",
        "net_write_timeout": str(_PATIENCE_S),
        "net_read_timeout": str(_PATIENCE_S),
        "wait_timeout": str(_PATIENCE_S),
    }
    # However many keys a statement names, they are looked up in the index, and not turned into something else.
    own = (
        {"max_statement_time": "0", "in_predicate_conversion_threshold": "0", "check_constraint_checks": "1"}
        if is_mariadb
        else {"max_execution_time": "0", "range_optimizer_max_mem_size": "0"}
    )
    settings = ", ".join(f"SESSION {name} = {value}" for name, value in {**common, **own}.items())
    return [
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci",
        f"SET {settings}",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
    ]


def quote(name: str) -> str:
    """Return a name as a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(table: Table) -> str:
    """Return a table's name for a statement; of a query, the one for people."""
    return f"{quote(table.schema_name)}.{quote(table.name)}" if table.query is None else table.quoted


def relation(table: Table) -> str:
    """Return what stands in FROM: a table, or a query in brackets, in which a comment at its end swallows nothing."""
    return quoted_table(table) if table.query is None else f"(\n{table.query}\n) AS {quote(QUERY)}"


def literal(text: str) -> str:
    """Return text as a literal."""
    return f"'{escape_string(text)}'"


def schema_of(connection: Connection, name: TableName) -> str:
    """Return the database of a table: the connection's, unless the name says another one."""
    return connection.database if name.schema_name == DEFAULT_SCHEMA else name.schema_name
