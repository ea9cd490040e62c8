"""Values of SQLite as text and back: literals, the texts in which they travel (`exchange_text`), decimals.

What goes into the lake must come back as the same value of the same storage class. Whether a value can is decided
here, by trying: `value_of(text)` is what would be written back.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation

from blocks.dialects.sqlite.moments import Value, format_named
from blocks.dialects.sqlite.types import is_literal
from schemas.column_plan import Column, Kind

INT64 = range(-(2**63), 2**63)
_LITERAL = re.compile(
    r"(?P<integer>-?\d+)|(?P<infinity>-?9e999)|(?P<real>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)|'(?P<text>(?:[^']|'')*)'"
    r"|x'(?P<blob>(?:[0-9a-f]{2})*)'|CAST\(x'(?P<bytes>(?:[0-9a-f]{2})*)' AS TEXT\)",
    re.DOTALL,
)


class UndecodedText(bytes):
    """TEXT whose bytes are no UTF-8; it is written back by a CAST."""


def literal_of(value: int | float | bytes, *, text: bool) -> str:
    """Return a value as SQL writes it; from it, `value_of_literal` makes the same value of the same storage class.

    Args:
        value: A number or bytes.
        text: Whether the bytes are those of a TEXT.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            return "9e999" if value > 0 else "-9e999"
        return repr(value)
    if not text:
        return f"x'{value.hex()}'"
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        return f"CAST(x'{value.hex()}' AS TEXT)"
    return "'" + decoded.replace("'", "''") + "'"


def value_of_literal(text: str) -> Value:
    """Return the value that a literal stands for.

    Raises:
        ValueError: It is none of those that `literal_of` writes.
    """
    found = _LITERAL.fullmatch(text)
    if found is None:
        raise ValueError(f"not a literal of a SQLite value: {text[:40]!r}")
    match found.lastgroup:
        case "integer":
            number = int(text)
            if number not in INT64:
                raise ValueError(f"{text} is beyond 64 bits")
            return number
        case "infinity":
            return float(text.replace("9e999", "inf"))
        case "real":
            return float(text)
        case "text":
            return found["text"].replace("''", "'")
        case "blob":
            return bytes.fromhex(found["blob"])
        case _:
            return UndecodedText.fromhex(found["bytes"])


def as_decimal(value: Value, precision: int, scale: int) -> Decimal | None:
    """Return a number as a decimal of so many digits, or None if writing it back would give another value."""
    if type(value) is int:
        number = Decimal(value)
    elif type(value) is float:
        number = Decimal(repr(value))
    else:
        return None
    if not number.is_finite():
        return None
    _, digits, exponent = number.normalize().as_tuple()
    assert isinstance(exponent, int)
    if number and (-exponent > scale or len(digits) + exponent > precision - scale):
        return None
    back = value_of_decimal(number)
    return number if type(back) is type(value) and back == value else None


def value_of_decimal(number: Decimal) -> int | float:
    """Return what SQLite keeps of a number in a column of NUMERIC affinity: an integer if it is a whole one."""
    whole = number == number.to_integral_value()
    return int(number) if whole and int(number) in INT64 else float(number)


def restorer(column: Column) -> Callable[[str], Value]:
    """Return the function that makes of an exchange text of the column the value that is written back."""
    if is_literal(column):
        return value_of_literal
    match column.kind:
        case Kind.INTEGER:
            return int
        case Kind.BOOLEAN:
            return {"true": 1, "false": 0}.__getitem__
        case Kind.FLOAT32 | Kind.FLOAT64:
            return float
        case Kind.DECIMAL:
            return lambda text: value_of_decimal(Decimal(text))
        case Kind.TIMESTAMP:
            written = format_named(column.text_format)
            return lambda text: written.write(datetime.fromisoformat(text))
        case Kind.BINARY:
            return lambda text: bytes.fromhex(text[2:])
        case _:
            return str


def exchange_of(column: Column, text: str) -> str | None:
    """Return the exchange text of a key's value as somebody wrote it, or None if no row can have that key.

    Raises:
        ValueError: The text is no value of the column.
    """
    if is_literal(column):
        value_of_literal(text)
        return text
    match column.kind:
        case Kind.INTEGER:
            number = int(text)
            return str(number) if number in INT64 else None
        case Kind.BOOLEAN:
            return {"1": "true", "true": "true", "0": "false", "false": "false"}[text.lower()]
        case Kind.FLOAT64:
            return repr(float(text))
        case Kind.DECIMAL:
            return _decimal_text(column, text)
        case Kind.DATE:
            moment = datetime.fromisoformat(text)
            return moment.date().isoformat() if moment == moment.replace(hour=0, minute=0, second=0) else None
        case Kind.TIMESTAMP:
            return _moment_text(column, text)
        case Kind.BINARY:
            digits = re.fullmatch(r"(?:\\x|0x|x')?([0-9a-f]*)'?", text, re.IGNORECASE)
            if digits is None:
                raise ValueError(f"not hex digits: {text!r}")
            return rf"\x{bytes.fromhex(digits[1]).hex()}"
        case _:
            return text


def _decimal_text(column: Column, text: str) -> str | None:
    assert column.precision is not None and column.scale is not None
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number: {text!r}") from None
    fits = as_decimal(value_of_decimal(number), column.precision, column.scale) == number
    return f"{number:.{column.scale}f}" if fits else None


def _moment_text(column: Column, text: str) -> str | None:
    known = format_named(column.text_format)
    moment = known.read(int(text) if text.isdigit() and len(text) != 8 else text)
    if moment is None:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
        moment = (moment - offset).replace(tzinfo=None) if offset is not None else moment
    return moment_text(moment)


def moment_text(moment: datetime) -> str:
    """Return a naive moment as DuckDB prints it, which is its canonical text."""
    text = moment.isoformat(" ")
    return text.rstrip("0") if moment.microsecond else text


def exchange_text_of(column: Column, value: Value) -> str:
    """Return the exchange text of a value as SQLite gives it (a literal column's as its literal), for people to see."""
    if value is None:
        return ""
    match column.kind:
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.DECIMAL:
            return f"{Decimal(str(value)):.{column.scale}f}"
        case Kind.TIMESTAMP:
            moment = format_named(column.text_format).read(value)
            return "" if moment is None else moment_text(moment)
        case Kind.BINARY if isinstance(value, bytes):
            return rf"\x{value.hex()}"
        case _:
            return str(value)
