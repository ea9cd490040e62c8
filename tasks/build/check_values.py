"""Values of the configuration as values of a column, exactly: what a check compares the column with."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import Any, Literal

import polars as pl

from schemas.column_plan import Column, Kind

Value = bool | int | float | str
_DIGITS = Context(prec=100)
_FLOATS = {Kind.FLOAT32, Kind.FLOAT64}
_WHAT = {
    Kind.BOOLEAN: "true or false",
    Kind.INTEGER: "whole numbers",
    Kind.FLOAT32: "numbers",
    Kind.FLOAT64: "numbers",
    Kind.DECIMAL: "numbers",
    Kind.DATE: "dates, such as '2026-01-31'",
    Kind.TIME: "times, such as '12:30:00'",
    Kind.TIMESTAMP: "moments, such as '2026-01-31 12:30:00'",
    Kind.TIMESTAMPTZ: "moments, such as '2026-01-31T12:30:00+01:00'",
    Kind.TEXT: "text",
}
POLARS: dict[Kind, Any] = {
    Kind.BOOLEAN: pl.Boolean,
    Kind.FLOAT32: pl.Float32,
    Kind.FLOAT64: pl.Float64,
    Kind.DATE: pl.Date,
    Kind.TIME: pl.Time,
    Kind.TIMESTAMP: pl.Datetime("us"),
    Kind.TIMESTAMPTZ: pl.Datetime("us", "UTC"),
    Kind.TEXT: pl.String,
    Kind.BINARY: pl.Binary,
}


def polars_type(column: Column) -> Any:
    """Return the Polars type that a stored column is read as."""
    if column.kind is Kind.INTEGER:
        return {16: pl.Int16, 32: pl.Int32, 64: pl.Int64}[column.bits]
    if column.kind is Kind.DECIMAL:
        return pl.Decimal(column.precision or 38, column.scale or 0)
    return POLARS[column.kind]


def one_of(values: tuple[Value, ...], column: Column) -> pl.Series:
    """Return a list of values in the column's type.

    Raises:
        ValueError: One of them is no value of the type, in words that go behind the column's name.
    """
    found = []
    for value in values:
        exact = _value(value, column)
        if isinstance(exact, Decimal):
            exact = _fitting(exact, column)
        if exact is None:
            raise ValueError(f"is {column.source_type} and can never be {value!r}")
        found.append(exact)
    return pl.Series(found, dtype=polars_type(column), strict=column.kind not in _FLOATS)


def bound(value: Value, column: Column, which: Literal["min", "max"]) -> Callable[[pl.Expr], pl.Expr]:
    """Return the comparison of the column with a bound of a range, which is included.

    Raises:
        ValueError: The column has no order that a bound could stand in, or the bound is no value of its type.
    """
    if column.kind in {Kind.TEXT, Kind.BINARY, Kind.BOOLEAN}:
        raise ValueError(f"is {column.source_type}, and a range needs numbers, dates or moments; cast it first")
    exact = _value(value, column)
    if isinstance(exact, Decimal):
        return _numeric_bound(exact, column, which)
    literal = pl.lit(exact, dtype=polars_type(column))
    if column.kind in _FLOATS:  # NaN, which Polars takes for the largest number, is in no range
        return lambda v: _compared(v, literal, which) & v.is_not_nan()
    return lambda v: _compared(v, literal, which)


def in_order(low: Value, high: Value, column: Column) -> bool:
    """Return whether the lower bound is not above the upper one, as the column's values."""
    return bool(_value(low, column) <= _value(high, column))


def _compared(values: pl.Expr, literal: pl.Expr, which: Literal["min", "max"]) -> pl.Expr:
    return values >= literal if which == "min" else values <= literal


def _numeric_bound(exact: Decimal, column: Column, which: Literal["min", "max"]) -> Callable[[pl.Expr], pl.Expr]:
    """Compare with the bound that the column's type can hold: 0.5 is at least 1 for a column of integers."""
    scale = (column.scale or 0) if column.kind is Kind.DECIMAL else 0
    step = Decimal(1).scaleb(-scale)
    held = exact.quantize(step, rounding=ROUND_CEILING if which == "min" else ROUND_FLOOR, context=_DIGITS)
    digits = (column.precision or 38) if column.kind is Kind.DECIMAL else 19
    if abs(held) >= Decimal(10) ** (digits - scale):  # beyond all that the column can hold
        always = (held < 0) == (which == "min")
        return lambda v: pl.when(v.is_not_null()).then(pl.lit(always))
    literal = pl.lit(int(held)) if column.kind is Kind.INTEGER else pl.lit(held, dtype=polars_type(column))
    return lambda v: _compared(v, literal, which)


def _fitting(exact: Decimal, column: Column) -> int | Decimal | None:
    """Return a number as the column holds it, or None if it cannot."""
    if column.kind is Kind.INTEGER:
        most = 1 << (column.bits - 1)
        whole = exact == exact.to_integral_value(context=_DIGITS)
        return int(exact) if whole and -most <= exact < most else None
    held = exact.quantize(Decimal(1).scaleb(-(column.scale or 0)), context=_DIGITS)
    fits = held == exact and abs(held) < Decimal(10) ** ((column.precision or 38) - (column.scale or 0))
    return held if fits else None


def _value(value: Value, column: Column) -> Any:
    kind = column.kind
    if kind is Kind.BINARY:
        raise ValueError(f"is {column.source_type}, which values of the configuration cannot be compared with")
    try:
        exact = _read(value, kind)
    except (ValueError, InvalidOperation):
        exact = None
    if exact is None:
        hint = ""
        if isinstance(value, bool):
            hint = "; YAML reads yes, no, on and off as true and false: put it in quotes"
        elif kind is Kind.TEXT:
            hint = "; put it in quotes"
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ValueError(f"is {column.source_type} and needs {_WHAT[kind]} (got {shown}){hint}")
    return exact


def _read(value: Value, kind: Kind) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is Kind.BOOLEAN:
        return value if isinstance(value, bool) else None
    if kind is Kind.TEXT:
        return value if isinstance(value, str) else None
    if kind in _FLOATS:
        return float(value) if is_number else None
    if kind in {Kind.INTEGER, Kind.DECIMAL}:
        return Decimal(str(value)) if is_number else None
    return _read_time(value, kind) if isinstance(value, str) else None


def _read_time(text: str, kind: Kind) -> date | time | datetime | None:
    if kind is Kind.DATE:
        return date.fromisoformat(text)
    if kind is Kind.TIME:
        read = time.fromisoformat(text)
        return None if read.tzinfo else read
    moment = datetime.fromisoformat(text)
    if kind is Kind.TIMESTAMP:
        return None if moment.tzinfo else moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
