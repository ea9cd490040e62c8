"""Connections to PostgreSQL: settings that make values print the same everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from blocks.dialects.postgresql.source_errors import check_url, redact, translate, translated
from schemas.errors import ConfigError

__all__ = ["Connection", "literal", "session", "session_statements", "statement", "translate", "translated"]

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
    "array_nulls": "on",  # how arrays are read, not printed: without it, a NULL goes back as the text NULL
    "quote_all_identifiers": "off",
    "client_encoding": "UTF8",
}
# A wide expression over many rows gains nothing from JIT and pays for its compilation in every window.
TUNING = {"jit": "off", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
# Rows that a policy hides are an error, as they are to pg_dump, and not simply missing.
SAFETY = {"row_security": "off"}


def session_statements() -> list[str]:
    """Return the statements with which every Tidegate session begins."""
    return [f"SET {name} = '{value}'" for name, value in {**PRINTING, **TUNING, **SAFETY}.items()] + [
        # PostgreSQL 17 and later; older ones do not know the setting.
        "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'",
    ]


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings; it is in autocommit mode and closed at the end.

    Raises:
        ConfigError: A malformed URL, a wrong password, an unknown database or user, or a server that is too old.
        SourceUnavailable: It could not be reached.
    """
    check_url(url)
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
    return sql.SQL(text)


def literal(value: object) -> str:
    """Return a Python value as a PostgreSQL literal."""
    return sql.Literal(value).as_string()
