"""What SQL Server's catalog says of a table. Not verified against a server."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from blocks.dialects.sqlserver import statements as sql
from blocks.dialects.sqlserver.connection import Connection
from blocks.dialects.sqlserver.types import TypeInfo, plan_column
from schemas.column_plan import Column, quote_identifier
from schemas.errors import ConfigError
from schemas.restore_target import Target
from schemas.table import ForeignKey, Table
from schemas.table_name import DEFAULT_SCHEMA, TableName

SCHEMA = "dbo"


def describe(connection: Connection, name: TableName) -> Table:
    """Return what the catalog says of the table.

    Raises:
        ConfigError: There is no such table, it is a view, or one of its types is unknown.
    """
    return _described(connection, name)[0]


def target(connection: Connection, name: TableName) -> Target:
    """Return the table that is to receive rows."""
    table, defaults = _described(connection, name)
    return Target(table, defaults, frozenset(column.name for column in table.columns if not column.generated))


def _described(connection: Connection, name: TableName) -> tuple[Table, frozenset[str]]:
    schema = SCHEMA if name.schema_name == DEFAULT_SCHEMA else name.schema_name
    quoted = f"{quote_identifier(schema)}.{quote_identifier(name.name)}"
    found = connection.rows(sql.TABLE, quoted, quoted, schema, name.name)
    if not found:
        raise ConfigError(
            f"There is no table {schema}.{name.name} in this database.",
            next_step="Check `table` in the configuration; a table without a schema is one of dbo.",
        )
    ((number, kind, may_select, may_delete, temporal),) = found
    if kind.strip() != "U" or temporal:
        raise ConfigError(
            f"{quoted} is {'a temporal table: a DELETE only moves its rows' if temporal else 'a view'}.",
            next_step="Name the table behind it.",
        )
    rows = connection.rows(sql.COLUMNS, number)
    columns = tuple(
        plan_column(column, TypeInfo(*info), nullable=bool(nullable), generated=bool(computed))
        for column, *info, nullable, computed, _ in rows
    )
    keys: dict[int, tuple[bool, list[str], bool]] = {}
    for index, primary, column, nullable in connection.rows(sql.KEYS, number):
        known = keys.get(index, (bool(primary), [], True))
        keys[index] = (known[0], [*known[1], column], known[2] and not nullable)
    table = Table(
        schema_name=schema,
        name=name.name,
        columns=columns,
        primary_key=next((tuple(names) for primary, names, _ in keys.values() if primary), ()),
        unique_keys=tuple(frozenset(names) for _, names, not_null in keys.values() if not_null),
        kind="r",
        inherited=False,
        may_select=may_select == 1,
        may_delete=may_delete == 1,
        referenced_by=referenced_by(connection.rows(sql.REFERENCED_BY, number)),
        utf8=True,
    )
    return table, frozenset(column for column, *_, default in rows if default)


def referenced_by(rows: Iterable[tuple[Any, ...]]) -> tuple[ForeignKey, ...]:
    """Return the foreign keys of which each row tells a column, in their order."""
    return tuple(
        ForeignKey(
            name=name,
            table=str(TableName(schema, table)),
            columns=tuple(here for *_, here, _ in pairs),
            referenced=tuple(there for *_, there in pairs),
            on_delete=on_delete.replace("_", " ").lower(),
            enforced=not disabled,
        )
        for (schema, table, name, on_delete, disabled), group in groupby(rows, key=lambda row: row[:5])
        for pairs in [list(group)]
    )


def derived_column(connection: Connection, table: Table, name: str, expression: str) -> Column:
    """Return how the value of an operator's expression is stored.

    Raises:
        ConfigError: The text is not one expression over a row of this table.
    """
    info = check_expression(connection, sql.one_value(table, expression), f"columns.derive.{name}")
    return plan_column(name, info, nullable=True, derived=expression)


def check_expression(connection: Connection, forms: tuple[str, str], where: str) -> TypeInfo:
    """Refuse text that is anything but one expression, and return the type of what the first form gives.

    Raises:
        ConfigError: It says what the server says about it.
    """
    for form in reversed(forms):
        ((problem, full, length, precision, scale, base),) = connection.rows(sql.DESCRIBE, form)
        if problem:
            raise ConfigError(f"{where}: {problem}", next_step="Correct it; it stands as it is.")
    name = full.partition("(")[0]
    return TypeInfo(base or name, base or name, length, precision, scale)


def delete_triggers(connection: Connection, table: Table) -> list[tuple[str, bool]]:
    """Return the triggers that a DELETE fires, and whether they take its place."""
    ((number,),) = connection.rows("SELECT OBJECT_ID(%s)", table.quoted)
    return [(name, bool(instead)) for name, instead in connection.rows(sql.TRIGGERS, number)]
