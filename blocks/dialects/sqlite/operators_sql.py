"""The operator's own SQL: a predicate, or a column's expression, which stands in every statement as it was written."""

import re
import sqlite3

from blocks.dialects.sqlite.session import Connection
from blocks.dialects.sqlite.types import relation
from schemas.table import Table

# Texts, comments and names in the other quotes are passed over; what is found is a name in double quotes.
_QUOTED = re.compile(
    r"""'(?:[^']|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)|`(?:[^`]|``)*`|\[[^\]]*\]|"(?P<name>(?:[^"]|"")*)\"""", re.DOTALL
)


class WrongExpression(Exception):
    """The text is not one expression over a row of the table; says why."""


def check_expression(connection: Connection, table: Table, expression: str) -> None:
    """Refuse text that is anything but one expression over a row of the table. Nothing is executed.

    Text that closes a bracket of the statement around it (`true) OR (true`) would tear down the bounds of a window.
    So it has to stand in brackets as well as between CASE WHEN and THEN: what closes one of them early is a syntax
    error in the other. A comment at its end is ended by the line. Python's driver takes one statement only, and
    SQLite allows neither aggregates nor window functions in a WHERE.

    Raises:
        WrongExpression: It says what SQLite says about it.
    """
    for left, right in (("(", ")"), ("(CASE WHEN", "THEN 1 END)")):
        query = f"EXPLAIN SELECT 1 FROM {relation(table)} WHERE {left}\n{expression}\n{right} IS NOT NULL"
        try:
            connection.execute(query).close()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise WrongExpression(str(error)) from None
    _check_names(table, expression)


def _check_names(table: Table, expression: str) -> None:
    """Refuse a name in double quotes that is no column: SQLite would take it for a text, and compare with that."""
    known = {name.casefold() for name in (*(c.name for c in table.columns), table.name, table.schema_name)}
    for found in _QUOTED.finditer(expression):
        name = found["name"]
        if name is not None and name.replace('""', '"').casefold() not in known:
            raise WrongExpression(
                f'"{name}" is no column of {table.name}; SQLite would take it for a text. '
                "Write a text in single quotes, and the name of something else without quotes or in [ ]"
            )
