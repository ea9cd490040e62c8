"""Rows as SQLite gives them, in the types that are stored; what does not fit is refused by column and key."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from blocks.dialects.sqlite.moments import Value, format_named, microseconds
from blocks.dialects.sqlite.session import Connection
from blocks.dialects.sqlite.source_errors import translate
from blocks.dialects.sqlite.statements import export_rows, not_utf8
from blocks.dialects.sqlite.types import is_literal, reference, relation
from blocks.dialects.sqlite.values import as_decimal
from blocks.source import RowBatch
from schemas.column_plan import Column, Kind, arrow_schema
from schemas.errors import UnsupportedValue
from schemas.table import Table

MAX_BATCH_ROWS = 16384
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NOTHING = type(None)


class _DoesNotFit(Exception):
    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def read_rows(
    connection: Connection,
    path: Path,
    table: Table,
    columns: tuple[Column, ...],
    predicate: str,
    *,
    key: tuple[str, ...],
    with_digest: bool,
    batch_rows: int,
) -> Iterator[RowBatch]:
    """Yield the rows of a table, in the transaction that the connection is in.

    Raises:
        UnsupportedValue: A value does not fit the type its column is stored as; the message names column and key.
        SourceError: SQLite failed.
    """
    query = export_rows(table, columns, predicate, with_digest=with_digest)
    try:
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(batch_rows):
            yield _batch(rows, columns, key, with_digest=with_digest)
    except sqlite3.OperationalError as error:
        if str(error).startswith("Could not decode to UTF-8"):
            raise _not_utf8(connection, table, columns, predicate, key) from None
        raise translate(error, path) from None
    except sqlite3.Error as error:
        raise translate(error, path) from None


def _batch(
    rows: Sequence[tuple[Value, ...]], columns: tuple[Column, ...], key: tuple[str, ...], *, with_digest: bool
) -> RowBatch:
    by_column = list(zip(*rows, strict=True))
    arrays = []
    for place, column in enumerate(columns):
        values = by_column[place]
        try:
            arrays.append(_array(values, column))
        except _DoesNotFit as error:
            row = {c.name: _shown(by_column[j][error.row]) for j, c in enumerate(columns) if c.name in key}
            raise _refusal(column, _shown(values[error.row]), row) from None
    digests = None
    if with_digest:
        digests = np.frombuffer(b"".join(by_column[-1]), dtype="<u8")
    return RowBatch(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)), digests)


def _refusal(column: Column, value: str, row: dict[str, str]) -> UnsupportedValue:
    written = f" (written as {column.text_format})" if column.text_format else ""
    stored = f"{column.kind}{written}" if column.kind is not Kind.DECIMAL else str(column.arrow_type)
    return UnsupportedValue(
        f"Column {column.name} ({column.source_type}) holds {value}{f' in the row with key {row}' if row else ''}, "
        f"which cannot be kept exactly as {stored}.",
        state="Nothing of this window was committed or deleted.",
        next_step="Correct the value, or keep the column as the text of its values "
        f"(columns.as_text: [{column.name}]), or leave such rows out with `where`.",
    )


def _shown(value: Value) -> str:
    """Return a value for an error, with its storage class where it is not plain."""
    if isinstance(value, bytes):
        return f"the blob x'{value[:20].hex()}{'…' if len(value) > 20 else ''}'"
    if isinstance(value, str):
        return f"the text {value[:40]!r}{'…' if len(value) > 40 else ''}"
    return f"the {'integer' if type(value) is int else 'real'} {value}" if value is not None else "NULL"


def _array(values: Sequence[Value], column: Column) -> pa.Array:
    kind = column.kind
    if is_literal(column) or kind is Kind.TEXT:
        return pa.array(_of(values, str), pa.string())
    if kind is Kind.BINARY:
        return pa.array(_of(values, bytes), column.arrow_type)
    if kind is Kind.FLOAT64:
        return pa.array(_of(values, float), column.arrow_type)
    if kind is Kind.INTEGER:
        return pa.array(_of(values, int), column.arrow_type)
    return pa.array(_converted(values, _conversion(column)), _wire_type(column)).cast(column.arrow_type)


def _of(values: Sequence[Value], wanted: type) -> Sequence[Value]:
    """Return the values if all of them are of one storage class, or NULL."""
    if not set(map(type, values)) <= {wanted, _NOTHING}:
        raise _DoesNotFit(next(i for i, value in enumerate(values) if type(value) not in {wanted, _NOTHING}))
    return values


def _converted(values: Sequence[Value], convert: Callable[[Value], object]) -> list[object]:
    converted = []
    for row, value in enumerate(values):
        stored = convert(value) if value is not None else None
        if stored is None and value is not None:
            raise _DoesNotFit(row)
        converted.append(stored)
    return converted


def _wire_type(column: Column) -> pa.DataType:
    return {Kind.DATE: pa.int32(), Kind.TIMESTAMP: pa.int64()}.get(column.kind, column.arrow_type)


def _conversion(column: Column) -> Callable[[Value], object]:
    """Return the function that makes of a value the one that is stored, or None if it does not fit."""
    if column.kind is Kind.DECIMAL:
        precision, scale = column.precision, column.scale
        assert precision is not None and scale is not None

        def decimal(value: Value) -> Decimal | None:
            return as_decimal(value, precision, scale)

        return decimal
    if column.kind is Kind.BOOLEAN:
        return lambda value: bool(value) if type(value) is int and value in (0, 1) else None
    written = format_named(column.text_format)

    def since_1970(value: Value) -> int | None:
        moment = written.read(value)
        if moment is None:
            return None
        return moment.toordinal() - _EPOCH_DAY if column.kind is Kind.DATE else microseconds(moment)

    return since_1970


def _not_utf8(
    connection: Connection, table: Table, columns: tuple[Column, ...], predicate: str, key: tuple[str, ...]
) -> UnsupportedValue:
    """Return the refusal that names the first text that is no UTF-8."""
    keys = [column for column in columns if column.name in key]
    shown = "".join(f", CAST({reference(table.alias, column)} AS BLOB)" for column in keys)
    for column in columns:
        name = reference(table.alias, column)
        found = connection.execute(
            f"SELECT hex(CAST({name} AS BLOB)){shown} FROM {relation(table)} "
            f"WHERE {not_utf8(table.alias, column, predicate)} LIMIT 1"
        ).fetchone()
        if found:
            texts = (value.decode(errors="backslashreplace") for value in found[1:])
            row = dict(zip((column.name for column in keys), texts, strict=True))
            return _refusal(column, f"a text that is no UTF-8 (its bytes are {found[0][:40].lower()})", row)
    raise AssertionError("SQLite found a text that is no UTF-8, and then no longer")
