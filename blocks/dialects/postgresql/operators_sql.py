"""The operator's own SQL: a predicate, or a column's expression, which stands in every statement as it was written."""

from blocks.dialects.postgresql.session import Connection, statement


def check_expression(connection: Connection, table: str, expression: str) -> None:
    """Refuse text that is anything but one expression over a row of the table. Nothing is executed.

    Text that closes a bracket of the statement around it (`true) OR (true`) would tear down the bounds of a window.
    Brackets of all kinds nest in SQL, so what closes one of a kind early is a syntax error between those of the
    other: text that passes between both closes neither. A comment at its end is ended by the line. The server
    prepares one statement only, so that a second one is refused, and allows neither aggregates nor window functions
    nor functions that give several rows in a WHERE.

    Args:
        connection: To the database.
        table: The table's quoted name.
        expression: SQL from the configuration.

    Raises:
        psycopg.Error: What the server says about it.
    """
    for left, right in (("(", ")"), ("ARRAY[", "]")):
        query = f"EXPLAIN SELECT FROM {table} WHERE {left}\n{expression}\n{right} IS NOT NULL"
        connection.execute(statement(query), prepare=True)
