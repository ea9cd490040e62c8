"""Keys that people write, read as MariaDB and MySQL read them: `042` finds the number 42."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from blocks.dialects.mysql.decode import DoesNotFit, decode_column
from blocks.dialects.mysql.exchange import exchange_texts
from blocks.dialects.mysql.session import Connection, literal
from blocks.dialects.mysql.types import read_expression
from blocks.dialects.mysql.wire import read_columns
from schemas.column_plan import Column, Kind
from schemas.errors import ConfigError
from schemas.restore import UNTOUCHED

_CASTS = {
    "year": "UNSIGNED", "bit": "UNSIGNED", "date": "DATE", "float": "DOUBLE", "double": "DOUBLE",
    "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)", "uuid": "UUID", "inet4": "INET4",
    "inet6": "INET6",
}  # fmt: skip
_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_EXACT_DECIMAL = "DECIMAL(65,30)"


def canonical_key(connection: Connection, columns: tuple[Column, ...], values: tuple[str, ...]) -> list[str] | None:
    """Return a key's values as the text that stands in the lake, or None if no row can have that key.

    Args:
        connection: To a server of the source's kind.
        columns: The key's columns.
        values: Their values as somebody wrote them.

    Raises:
        ConfigError: A value cannot be read as its column's type.
    """
    typed = [_typed(connection, column, value) for column, value in zip(columns, values, strict=True)]
    if None in typed:
        return None
    reads = ", ".join(read_expression(column, str(sql)) for column, sql in zip(columns, typed, strict=True))
    (wires,) = list(read_columns(connection, f"SELECT {reads}", 1, 1))
    arrays = []
    for wire, column, value in zip(wires, columns, values, strict=True):
        try:
            arrays.append(decode_column(wire, column))
        except DoesNotFit:
            raise _no_value(column, value, "there is no such day") from None
    return exchange_texts(columns, arrays)


def _typed(connection: Connection, column: Column, value: str) -> str | None:
    """Return the SQL of a value in its column's type, or None if it is outside of what the column can hold."""
    base = column.base_type
    if column.kind is Kind.BINARY:
        return f"X'{_octets(value)}'" if len(_octets(value)) <= 2 * _length(column) else None
    if column.kind is Kind.TIMESTAMPTZ:
        value = _in_utc(column, value)
    if base in _INTEGERS:
        target = exact = _EXACT_DECIMAL
    elif base == "decimal":
        digits = re.search(r"\((\d+)(?:,(\d+))?\)", column.source_type)
        assert digits is not None
        target, exact = f"DECIMAL({digits.group(1)},{digits.group(2) or 0})", _EXACT_DECIMAL
    elif base in _CASTS:
        target = exact = _CASTS[base]
    else:  # text
        short = base not in {"char", "varchar"} or len(value) <= _length(column)
        return literal(value.rstrip(" ") if base == "char" else value) if short else None
    texts = f"CAST({literal(value.strip())} AS {target}), CAST({literal(value.strip())} AS {exact})"
    # From a table: only such a statement forgets the warnings of the one before.
    typed, wide = connection.one(f"SELECT {texts} FROM information_schema.SCHEMATA LIMIT 1")
    said = [text for level, _, text in connection.rows("SHOW WARNINGS") if level != "Note"]
    if typed is None or wide is None or (said and typed == wide):
        raise _no_value(column, value, said[0] if said else "it is none")
    if (
        typed != wide
        or (base in _INTEGERS and not _fits(column, wide))
        or (base == "bit" and not _fits_bit(column, typed))
    ):
        return None
    cast = "UNSIGNED" if base in _INTEGERS and typed >= 0 else "SIGNED" if base in _INTEGERS else _cast(column, target)
    return f"CAST({literal(value.strip())} AS {cast})" if base not in _INTEGERS else f"CAST({int(typed)} AS {cast})"


def _cast(column: Column, target: str) -> str:
    """Return the type to cast to, with the digits of a second that the column prints."""
    fraction = re.search(r"\(([0-6])\)", column.source_type)
    return re.sub(r"\(6\)", fraction.group() if fraction else "", target) if "(6)" in target else target


def _fits(column: Column, number: Decimal) -> bool:
    bits = _INTEGERS[column.base_type]
    low, high = (0, 2**bits - 1) if "unsigned" in column.source_type else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return number == int(number) and low <= int(number) <= high


def _fits_bit(column: Column, number: int) -> bool:
    return 0 <= number < 1 << _length(column)


def _length(column: Column) -> int:
    """Return the length that a type declares."""
    found = re.search(r"\((\d+)\)", column.source_type)
    return int(found.group(1)) if found else 2**32


def _octets(value: str) -> str:
    r"""Return hex digits: of `\x00ff` and `0x00ff` those that are there, of other text those of its UTF-8."""
    written = re.fullmatch(r"(?:\\x|0x)((?:[0-9a-fA-F]{2})*)", value)
    return written.group(1) if written else value.encode().hex()


def _in_utc(column: Column, value: str) -> str:
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise _no_value(column, value, str(error)) from None
    return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat(sep=" ")


def _no_value(column: Column, value: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The key {value!r} is no value of {column.name} ({column.source_type}): {reason}",
        state=UNTOUCHED,
        next_step="Correct the key and run it again.",
    )
