"""What SQLite's catalog says of a table: its columns, its keys, and how large its rows are."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from blocks.dialects.sqlite.dependents import SCHEMA, referenced_by
from blocks.dialects.sqlite.moments import DEFAULT, UNIX_SECONDS, Value, format_named, guess_format
from blocks.dialects.sqlite.operators_sql import WrongExpression, check_expression
from blocks.dialects.sqlite.session import Connection
from blocks.dialects.sqlite.types import plan_column, reference, relation
from schemas.column_plan import Column, Kind, quote_identifier
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.table import Table
from schemas.table_name import DEFAULT_SCHEMA, TableName

SAMPLE_ROWS = 500  # from each end of the table
_SHOWN_TABLES = 10
_OUR_TIME = range(1980, 2100)
_VIRTUAL_COLUMN, _STORED_COLUMN, _HIDDEN_COLUMN = 2, 3, 1
_EFFECTIVE = os.access in os.supports_effective_ids


def describe(connection: Connection, path: Path, name: TableName) -> Table:
    """Return what the catalog says of the table.

    Raises:
        ConfigError: There is no such table, or it is not a table (a view, say).
    """
    kind, without_rowid = _kind(connection, path, name)
    if kind != "table":
        raise ConfigError(
            f"{name.name} is not a table (it is a {kind} one)." if kind != "view" else f"{name.name} is a view.",
            next_step="Name the table behind it.",
        )
    quoted = f"{SCHEMA}.{quote_identifier(name.name)}"
    columns, primary = [], {}
    for _, column, declared, not_null, _, place, hidden in connection.execute(
        f"PRAGMA {SCHEMA}.table_xinfo({quote_identifier(name.name)})"
    ).fetchall():
        if hidden == _HIDDEN_COLUMN:
            continue
        if place:
            primary[place] = column
        columns.append((column, declared, not not_null, hidden in (_VIRTUAL_COLUMN, _STORED_COLUMN)))
    key = tuple(primary[place] for place in sorted(primary))
    numbered = _is_row_number(connection, name.name, key, without_rowid=without_rowid)
    planned = tuple(
        with_format(
            connection, quoted, quoted,
            plan_column(
                column, declared, nullable=nullable and not (numbered and column in key), generated=generated
            ),
            backwards=not without_rowid,
        )
        for column, declared, nullable, generated in columns
    )  # fmt: skip
    not_null_names = {column.name for column in planned if not column.nullable}
    unique = [frozenset(names) for names in _unique_indexes(connection, name.name)] + ([frozenset(key)] if key else [])
    return Table(
        schema_name=SCHEMA,
        name=name.name,
        columns=planned,
        primary_key=key,
        unique_keys=tuple(dict.fromkeys(names for names in unique if names <= not_null_names)),
        kind="r",
        inherited=False,
        may_select=True,
        may_delete=all(os.access(p, os.W_OK, effective_ids=_EFFECTIVE) for p in (path, path.parent)),
        referenced_by=tuple(referenced_by(connection, name.name, key)),
        utf8=True,
    )


def _kind(connection: Connection, path: Path, name: TableName) -> tuple[str, bool]:
    """Return what the thing of that name is, and whether it is a table without row numbers."""
    rows = connection.execute(f"PRAGMA {SCHEMA}.table_list").fetchall()
    things = {thing: (kind, bool(wr)) for schema, thing, kind, _, wr, _ in rows if schema == SCHEMA}
    if name.schema_name in {SCHEMA, DEFAULT_SCHEMA} and name.name in things:
        return things[name.name]
    known = sorted(thing for thing, (kind, _) in things.items() if kind == "table" and not thing.startswith("sqlite_"))
    raise ConfigError(
        f"There is no table {name.name} in {path}{did_you_mean(name.name, known) or '.'}"
        if name.schema_name in {SCHEMA, DEFAULT_SCHEMA}
        else f"There is no schema {name.schema_name} in {path}; a SQLite file has `main` only.",
        next_step="Check `table` in the configuration (names are taken to the letter, capitals too). "
        f"Tables here: {', '.join(known[:_SHOWN_TABLES]) or 'none'}{', …' if len(known) > _SHOWN_TABLES else '.'}",
    )


def with_format(connection: Connection, relation: str, alias: str, column: Column, *, backwards: bool) -> Column:
    """Return a column of moments with the format in which its rows have them, and any other as it is.

    Args:
        connection: To the database.
        relation: What stands in FROM.
        alias: What its columns stand with.
        column: The column.
        backwards: Whether rows can be read from the end, too.
    """
    if column.kind is not Kind.TIMESTAMP:
        return column
    values = _sample(connection, relation, reference(alias, column), backwards)
    return column.model_copy(update={"text_format": guess_format(values)})


def as_time(connection: Connection, table: Table, column: Column) -> Column | None:
    """Return a column of texts or whole numbers as one of moments, if its rows hold some; an empty one will do.

    Any number is a Unix time, so most of them have to be of our time: a quantity is no moment of January 1970.
    """
    if column.kind not in {Kind.TEXT, Kind.INTEGER} or column.exact_text:
        return None
    values = _sample(connection, relation(table), reference(table.alias, column), backwards=False)
    sample = [value for value in values if value is not None]
    name = guess_format(sample) if sample else DEFAULT if column.kind is Kind.TEXT else UNIX_SECONDS
    moments = [moment for value in sample if (moment := format_named(name).read(value)) is not None]
    likely = [moment for moment in moments if column.kind is Kind.TEXT or moment.year in _OUR_TIME]
    if sample and 2 * len(likely) <= len(sample):
        return None
    return column.model_copy(update={"kind": Kind.TIMESTAMP, "text_format": name})


def _sample(connection: Connection, relation: str, text: str, backwards: bool) -> Iterator[Value]:
    """Yield values from both ends of a table: how moments are written may have changed over its life."""
    value = f"CASE typeof({text}) WHEN 'text' THEN CAST({text} AS BLOB) WHEN 'blob' THEN NULL ELSE {text} END"
    order = [""] + ([" ORDER BY rowid DESC"] if backwards else [])
    for (found,) in chain.from_iterable(
        connection.execute(f"SELECT {value} FROM {relation}{ends} LIMIT {SAMPLE_ROWS}") for ends in order
    ):
        yield found.decode(errors="replace") if isinstance(found, bytes) else found


def _is_row_number(connection: Connection, table: str, key: tuple[str, ...], *, without_rowid: bool) -> bool:
    """Return whether the primary key is an INTEGER PRIMARY KEY, another name of the row's number: never NULL."""
    indexed = any(origin == "pk" for _, _, _, origin, _ in _indexes(connection, table))
    return len(key) == 1 and not without_rowid and not indexed


