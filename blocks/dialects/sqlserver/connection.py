"""Connections to SQL Server through `pymssql`, if it is installed. Not verified against a server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from blocks.dialects.sqlserver.statements import SETTINGS
from blocks.run_log import log_event
from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError

DEFAULT_PORT = 1433
LOGIN_TIMEOUT_S = 10
# Deadlock, update conflict under SNAPSHOT, lock timeout: somebody else's work.
COLLISIONS = frozenset({1205, 3960, 1222})
_WRONG = frozenset({18456, 4060, 208, 207, 229, 230})  # login, database, table, column, rights
_REFUSED = {547: "Archive or delete the rows that refer to it first.", 334: "", 50000: "Settle its triggers."}
_LOST = re.compile(r"Adaptive Server connection|DBPROCESS is dead|Unexpected EOF|Connection reset|timed out", re.I)


class Connection:
    """An open connection, in autocommit mode; parameters are `%s`, and a `%` of the statement's own is doubled."""

    def __init__(self, driver: Any, url: str) -> None:
        self._driver, self.url = driver, url

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows that a statement gives."""
        return list(self.stream(query, *parameters))

    def stream(self, query: str, *parameters: object, rows: int = 4096) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that a statement gives."""
        for portion in self.portions(query, *parameters, rows=rows):
            yield from portion

    def portions(self, query: str, *parameters: object, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows that a statement gives, so many at once."""
        with translated(self.url), self._driver.cursor() as cursor:
            cursor.execute(query, parameters) if parameters else cursor.execute(query)
            while portion := cursor.fetchmany(rows):
                yield portion

    def run(self, query: str, *parameters: object) -> int:
        """Run a statement and return how many rows it changed."""
        with translated(self.url), self._driver.cursor() as cursor:
            cursor.execute(query, parameters) if parameters else cursor.execute(query)
            return int(cursor.rowcount)


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings; it is closed at the end.

    Raises:
        ConfigError: The driver is not installed, the URL is malformed, or the login is wrong.
        SourceUnavailable: The server could not be reached.
    """
    arguments = connect_arguments(url)
    try:
        pymssql = import_module("pymssql")
    except ImportError:
        raise ConfigError(
            "Sources of type sqlserver need the package pymssql, which is not installed.",
            next_step="pip install pymssql. Mind that this dialect has not been verified against a server.",
        ) from None
    log_event("dialect_not_verified", type="sqlserver", meaning="only the text of its SQL is tested, not on a server")
    with translated(url):
        driver = pymssql.connect(autocommit=True, login_timeout=LOGIN_TIMEOUT_S, appname="tidegate", **arguments)
    try:
        connection = Connection(driver, url)
        for text in SETTINGS:
            connection.run(text)
        yield connection
    finally:
        driver.close()


def connect_arguments(url: str) -> dict[str, Any]:
    """Return what the driver needs to know of a URL: `mssql://user:password@host:1433/database`.

    Raises:
        ConfigError: The URL is malformed; the message shows nothing of what may be a password.
    """
    try:
        parts = urlsplit(url)
        database, port = unquote(parts.path.removeprefix("/")), str(parts.port or DEFAULT_PORT)
    except ValueError:
        database = port = ""
    if not database or parts.query or url.count("@") > 1:
        raise ConfigError(
            "The URL of the source is malformed.",
            next_step="Write mssql://user:password@host:1433/database, signs in user and password that mean something "
            "in a URL percent-encoded (@ is %40, / is %2F).",
        )
    return {
        "server": unquote(parts.hostname or "localhost"),
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": database,
    }


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the driver's errors into Tidegate's, without secrets in their text."""
    try:
        yield
    except (TidegateError, GeneratorExit):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"pymssql", "_mssql"}:
            raise
        raise translate(error, url) from None


def number_of(error: BaseException) -> int:
    """Return the server's number of an error, or 0."""
    return int(error.args[0]) if error.args and isinstance(error.args[0], int) else 0


def translate(error: BaseException, url: str) -> TidegateError:
    """Return the Tidegate error for an error of the driver."""
    number, text = number_of(error), str(error)
    password = unquote(urlsplit(url).password or "")
    if len(password) > 2:
        text = text.replace(password, "***")
    what = f"SQL Server: {text}"
    if number in COLLISIONS:
        return Locked(what, next_step="Run the same command again; it resumes.")
    if number in _WRONG:
        return ConfigError(what, next_step="Check the connection of the source, its table and its rights.")
    if number in _REFUSED:
        return SourceError(what, next_step=_REFUSED[number])
    if _LOST.search(text):
        return SourceUnavailable(what, next_step="Run the same command again; it resumes.")
    return SourceError(what)


class Locked(SourceUnavailable):
    """Somebody else's lock, a deadlock or an update conflict."""
