"""What MariaDB's and MySQL's catalog says of a table: its columns, keys, rights, and who depends on its rows."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pymysql
from pymysql.constants import FIELD_TYPE, FLAG

from blocks.dialects.mysql.operators_sql import check_expression
from blocks.dialects.mysql.session import Connection, literal, quote, quoted_table, relation, schema_of
from blocks.dialects.mysql.source_errors import code_of
from blocks.dialects.mysql.types import TypeInfo, plan_column
from blocks.dialects.mysql.wire import Field, fields
from schemas.column_plan import Column
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.table import ForeignKey, Table
from schemas.table_name import TableName

_SHOWN_TABLES = 10
_DENIED = frozenset({1044, 1142, 1143})
_NO_SUCH = frozenset({1146})
_BINARY_CHARSET = 63


def describe(connection: Connection, name: TableName) -> Table:
    """Return what the catalog says of the table.

    Raises:
        ConfigError: There is no such table, or it is not a table (a view, say), or one of its types is unknown.
    """
    schema = schema_of(connection, name)
    place = f"TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(name.name)}"
    # The catalog does not tell capitals from small letters; the letter counts.
    found = [
        kind
        for there, kind in connection.rows(
            f"SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE {place}"
        )
        if there == name.name
    ]
    if not found:
        raise _no_such_table(connection, schema, name.name)
    if found[0] not in {"BASE TABLE", "SYSTEM VERSIONED"}:
        raise ConfigError(f"{schema}.{name.name} is not a table ({found[0]}).", next_step="Name the table behind it.")
    columns = tuple(_column(*row) for row in connection.rows(f"{_COLUMNS} WHERE {place} ORDER BY ORDINAL_POSITION"))
    keys = unique_keys(connection, schema, name.name)
    table = Table(
        schema_name=schema,
        name=name.name,
        columns=columns,
        primary_key=keys.get("PRIMARY", ()),
        unique_keys=tuple(frozenset(names) for names in keys.values()),
        kind="r",
        inherited=False,
        may_select=True,
        may_delete=True,
        referenced_by=tuple(_referenced_by(connection, schema, name.name)),
        utf8=True,
    )
    rights = {
        "may_select": _may(
            connection, f"SELECT {', '.join(quote(c.name) for c in columns)} FROM {quoted_table(table)} LIMIT 0"
        ),
        "may_delete": _may(connection, f"EXPLAIN DELETE FROM {quoted_table(table)} WHERE 1 = 0"),
    }
    return table.model_copy(update=rights)


_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA
FROM information_schema.COLUMNS"""


def _column(
    name: str, base: str, full: str, precision: int, scale: int, charset: str, nullable: str, extra: str
) -> Column:
    info = TypeInfo(_text(base).lower(), _text(full), int(precision or 0), int(scale or 0), charset or "")
    # MySQL's DEFAULT_GENERATED is a default, not a generated column.
    generated = " GENERATED" in f" {extra.upper()}"
    return plan_column(name, info, nullable=nullable == "YES", generated=generated)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)  # MySQL 8 sends some of the catalog as blobs


def unique_keys(connection: Connection, schema: str, name: str) -> dict[str, tuple[str, ...]]:
    """Return the unique indexes, by name, whose columns are all NOT NULL and all there to the last character."""
    rows = connection.rows(
        "SELECT INDEX_NAME, COLUMN_NAME, NULLABLE, SUB_PART FROM information_schema.STATISTICS "
        f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(name)} AND NON_UNIQUE = 0 "
        "ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    )
    keys: dict[str, list[str]] = {}
    unfit = set()
    for index, column, nullable, sub_part in rows:
        keys.setdefault(index, []).append(column)
        if column is None or nullable == "YES" or sub_part is not None:
            unfit.add(index)
    return {index: tuple(names) for index, names in keys.items() if index not in unfit}


def collations(connection: Connection, table: Table) -> dict[str, str]:
    """Return by what rules the table's columns of text are compared."""
    return dict(
        connection.rows(
            "SELECT COLUMN_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE COLLATION_NAME IS NOT NULL "
            f"AND TABLE_SCHEMA = {literal(table.schema_name)} AND TABLE_NAME = {literal(table.name)}"
        )
    )


