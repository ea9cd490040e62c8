"""What has effects in a source: the calls of each database's driver through which statements go."""

import functools
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pymysql
from service_effects import Recorder, nothing, wrap

Call: TypeAlias = tuple[AbstractContextManager[None] | None, tuple[Any, ...]]

_LOCK_FILE = re.compile(r"-tidegate-[0-9a-f]{8}\.lock$")


def record_postgresql(recorder: Recorder) -> None:
    """Record what goes through psycopg."""

    def statement(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any) -> Call:
        text = query.as_string() if hasattr(query, "as_string") else query
        text = text.decode() if isinstance(text, bytes) else text
        return recorder.statement(cursor.connection, text), (cursor, query, *arguments)

    # psycopg.RawCursor, of which Tidegate's cursors are, inherits these.
    wrap(psycopg.Cursor, "execute", statement)
    wrap(psycopg.Cursor, "executemany", statement)
    wrap(psycopg.Connection, "commit", lambda connection: (recorder.committing(connection), (connection,)))
    copying, beginning = psycopg.Cursor.copy, psycopg.Connection.transaction

    @contextmanager
    def copy(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
        effect, _ = statement(cursor, query)
        with effect or nothing(), copying(cursor, query, *arguments, **options) as copied:
            yield copied

    @contextmanager
    def transaction(
        connection: psycopg.Connection[Any], *arguments: Any, **options: Any
    ) -> Iterator[psycopg.Transaction]:
        recorder.begins(connection)
        opened = beginning(connection, *arguments, **options)
        inner = opened.__enter__()
        try:
            yield inner
        except BaseException as error:
            if not opened.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            with recorder.committing(connection) or nothing():
                opened.__exit__(None, None, None)

    psycopg.Cursor.copy = copy  # type: ignore[method-assign, assignment]
    psycopg.Connection.transaction = transaction  # type: ignore[method-assign, assignment]


def record_mysql(recorder: Recorder) -> None:
    """Record what goes through PyMySQL: a query and its answer, or a command that somebody sends by himself."""

    def text_of(query: str | bytes | bytearray) -> str:
        return query if isinstance(query, str) else query.decode(errors="replace")

    def statement(connection: Any, query: str | bytes, *arguments: Any) -> Call:
        return recorder.statement(connection, text_of(query)), (connection, query, *arguments)

    def command(connection: Any, number: int, query: str | bytes) -> Call:
        is_query = number == pymysql.constants.COMMAND.COM_QUERY and recorder.current is None
        return recorder.statement(connection, text_of(query)) if is_query else None, (connection, number, query)

    wrap(pymysql.connections.Connection, "query", statement)
    wrap(pymysql.connections.Connection, "_execute_command", command)


def record_sqlite(recorder: Recorder) -> None:
    """Record what goes through Python's sqlite3, what closing a connection moves, and the archiver's lock file."""

    class Cursor(sqlite3.Cursor):
        def execute(self, text: str, parameters: Any = ()) -> "Cursor":
            with recorder.statement(self.connection, text) or nothing():
                super().execute(text, parameters)
            return self

        def executemany(self, text: str, parameters: Iterable[Any]) -> "Cursor":
            with recorder.statement(self.connection, text) or nothing():
                super().executemany(text, parameters)
            return self

        def executescript(self, text: str) -> "Cursor":
            with recorder.effect("source", "SCRIPT", text[:120]):
                super().executescript(text)
            return self

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, text: str, parameters: Any = ()) -> sqlite3.Cursor:
            return Cursor(self).execute(text, parameters)

        def executemany(self, text: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
            return Cursor(self).executemany(text, parameters)

        def executescript(self, text: str) -> sqlite3.Cursor:
            return Cursor(self).executescript(text)

        def commit(self) -> None:
            with recorder.committing(self) or nothing():
                super().commit()

        def close(self) -> None:
            """The last one to go moves what is in the write-ahead log into the database."""
            (file,) = (Path(file) for _, name, file in super().execute("PRAGMA database_list") if name == "main")
            log = file.with_name(f"{file.name}-wal")
            moves = recorder.effect("source", "CLOSE", "") if log.exists() and log.stat().st_size else nothing()
            with moves:
                super().close()

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]

    def lock_file(what: str, path: Any, *arguments: Any) -> Call:
        is_lock = isinstance(path, str | Path) and _LOCK_FILE.search(str(path))
        return recorder.effect("source", what, str(path)) if is_lock else None, (path, *arguments)

    wrap(os, "open", functools.partial(lock_file, "lock"))
    wrap(os, "unlink", functools.partial(lock_file, "unlock"))