def reuses_numbers(connection: Connection, table: Table) -> bool:
    """Return whether the table's key is the row's number, and SQLite may give the highest one again once it is gone."""
    (without_rowid, text) = connection.execute(
        f"SELECT wr, sql FROM pragma_table_list AS l JOIN {SCHEMA}.sqlite_schema AS s ON s.name = l.name "
        f"AND s.type = 'table' WHERE l.schema = '{SCHEMA}' AND l.name = ?",
        [table.name],
    ).fetchone()
    numbered = _is_row_number(connection, table.name, table.primary_key, without_rowid=bool(without_rowid))
    return numbered and "AUTOINCREMENT" not in text.upper()


def _indexes(connection: Connection, table: str) -> list[tuple[int, str, int, str, int]]:
    return connection.execute(f"PRAGMA {SCHEMA}.index_list({quote_identifier(table)})").fetchall()


def _unique_indexes(connection: Connection, table: str) -> Iterator[list[str]]:
    """Yield the columns of each unique index that covers the whole table, and columns only."""
    for _, index, unique, _, partial in _indexes(connection, table):
        if not unique or partial:
            continue
        covered = connection.execute(f"PRAGMA {SCHEMA}.index_info({quote_identifier(index)})").fetchall()
        if all(column is not None for _, _, column in covered):
            yield [column for _, _, column in covered]


def defaults(connection: Connection, table: Table) -> frozenset[str]:
    """Return the columns that fill themselves: those with a default, and the row's number."""
    rows = connection.execute(f"PRAGMA {SCHEMA}.table_xinfo({quote_identifier(table.name)})").fetchall()
    filled = {column for _, column, _, _, default, _, _ in rows if default is not None}
    (without_rowid,) = connection.execute(
        f"SELECT wr FROM pragma_table_list WHERE schema = '{SCHEMA}' AND name = ?", [table.name]
    ).fetchone()
    if _is_row_number(connection, table.name, table.primary_key, without_rowid=bool(without_rowid)):
        filled |= set(table.primary_key)
    return frozenset(filled)


def derived_column(connection: Connection, table: Table, name: str, expression: str) -> Column:
    """Return how the value of an operator's expression is stored, judged by its values in rows of both ends.

    Raises:
        ConfigError: The text is not one expression over a row of this table.
    """
    try:
        check_expression(connection, table, expression)
    except WrongExpression as error:
        raise ConfigError(f"columns.derive.{name}: {error}", next_step="Correct the expression.") from None
    types = {
        storage
        for (storage,) in connection.execute(
            f"SELECT typeof((\n{expression}\n)) FROM {relation(table)} LIMIT {SAMPLE_ROWS}"
        )
    } - {"null"}
    # Several storage classes, or none at all, promise nothing: literals.
    declared = types.pop().upper() if len(types) == 1 else ""
    return plan_column(name, declared, nullable=True).model_copy(update={"derived": expression})


def average_row_bytes(connection: Connection, table: Table) -> int:
    """Return how large a row of the table is, judged by a few hundred of them; 0 if it is empty."""
    sizes = " + ".join(f"coalesce(length(CAST({table.alias}.{column.quoted} AS BLOB)), 0)" for column in table.columns)
    found = connection.execute(f"SELECT avg(size) FROM (SELECT {sizes} AS size FROM {relation(table)} LIMIT 300)")
    return int(found.fetchone()[0] or 0)


def column_names(connection: Connection, table: Table) -> list[str]:
    """Return the names of the columns that the table has now, the computed ones too."""
    return [row[1] for row in connection.execute(f"PRAGMA {SCHEMA}.table_xinfo({quote_identifier(table.name)})")]
