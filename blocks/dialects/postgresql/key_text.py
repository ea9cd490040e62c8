"""Keys that people write, read as PostgreSQL reads them: `A0EE…` finds the uuid `a0ee…`, `042` the number 42."""

import psycopg

from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.types import value_expression
from schemas.column_plan import Column
from schemas.errors import ConfigError
from schemas.restore import UNTOUCHED

# A cast to these with a modifier rounds or cuts without a word: varchar(5), numeric(12,4), timestamp(0).
_CUT = frozenset({"varchar", "bpchar", "bit", "varbit", "numeric", "time", "timetz", "timestamp", "timestamptz"})


def canonical_key(connection: Connection, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
    """Return a key's values as the text that stands in the lake, or None if no row can have that key.

    Args:
        connection: To a database of the source's kind.
        columns: The key's columns.
        values: Their values as somebody wrote them.

    Raises:
        ConfigError: A value cannot be read as its column's type.
    """
    texts: list[str] = []
    for column, value in zip(columns, values, strict=True):
        typed = f"$1::text::{column.source_type}"
        kept = f"$1::text::{column.base_type} = {typed}" if column.base_type in _CUT else "true"
        try:
            found = connection.execute(
                statement(f"SELECT ({value_expression(column, f'({typed})')})::text, {kept}"), [value]
            ).fetchone()
        except psycopg.DataError as error:
            raise ConfigError(
                f"The key {value!r} is no value of {column.name} ({column.source_type}): {str(error).splitlines()[0]}",
                state=UNTOUCHED,
                next_step="Correct the key and run it again.",
            ) from None
        assert found is not None
        if not found[1]:
            return None
        texts.append(found[0])
    return texts
