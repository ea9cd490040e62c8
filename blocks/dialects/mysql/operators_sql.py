"""The operator's own SQL: a predicate, or a column's expression, which stands in every statement as it was written."""

import re

import pymysql

from blocks.dialects.mysql.session import Connection

# Text, names and comments, in which brackets mean nothing; then the brackets, and what may not be there at all.
_TOKEN = re.compile(
    r"""(?P<quiet>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|`(?:[^`]|``)*`|--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?![!M]).*?\*/)
    |(?P<open>\()|(?P<close>\))|(?P<bad>'|"|`|/\*|;)""",
    re.DOTALL | re.VERBOSE,
)


def check_expression(connection: Connection, table: str, expression: str) -> None:
    """Refuse text that is anything but one expression over a row of the table. Nothing is executed.

    Text that closes a bracket of the statement around it (`true) OR (true`) would tear down the bounds of a window.
    A comment at its end is ended by the line. The server allows neither aggregates nor window functions in a WHERE.

    Args:
        connection: To the database.
        table: The table's quoted name.
        expression: SQL from the configuration.

    Raises:
        pymysql.Error: What the server says about it, or what is wrong with its brackets.
    """
    check_brackets(expression)
    connection.rows(f"EXPLAIN SELECT 1 FROM {table} WHERE (\n{expression}\n) IS NOT NULL")


def check_brackets(text: str) -> None:
    """Refuse text that closes a bracket around it, or ends the statement that it stands in.

    Raises:
        pymysql.ProgrammingError: It says what is wrong.
    """
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["bad"]:
            raise pymysql.ProgrammingError(1064, f"{token['bad']} is not ended, or may not stand here")
        depth += bool(token["open"]) - bool(token["close"])
        if depth < 0:
            raise pymysql.ProgrammingError(1064, "it closes a bracket that it did not open")
    if depth:
        raise pymysql.ProgrammingError(1064, "it opens a bracket that it does not close")


def without_quotes(text: str) -> str:
    """Return the text without what stands in quotes or comments."""
    return _TOKEN.sub(lambda token: " " if token["quiet"] else token.group(), text)
