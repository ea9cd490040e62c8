"""Connections to PostgreSQL: settings that make values print the same everywhere, and errors told apart."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import errors, sql

from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

OLDEST_VERSION = 130000

# The digests are over text: whatever decides how a value prints is fixed on every connection that digests.
PRINTING = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "client_encoding": "UTF8",
}
# A wide expression over many rows gains nothing from JIT and pays for its compilation in every window.
TUNING = {"jit": "off", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}


def session_statements() -> list[str]:
    """Return the `SET` statements of every Tidegate session."""
    return [f"SET {name} = '{value}'" for name, value in {**PRINTING, **TUNING}.items()]


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings; it is in autocommit mode and closed at the end.

    Raises:
        ConfigError: Wrong password, unknown database or user, or a server that is too old.
        SourceUnavailable: It could not be reached.
    """
    with translated(url):
        connection: Connection = psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="tidegate",
            keepalives_idle=30, keepalives_interval=10, keepalives_count=3, cursor_factory=psycopg.RawCursor,
        )  # fmt: skip
    try:
        with translated(url):
            if connection.info.server_version < OLDEST_VERSION:
                raise ConfigError(
                    f"{redact(url, url)} runs PostgreSQL {connection.info.server_version // 10000}; "
                    "Tidegate needs 13 or later."
                )
            connection.execute(statement("; ".join(session_statements())))
            yield connection
    finally:
        connection.close()


def statement(text: str) -> sql.SQL:
    """Return SQL text built by this package (identifiers quoted, literals made by `literal`) for psycopg."""
    return sql.SQL(text)  # type: ignore[arg-type]


def literal(value: object) -> str:
    """Return a Python value as a PostgreSQL literal."""
    return sql.Literal(value).as_string()


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn psycopg's errors into Tidegate's, without secrets in their text."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, url) from None


def translate(error: BaseException, url: str) -> TidegateError:
    """Return the Tidegate error for an error of psycopg or connectorx."""
    text = redact(str(error).strip(), url)
    where = redact(url, url)
    lowered = text.lower()
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigError(f"{where}: {text}", next_step="Grant the right that is missing, then run it again.")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
        return ConfigError(f"{where}: {text}")
    if "authentication failed" in lowered or "no password supplied" in lowered:
        return ConfigError(
            f"{where}: {text}", next_step="Check user and password of the source (sources.yaml or its environment)."
        )
    if re.search(r'(database|role) "[^"]*" does not exist', lowered):
        return ConfigError(f"{where}: {text}", next_step="Check user and database of the source in sources.yaml.")
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure | errors.LockNotAvailable):
        return SourceUnavailable(f"{where}: {text}", next_step="Run the same command again.")
    code = getattr(error, "sqlstate", None) or ""
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not code
    if lost or code[:2] in {"08", "53"} or code[:3] == "57P" or _looks_lost(lowered):
        return SourceUnavailable(f"{where}: {text}", next_step="Run the same command again; it resumes.")
    return SourceError(f"{where}: {text}")


def _looks_lost(lowered: str) -> bool:
    signs = ("connection", "timed out", "terminating", "unexpected eof", "broken pipe", "starting up", "shutting down")
    return any(sign in lowered for sign in signs)


def redact(text: str, url: str) -> str:
    """Return `text` without the password of `url`, in whatever form a driver printed it."""
    parsed = psycopg.conninfo.conninfo_to_dict(url).get("password")
    written = re.search(r"://[^:/@\s]*:([^@\s]*)@", url)
    secrets = {str(parsed or ""), written.group(1) if written else ""}
    text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    text = re.sub(r"(password=)\S+", r"\1***", text)
    for secret in secrets:
        if len(secret) > 2:  # a shorter one would blot out half of the text, and is no secret
            text = text.replace(secret, "***")
    return text
