"""Connections to PostgreSQL: settings that make values print the same everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

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
# After a minute without a sign of life, each end takes the other for dead: the client stops waiting (without this,
# after two hours), and the server gives back the locks and the snapshot of a client whose machine is gone.
DEAD_AFTER_S = 60
ALIVE = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{DEAD_AFTER_S * 1000}",
}
# Rows that a policy hides are an error, as they are to pg_dump, and not simply missing.
SAFETY = {"row_security": "off"}


def session_statements(*, local: bool = False) -> list[str]:
    """Return the statements with which every Tidegate session begins.

    Args:
        local: They hold for the transaction that is open, and are gone with it.
    """
    how = "SET LOCAL" if local else "SET"
    return [f"{how} {name} = '{value}'" for name, value in {**PRINTING, **TUNING, **ALIVE, **SAFETY}.items()] + [
        # These came with PostgreSQL 17 and 14; older servers do not know them.
        f"SELECT set_config(name, '0', {str(local).lower()}) FROM pg_catalog.pg_settings "
        "WHERE name IN ('transaction_timeout', 'idle_session_timeout')",
    ]


@contextmanager
def session(url: str) -> Iterator[Connection]:
    """Open a connection with Tidegate's settings; it is in autocommit mode, and at the end put back and closed.

    Raises:
        ConfigError: A malformed URL, a wrong password, an unknown database or user, or a server that is too old.
        SourceUnavailable: It could not be reached.
    """
    check_url(url)
    with translated(url):
        connection: Connection = psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="tidegate",
            keepalives_idle=30, keepalives_interval=10, keepalives_count=3, tcp_user_timeout=DEAD_AFTER_S * 1000,
            cursor_factory=psycopg.RawCursor,
        )  # fmt: skip
    try:
        with translated(url):
            if connection.info.server_version < OLDEST_VERSION:
                raise ConfigError(
                    f"{redact(url, url)} runs PostgreSQL {connection.info.server_version // 10000}; "
                    "Tidegate needs 13 or later."
                )
            connection.execute(statement("; ".join([*session_statements(), _as_origin(connection)])))
            yield connection
    finally:
        try:
            _give_back(connection)
        finally:
            connection.close()


def _as_origin(connection: Connection) -> str:
    """Return the statement that has foreign keys checked and triggers fire, where the role may set that.

    Where it may not, nothing is purged (`inspection.purge_obstacles`).
    """
    may = "current_setting('is_superuser')::boolean"
    if connection.info.server_version >= 150000:
        may += " OR has_parameter_privilege('session_replication_role', 'SET')"
    return (
        "SELECT set_config('session_replication_role', 'origin', false) "
        f"WHERE current_setting('session_replication_role') <> 'origin' AND ({may})"
    )


def _give_back(connection: Connection) -> None:
    """Undo what this session has set and locked: behind a pooler, somebody else gets the connection next.

    One on which a statement still runs, or that is lost, is closed as it is.
    """
    if connection.info.transaction_status in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
        return
    with suppress(psycopg.Error):
        connection.rollback()
        connection.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        connection.execute("RESET ALL")


def statement(text: str) -> sql.SQL:
    """Return SQL text built by this package (identifiers quoted, literals made by `literal`) for psycopg."""
    return sql.SQL(text)


def literal(value: object) -> str:
    """Return a Python value as a PostgreSQL literal."""
    return sql.Literal(value).as_string()
