"""The functions that Tidegate adds to a connection: fields and digests of rows, as `schemas.column_plan` defines them.

They run inside of SQLite, so that the statement that deletes a row is the one that finds it unchanged. A value that
the column cannot hold gets the field `!`, which no archived row has.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Callable
from functools import cache

from blocks.dialects.sqlite.moments import Value, format_named, microseconds
from blocks.dialects.sqlite.types import DIGEST_BYTES
from blocks.dialects.sqlite.values import as_decimal, literal_of, moment_text
from schemas.column_plan import NULL_FIELD, Kind

UNFIT = b"!"
_NULL = NULL_FIELD.encode()
_MOST_DIGITS = 1000  # whether a decimal has too many was asked when it was read; here only its scale matters

Writer = Callable[[Value], bytes]


def add_functions(connection: sqlite3.Connection) -> None:
    """Add them to a connection. They are deterministic, and nothing of the database can call them by itself."""
    for name, arguments, function in (
        ("tidegate_fields", -1, _fields),
        ("tidegate_digest", -1, _digest),
        ("tidegate_literal", 2, _literal),
        ("tidegate_microseconds", 2, _microseconds),
        ("tidegate_is_utf8", 1, _is_utf8),
    ):
        connection.create_function(name, arguments, function, deterministic=True)


def _fields(codes: str, *values: Value) -> bytes:
    return b",".join([write(value) for write, value in zip(_writers(codes), values, strict=True)])


def _digest(*parts: bytes) -> bytes:
    return hashlib.md5(b",".join(parts), usedforsecurity=False).digest()[:DIGEST_BYTES]


def _literal(storage: str, value: int | float | bytes | None) -> str | None:
    return None if value is None else literal_of(value, text=storage == "text")


def _microseconds(written: str, value: Value) -> int | None:
    moment = format_named(written).read(value)
    return None if moment is None else microseconds(moment)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _writers(codes: str) -> tuple[Writer, ...]:
    return tuple(field_writer(code) for code in codes.split("\n"))


def field_writer(code: str) -> Writer:
    """Return the function that writes the field of a value, for a code of `types.code`."""
    kind, _, detail = code.partition(" ")
    match kind:
        case "literal":
            return _literal_field
        case Kind.TEXT:
            return _text
        case Kind.BINARY:
            return _blob
        case Kind.INTEGER:
            return _integer
        case Kind.BOOLEAN:
            return _boolean
        case Kind.FLOAT64:
            return _real
        case Kind.DECIMAL:
            return _decimal(int(detail))
        case _:
            return _moment(detail, date=kind == Kind.DATE)


def _text(value: Value) -> bytes:
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return _NULL if value is None else UNFIT


def _literal_field(value: Value) -> bytes:
    return _text(value.encode()) if isinstance(value, str) else _NULL if value is None else UNFIT


def _blob(value: Value) -> bytes:
    if isinstance(value, bytes):
        return hashlib.md5(value, usedforsecurity=False).hexdigest().encode()
    return _NULL if value is None else UNFIT


def _integer(value: Value) -> bytes:
    if type(value) is int:
        return b"%d" % value
    return _NULL if value is None else UNFIT


def _boolean(value: Value) -> bytes:
    if type(value) is int and value in (0, 1):
        return b"t" if value else b"f"
    return _NULL if value is None else UNFIT


def _real(value: Value) -> bytes:
    if type(value) is float:
        return struct.pack(">d", value).hex().encode()
    return _NULL if value is None else UNFIT


def _decimal(scale: int) -> Writer:
    def write(value: Value) -> bytes:
        if value is None:
            return _NULL
        number = as_decimal(value, _MOST_DIGITS, scale)
        return UNFIT if number is None else f"{number:.{scale}f}".encode()

    return write


def _moment(written: str, *, date: bool) -> Writer:
    known = format_named(written)

    def write(value: Value) -> bytes:
        if value is None:
            return _NULL
        try:
            moment = known.read(value.decode() if isinstance(value, bytes) else value)
        except UnicodeDecodeError:
            return UNFIT
        if moment is None:
            return UNFIT
        return (moment.date().isoformat() if date else moment_text(moment)).encode()

    return write
