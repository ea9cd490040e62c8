"""An operator's query in the place of a table: what SQLite knows of its result.

A column that is a table's own has the type that the table declares. Of one that is computed SQLite knows none: it is
stored as what its first values are, and values of another kind are refused by name, unless it is kept as text.
"""

import re
import sqlite3
from collections import Counter

from blocks.dialects.sqlite.catalog import SAMPLE_ROWS, with_format
from blocks.dialects.sqlite.session import Connection
from blocks.dialects.sqlite.types import plan_column, relation
from blocks.query_columns import NEXT_STEP, check_names
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError
from schemas.table import QUERY, Table
from schemas.table_name import TableName

# SQLite tells columns of one name apart by a number: id, id:1.
_NUMBERED = re.compile(r"(.*):\d+", re.DOTALL)
# What SQLite from 3.41 on says of a computed column of which it knows no more; before, it says nothing.
_VAGUE = frozenset({"", "BLOB", "NUM"})
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_SCHEMA})


def describe_query(connection: Connection, name: TableName, query: str, label: str) -> Table:
    """Return what the query gives; its first rows are read for that.

    A view of it is made for a moment, outside of the database: nothing but one query can be a view.

    Raises:
        ConfigError: It is none, or SQLite refuses it, or its columns cannot be told apart.
    """
    table = Table.of_query(query, name.schema_name, name.name, (), utf8=True)
    try:
        declared = _declared(connection, query)
        check_names([_without_number(column, declared) for column in declared], label)
        found = _storage_classes(connection, table, list(declared))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _PASSING:
            raise
        raise ConfigError(f"{label}: {error}", next_step=NEXT_STEP) from None
    except (sqlite3.ProgrammingError, sqlite3.Warning, ValueError) as error:
        raise ConfigError(f"{label}: {error}", next_step=NEXT_STEP) from None
    columns = tuple(
        with_format(
            connection, relation(table), table.alias,
            plan_column(column, found[column] if kind.upper() in _VAGUE else kind, nullable=True), backwards=False,
        )
        for column, kind in declared.items()
    )  # fmt: skip
    return table.model_copy(update={"columns": columns})


def _declared(connection: Connection, query: str) -> dict[str, str]:
    """Return the declared type of each column, or "" for one that is computed."""
    view = f"temp.{quote_identifier(QUERY)}"
    connection.execute("PRAGMA query_only = OFF")
    try:
        connection.execute(f"CREATE TEMP VIEW {quote_identifier(QUERY)} AS\n{query}\n")
        try:
            rows = connection.execute(f"PRAGMA temp.table_xinfo({quote_identifier(QUERY)})").fetchall()
        finally:
            connection.execute(f"DROP VIEW {view}")
    finally:
        connection.execute("PRAGMA query_only = ON")
    return {column: declared for _, column, declared, *_ in rows}


def _without_number(column: str, columns: dict[str, str]) -> str:
    numbered = _NUMBERED.fullmatch(column)
    return numbered.group(1) if numbered and numbered.group(1) in columns else column


def _storage_classes(connection: Connection, table: Table, columns: list[str]) -> dict[str, str]:
    """Return the one storage class of a column's first values; "", which promises nothing, for several or none."""
    kinds = ", ".join(f"typeof({table.alias}.{quote_identifier(column)})" for column in columns)
    rows = connection.execute(f"SELECT {kinds} FROM {relation(table)} LIMIT {SAMPLE_ROWS}").fetchall()
    found = {}
    for column, values in zip(columns, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True):
        classes = Counter(values).keys() - {"null"}
        found[column] = classes.pop().upper() if len(classes) == 1 else ""
    return found
