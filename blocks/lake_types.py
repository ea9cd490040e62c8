"""What the types of DuckDB are stored as in the lake."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from schemas.column_plan import Column, Kind, quote_identifier

_PLAIN: dict[str, tuple[Kind, int]] = {
    "BOOLEAN": (Kind.BOOLEAN, 64),
    "TINYINT": (Kind.INTEGER, 16),
    "SMALLINT": (Kind.INTEGER, 16),
    "UTINYINT": (Kind.INTEGER, 16),
    "INTEGER": (Kind.INTEGER, 32),
    "USMALLINT": (Kind.INTEGER, 32),
    "BIGINT": (Kind.INTEGER, 64),
    "UINTEGER": (Kind.INTEGER, 64),
    "FLOAT": (Kind.FLOAT32, 64),
    "DOUBLE": (Kind.FLOAT64, 64),
    "DATE": (Kind.DATE, 64),
    "TIME": (Kind.TIME, 64),
    "TIMESTAMP": (Kind.TIMESTAMP, 64),
    "TIMESTAMP_S": (Kind.TIMESTAMP, 64),
    "TIMESTAMP_MS": (Kind.TIMESTAMP, 64),
    "TIMESTAMP WITH TIME ZONE": (Kind.TIMESTAMPTZ, 64),
    "VARCHAR": (Kind.TEXT, 64),
    "BLOB": (Kind.BINARY, 64),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_WHOLE_NUMBERS = {"UBIGINT": 20, "HUGEINT": 38, "UHUGEINT": 38}
_NESTED = re.compile(r"STRUCT|MAP|UNION|.*\]$|JSON$|VARIANT", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of a query as it is stored.

    Attributes:
        column: What a manifest says of it.
        value: DuckDB SQL of what is stored, over the query's column.
    """

    column: Column
    value: str


def stored_as(connection: duckdb.DuckDBPyConnection, query: str) -> list[StoredColumn]:
    """Return how the columns of a query are stored, in their order.

    What Parquet as Tidegate writes it has no type for is stored as text: lists, structs and maps as JSON, all else
    (UUID, INTERVAL, ENUM, …) as DuckDB prints it. Whole numbers beyond 64 bits become decimals of 38 digits, and a
    number that does not fit into those is an error of the query.

    Raises:
        duckdb.Error: The query is wrong.
    """
    described = connection.execute(f"DESCRIBE ({query})").fetchall()
    return [_stored(str(name), str(kind)) for name, kind, *_ in described]


def arrow_columns(stored: Sequence[StoredColumn]) -> tuple[Column, ...]:
    """Return what a manifest says of the columns."""
    return tuple(one.column for one in stored)


def select_list(stored: Sequence[StoredColumn]) -> str:
    """Return the select list that stores the columns under their names."""
    return ", ".join(f"{one.value} AS {one.column.quoted}" for one in stored)


def _stored(name: str, kind: str) -> StoredColumn:
    quoted = quote_identifier(name)
    if kind in _PLAIN:
        what, bits = _PLAIN[kind]
        value = quoted if kind not in _NARROW else f"CAST({quoted} AS {_NARROW[kind]})"
        return StoredColumn(Column(name=name, source_type=kind, kind=what, bits=bits), value)
    if decimal := _DECIMAL.fullmatch(kind):
        precision, scale = int(decimal[1]), int(decimal[2])
        column = Column(name=name, source_type=kind, kind=Kind.DECIMAL, precision=precision, scale=scale)
        return StoredColumn(column, quoted)
    if kind in _WHOLE_NUMBERS:
        digits = _WHOLE_NUMBERS[kind]
        column = Column(name=name, source_type=kind, kind=Kind.DECIMAL, precision=digits, scale=0)
        return StoredColumn(column, f"CAST({quoted} AS DECIMAL({digits},0))")
    # JSON is text already; to_json would write its numbers anew, and lose digits.
    nested = _NESTED.match(kind) and kind != "JSON"
    text = f"CAST(to_json({quoted}) AS VARCHAR)" if nested else f"CAST({quoted} AS VARCHAR)"
    return StoredColumn(Column(name=name, source_type=kind, kind=Kind.TEXT), text)


# Types that Parquet, as it is read back, has no type of its own for.
_NARROW = {
    "TINYINT": "SMALLINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}
