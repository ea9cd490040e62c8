"""What a process that archives small tables thousands of times need not do each time: the same work, quicker.

Nothing of what is under test is replaced: DuckDB, PostgreSQL, the configuration and the lake's files are the real
ones. They are opened once (a DuckDB costs 12 ms, a connection 10), read once (YAML 5 ms), and not flushed (a power cut
is not tested here).
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import psycopg

from blocks.lake_paths import check_path
from schemas.project import Project

_CONNECTIONS = 200  # of one DuckDB, each with a database of its own
# DISCARD ALL, but for the prepared statements, of which psycopg keeps a list.
_FORGET = "CLOSE ALL; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP"


@contextmanager
def shortcuts() -> Iterator[None]:
    """Take the shortcuts while the block runs."""
    connections = _Connections()
    with (
        patch.object(duckdb, "connect", _Databases().connect),
        patch.object(psycopg, "connect", connections.connect),
        patch.object(Project, "load", _Projects().load),
        patch.object(os, "fsync", lambda descriptor: None),
        patch("blocks.local_lake.check_path", functools.cache(check_path)),
    ):
        try:
            yield
        finally:
            connections.close()


class _Databases:
    """In-memory databases of one DuckDB."""

    def __init__(self) -> None:
        self._open = duckdb.connect
        self._number = 0
        self._duck: duckdb.DuckDBPyConnection

    def connect(self, *arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        if self._number % _CONNECTIONS == 0:
            options["config"] = {"threads": 1, **options.get("config", {})}
            options["config"].pop("temp_directory", None)  # this DuckDB outlives it
            self._duck = self._open(*arguments, **options)
        self._number += 1
        connection = self._duck.cursor()
        connection.execute(f"ATTACH ':memory:' AS database_{self._number}; USE database_{self._number}")
        return connection


class _Projects:
    """Configurations as they were read, until their files change."""

    def __init__(self) -> None:
        self._load = Project.load
        self._known: dict[tuple[object, ...], Project] = {}

    def load(self, config_dir: Path | str) -> Project:
        files = sorted(Path(config_dir).glob("*.yaml"))
        state = (str(config_dir), *(file.stat().st_mtime_ns for file in files))
        if state not in self._known:
            self._known = {state: self._load(config_dir)}
        return self._known[state]


class _Connections:
    """Connections that are handed out again when they were closed, without anything of their former session."""

    def __init__(self) -> None:
        self._open = psycopg.connect
        self._execute = psycopg.Cursor.execute  # the one that works for the dead, too (`service_crash`)
        self._free: dict[str, list[psycopg.Connection[Any]]] = {}

    def connect(self, url: str, **options: Any) -> psycopg.Connection[Any]:
        kind = f"{url} {options}"
        if self._free.get(kind):
            return self._free[kind].pop()
        connection = self._open(url, **options)
        if options.get("autocommit"):  # the others are few, and users'
            connection.close = lambda: self._take_back(kind, connection)  # type: ignore[method-assign]
        return connection

    def close(self) -> None:
        for connection in (c for free in self._free.values() for c in free):
            psycopg.Connection.close(connection)
        self._free.clear()

    def _take_back(self, kind: str, connection: psycopg.Connection[Any]) -> None:
        if connection.closed or connection in self._free.setdefault(kind, []):
            return
        connection.rollback()
        self._execute(connection.cursor(), _FORGET)
        self._free[kind].append(connection)
