"""Turns what the server sends for a column into the type that is stored, or says which row does not fit."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from blocks.dialects.mysql.wire import WireColumn
from blocks.source import RowBatch
from schemas.column_plan import TIME_KINDS, Column, Kind, arrow_schema
from schemas.errors import UnsupportedValue

DIGEST_OCTETS = 8
_STATE = "Nothing of this window was committed or deleted."


def decode(
    read: list[WireColumn], columns: tuple[Column, ...], checked: tuple[Column, ...], key: tuple[str, ...], digest: bool
) -> RowBatch:
    """Return a batch as read: the columns in order, a flag for each checked column, and perhaps the digest.

    Raises:
        UnsupportedValue: A value does not fit; the message names its column and the row's key.
    """
    arrays = []
    for wire, column in zip(read, columns, strict=False):
        try:
            arrays.append(decode_column(wire, column))
        except DoesNotFit as error:
            raise _refusal(read, columns, key, column, error) from None
    for wire, column in zip(read[len(columns) :], checked, strict=False):
        lost = [row for row in range(len(wire)) if wire.value(row) != b"1"]
        if lost:
            what = DoesNotFit(lost[0], "text that is another one when it is converted to Unicode and back", True)
            raise _refusal(read, columns, key, column, what)
    digests = _digests(read, columns, key) if digest else None
    return RowBatch(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)), digests)


class DoesNotFit(Exception):
    """A value that the stored type cannot hold."""

    def __init__(self, row: int, value: str, excluded_only: bool = False) -> None:
        super().__init__(value)
        self.row, self.value, self.excluded_only = row, value, excluded_only


def decode_column(wire: WireColumn, column: Column) -> pa.Array:
    """Return a column's values in the stored type.

    Raises:
        DoesNotFit: One does not fit.
    """
    read = wire.binary()
    match column.kind:
        case Kind.FLOAT32 | Kind.FLOAT64:
            return _doubles(read).cast(column.arrow_type, safe=False)
        case Kind.BINARY:
            return read
        case Kind.BOOLEAN:
            return pc.equal(read, b"1")
        case Kind.TEXT:
            return read.cast(pa.string())
        case kind if kind in TIME_KINDS:
            return _moments(read, column)
        case _:
            try:
                return read.cast(pa.string()).cast(column.arrow_type)
            except pa.ArrowInvalid:
                raise _first(read, column) from None


def _doubles(read: pa.LargeBinaryArray) -> pa.Array:
    """Return doubles of eight octets each; NULLs have none."""
    valid = read.is_valid().to_numpy(zero_copy_only=False)
    values = np.zeros(len(read), dtype="f8")
    values[valid] = np.frombuffer(read.buffers()[2] or b"", dtype="<f8")[: int(valid.sum())]
    return pa.array(values, mask=~valid)


def _moments(read: pa.LargeBinaryArray, column: Column) -> pa.Array:
    texts = read.cast(pa.string())
    if pc.any(pc.starts_with(texts, "0000-")).as_py():  # Arrow has a year 0, SQL has none
        raise _first(read, column)
    plain = pa.timestamp("us") if column.kind is not Kind.DATE else pa.date32()
    try:
        moments = texts.cast(plain)
    except pa.ArrowInvalid:
        raise _first(read, column) from None
    return (
        moments.cast(column.arrow_type) if column.kind is not Kind.TIMESTAMPTZ else pc.assume_timezone(moments, "UTC")
    )


def _first(read: pa.LargeBinaryArray, column: Column) -> DoesNotFit:
    """Return the first value that does not fit."""
    for row, text in enumerate(read.cast(pa.string())):
        if not text.is_valid:
            continue
        year_0 = column.kind in TIME_KINDS and str(text).startswith("0000-")
        try:
            text.cast(pa.timestamp("us") if column.kind is Kind.TIMESTAMPTZ else column.arrow_type)
        except pa.ArrowInvalid:
            return DoesNotFit(row, str(text))
        if year_0:
            return DoesNotFit(row, str(text))
    return DoesNotFit(0, "a value that cannot be read")


def _digests(read: list[WireColumn], columns: tuple[Column, ...], key: tuple[str, ...]) -> NDArray[np.uint64]:
    wire = read[-1]
    if wire.is_null.any():
        row = int(wire.is_null.argmax())
        raise UnsupportedValue(
            f"The row{_named(read, columns, key, row)} is, as text, larger than the server's max_allowed_packet, so "
            "that the server cannot attest it.",
            state=_STATE,
            next_step="SET GLOBAL max_allowed_packet to more than the largest row, and run it again.",
        )
    data = wire.binary().buffers()[2]
    return np.frombuffer(data, dtype="<u8")[: len(wire)]


def _refusal(
    read: list[WireColumn], columns: tuple[Column, ...], key: tuple[str, ...], column: Column, error: DoesNotFit
) -> UnsupportedValue:
    ways_out = "" if error.excluded_only else "have the column kept as the server prints it (columns.as_text), "
    return UnsupportedValue(
        f"Column {column.name} ({column.source_type}) holds {error.value}{_named(read, columns, key, error.row)}, "
        f"which {column.arrow_type} cannot.",
        state=_STATE,
        next_step=f"Correct the value, {ways_out}or leave such rows out with `where`.",
    )


def _named(read: list[WireColumn], columns: tuple[Column, ...], key: tuple[str, ...], row: int) -> str:
    """Return the words that name a row by its key, for an error."""
    values = {
        column.name: (wire.value(row) or b"").decode(errors="backslashreplace")
        for wire, column in zip(read, columns, strict=False)
        if column.name in key
    }
    return f" in the row with key {values}" if values else ""
