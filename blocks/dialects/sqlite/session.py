"""Connections to a SQLite file: the file that a URL names, never made by accident, and settings that keep it safe."""

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from blocks.dialects.sqlite.fields import add_functions
from blocks.dialects.sqlite.source_errors import translated
from schemas.errors import ConfigError

SCHEME = "sqlite:///"
OLDEST_VERSION = (3, 37, 0)  # of which `PRAGMA table_list` and STRICT tables are known
BUSY_TIMEOUT_S = 5.0

Connection = sqlite3.Connection


def database_path(url: str) -> Path:
    """Return the file that a URL names: `sqlite:////var/shop.db`. Relative ones were resolved with the configuration.

    Links are followed, as SQLite follows them, so that one database has one path.

    Raises:
        ConfigError: It names no file.
    """
    text = url.removeprefix(SCHEME)
    problem = ""
    if text == url or not text or text == ":memory:":
        problem = "names no file"
    elif "?" in text or "#" in text:
        problem = "takes no parameters"
    elif not unquote(text).startswith("/"):
        problem = "is relative to nothing"
    elif unquote(text).endswith("/") or "\0" in unquote(text):
        problem = "names no file"
    if problem:
        raise ConfigError(
            f"The URL of the source {problem}: {url}",
            next_step="Write sqlite:////absolute/path.db, or in sources.yaml sqlite:///path.db, counted from the "
            "project's folder; ? and # in a name are %3F and %23, a space is %20.",
        )
    return Path(os.path.realpath(unquote(text)))


@contextmanager
def session(path: Path, *, write: bool = False) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings and functions; it is in autocommit mode and closed at the end.

    Args:
        path: The database.
        write: Whether rows may be changed. Otherwise the connection refuses it; but the file is opened for writing
            all the same where that is allowed, as what a crashed writer left has to be rolled back by its next reader.

    Raises:
        ConfigError: There is no such file, it is no database, or it may not be read.
        SourceUnavailable: Somebody else has it locked.
    """
    if sqlite3.sqlite_version_info < OLDEST_VERSION:
        raise ConfigError(f"Python has SQLite {sqlite3.sqlite_version}; Tidegate needs 3.37 or later.")
    _check_file(path)
    with translated(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S,
            check_same_thread=False,
        )  # fmt: skip
    try:
        with translated(path):
            add_functions(connection)
            # As in the application, so that no row is orphaned. What would cascade is an obstacle to a purge.
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
            (encoding,) = one(connection, "PRAGMA encoding")  # reads the file: what is no database fails here
            if encoding != "UTF-8":
                raise ConfigError(
                    f"{path} is encoded in {encoding}; only UTF-8 databases are kept exactly.",
                    next_step="Convert it: dump it with `sqlite3 FILE .dump` and load it into a new database.",
                )
            yield connection
    finally:
        connection.close()


def _check_file(path: Path) -> None:
    try:
        what = "" if path.is_file() else "is a folder" if path.is_dir() else "is not there"
        names = 1 if what else path.stat().st_nlink
    except OSError as error:
        what = f"cannot be reached: {error.strerror}"
    if what:
        raise ConfigError(
            f"The database file {path} {what}.",
            next_step="Correct the source's url in sources.yaml (sqlite:////absolute/path.db).",
        )
    if names > 1:
        # https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same file"; and ours would be two locks.
        raise ConfigError(
            f"The database file {path} has {names} names (hard links). SQLite keeps its journal beside the name by "
            "which it is opened, so what others write by another name may be missing here, and both would damage it.",
            next_step=f"Leave it one name: `find / -xdev -samefile {shlex.quote(str(path))}` finds the others. A copy "
            "is made by `cp`, or by VACUUM INTO while it is in use.",
        )


def one(connection: Connection, query: str, *parameters: object) -> Any:
    """Return the first row of a query that always gives one."""
    return connection.execute(query, parameters).fetchone()


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Hold the one write transaction that a database has; commit at the end, roll back on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, have rolled it back already
            connection.execute("ROLLBACK")
        raise
