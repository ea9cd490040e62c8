"""Rows on their way into a table of PostgreSQL: as CSV, in which every valid value is quoted, and NULL is not."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from pyarrow import csv

from blocks.dialects.postgresql.session import Connection, statement
from blocks.progress import report_progress
from blocks.warehouse.connect import one, rows, run
from schemas.column_plan import quote_identifier
from schemas.errors import Busy, ProofFailed, TidegateError
from schemas.table_name import TableName
from schemas.window import ALWAYS

_FORM = csv.WriteOptions(include_header=False, quoting_style="all_valid")


@dataclass(frozen=True, slots=True)
class Incoming:
    """The rows of a dataset for a table.

    Attributes:
        types: Name and type in PostgreSQL of each column, in the order of the batches'.
        batches: The rows, each value as the text that PostgreSQL reads.
        expected: How many rows there have to be.
    """

    types: dict[str, str]
    batches: Iterable[pa.RecordBatch]
    expected: int

    @property
    def definitions(self) -> str:
        """The columns as CREATE TABLE has them."""
        return ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in self.types.items())

    @property
    def names(self) -> str:
        """The columns' names, as SQL."""
        return ", ".join(quote_identifier(name) for name in self.types)


def only_one(connection: Connection, table: TableName) -> None:
    """Keep other runs from publishing to a table until the transaction ends.

    Raises:
        Busy: Another one does it now.
    """
    [(mine,)] = rows(
        connection, "SELECT pg_try_advisory_xact_lock(hashtextextended($1::text, 0))", f"tidegate publish {table}"
    )
    if not mine:
        raise Busy(
            f"Another run is publishing {table} now.",
            state=f"{table} is as it was.",
            next_step="Wait until it has finished; then the same command goes on from there.",
        )


def copy_rows(connection: Connection, place: str, incoming: Incoming, *, freeze: bool) -> None:
    """Copy rows into an empty table, and find that all of them have arrived.

    Args:
        connection: In a transaction.
        place: The table's name, as SQL.
        incoming: The rows.
        freeze: Whether every transaction, also one that began before, is to see them once they are committed. The
            table has to be one that this transaction has made.

    Raises:
        ProofFailed: Not all rows of the lake were read, or not all have arrived.
    """
    options = "FORMAT csv" + (", FREEZE" if freeze else "")
    sent = 0
    text = f"COPY {place} ({incoming.names}) FROM STDIN ({options})"
    with connection.cursor().copy(statement(text)) as copy:
        for batch in incoming.batches:
            lines = pa.BufferOutputStream()
            csv.write_csv(batch, lines, _FORM)
            copy.write(memoryview(lines.getvalue()))
            sent += batch.num_rows
            report_progress("publish", ALWAYS, sent, incoming.expected, what=place)
    found = one(connection, f"SELECT count(*) FROM {place}")
    if not incoming.expected == sent == found:
        raise ProofFailed(
            f"The lake counts {incoming.expected} rows, {sent} were read from it, and {found} are in the database.",
            next_step="Run the same command again; if it happens again, please report it.",
        )


def make_schema(connection: Connection, table: TableName) -> None:
    """Make the schema of a table if it is not there, in a transaction of its own: other tables wait for it."""
    if rows(connection, "SELECT 1 FROM pg_namespace WHERE nspname = $1", table.schema_name):
        return
    with connection.transaction():
        run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('tidegate schema', 0))")
        run(connection, f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(table.schema_name)}")


class Refused(TidegateError):
    """PostgreSQL does not take the rows as they are."""


def refusal_of(
    error: psycopg.Error, table: TableName, doing: str, names: Mapping[str, str] | None = None
) -> TidegateError | None:
    """Return what it means that PostgreSQL objects to rows, or None if it objects to something else.

    Args:
        error: What it says.
        table: The table.
        doing: What was being done.
        names: Names that are of our own making, and those that people know the same things by.
    """
    code = error.sqlstate or ""
    if not code.startswith(("22", "23", "54", "42701", "42P16", "42804", "0A")):
        return None
    told = str(error).strip()
    with suppress(AttributeError):
        told = "; ".join(filter(None, [error.diag.message_primary, error.diag.message_detail, error.diag.context]))
    for ours, known in (names or {}).items():
        told = told.replace(ours, known)
    return Refused(
        f"{table} does not take what the lake has ({doing}): {told}",
        state=f"{table} is as it was.",
        next_step="Correct the pipeline that makes the rows, or what the table demands of them; then publish again.",
    )