def _referenced_by(connection: Connection, schema: str, name: str) -> Iterator[ForeignKey]:
    """Yield the foreign keys that point at a table; InnoDB sees to it that each has an index."""
    rows = connection.rows(
        "SELECT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.CONSTRAINT_NAME, r.DELETE_RULE, k.COLUMN_NAME, "
        "k.REFERENCED_COLUMN_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS AS r "
        "JOIN information_schema.KEY_COLUMN_USAGE AS k ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA "
        "AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME "
        f"WHERE r.UNIQUE_CONSTRAINT_SCHEMA = {literal(schema)} AND r.REFERENCED_TABLE_NAME = {literal(name)} "
        "ORDER BY r.CONSTRAINT_NAME, r.CONSTRAINT_SCHEMA, r.TABLE_NAME, k.ORDINAL_POSITION"
    )
    for (where, table, constraint, rule), columns in groupby(rows, key=lambda row: row[:4]):
        pairs = [(here, there) for *_, here, there in columns]
        yield ForeignKey(
            name=constraint,
            table=str(TableName(where, table)),
            columns=tuple(here for here, _ in pairs),
            referenced=tuple(there for _, there in pairs),
            on_delete=rule.lower(),
        )


def _may(connection: Connection, query: str) -> bool:
    try:
        connection.rows(query)
    except pymysql.Error as error:
        if code_of(error) not in _DENIED:
            raise
        return False
    return True


def _no_such_table(connection: Connection, schema: str, name: str) -> ConfigError:
    known = [
        f"{there}.{table}"
        for there, table in connection.rows(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' "
            "AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') "
            f"ORDER BY (TABLE_NAME = {literal(name)}) DESC, (TABLE_SCHEMA = {literal(schema)}) DESC, 1, 2 LIMIT 10000"
        )
    ]
    shown = ", ".join(known[:_SHOWN_TABLES]) or "none that this user may see"
    return ConfigError(
        f"There is no table {schema}.{name} on this server{did_you_mean(f'{schema}.{name}', known) or '.'}",
        next_step="Check `table` in the configuration (names are taken to the letter, capitals too). "
        f"Tables here: {shown}{', …' if len(known) > _SHOWN_TABLES else '.'}",
    )


def derived_column(connection: Connection, table: Table, name: str, expression: str) -> Column:
    """Return how the value of an operator's expression over the table's columns is stored.

    Raises:
        ConfigError: The text is not one expression over a row of this table.
    """
    try:
        check_expression(connection, relation(table), expression)
        (field,) = fields(connection, f"SELECT (\n{expression}\n) FROM {relation(table)} LIMIT 0")
    except pymysql.Error as error:
        raise ConfigError(f"columns.derive.{name}: {said(error)}", next_step="Correct the expression.") from None
    return plan_column(name, type_of(field), nullable=True, derived=expression)


def said(error: pymysql.Error) -> str:
    """Return what the server says, without its number."""
    return str(error.args[-1] if error.args else error).strip()


_BASES = {
    FIELD_TYPE.TINY: "tinyint", FIELD_TYPE.SHORT: "smallint", FIELD_TYPE.INT24: "mediumint", FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint", FIELD_TYPE.DECIMAL: "decimal", FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.FLOAT: "float", FIELD_TYPE.DOUBLE: "double", FIELD_TYPE.DATE: "date", FIELD_TYPE.NEWDATE: "date",
    FIELD_TYPE.TIME: "time", FIELD_TYPE.DATETIME: "datetime", FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.YEAR: "year", FIELD_TYPE.BIT: "bit", FIELD_TYPE.JSON: "json", FIELD_TYPE.GEOMETRY: "geometry",
}  # fmt: skip
_WITH_FRACTION = frozenset({"time", "datetime", "timestamp"})


def type_of(field: Field) -> TypeInfo:
    """Return the type that the server announces for a column of a result."""
    base = _BASES.get(field.type_code) or ("longblob" if field.charset == _BINARY_CHARSET else "longtext")
    unsigned = " unsigned" if field.flags & FLAG.UNSIGNED and base not in {"year", "bit"} else ""
    if base == "decimal":
        precision = field.length - (field.decimals > 0) - (not unsigned)
        return TypeInfo(base, f"decimal({precision},{field.decimals}){unsigned}", precision, field.decimals)
    if base == "bit":
        return TypeInfo(base, f"bit({field.length})", field.length)
    if base in _WITH_FRACTION:
        return TypeInfo(base, f"{base}({min(field.decimals, 6)})" if field.decimals else base)
    return TypeInfo(base, f"{base}{unsigned}")


def average_row_bytes(connection: Connection, table: Table) -> int:
    """Return how large a row of the table is as text, judged by a few hundred of them; 0 if it is empty."""
    size = " + ".join(f"IFNULL(LENGTH({quote(column.name)}), 1)" for column in table.columns)
    (average,) = connection.one(
        f"SELECT AVG(bytes) FROM (SELECT {size} AS bytes FROM {relation(table)} LIMIT 300) AS sample"
    )
    return int(average or 0)
