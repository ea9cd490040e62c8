"""The columns that readers of a dataset see when its generations do not all have the same ones.

Columns are matched by name, whatever its case, because DuckDB does not tell `Id` from `id`. A column that a
generation does not have is NULL in its rows. One whose type changed is read as a type that loses nothing: numbers
as a number that holds both, a float as the wider one, and everything else as text, as DuckDB prints it.
"""

from collections.abc import Iterable
from functools import reduce

from schemas.column_plan import Column, Kind
from schemas.manifest import Manifest

MAX_DECIMAL_DIGITS = 38
_INTEGER_DIGITS = {16: 5, 32: 10, 64: 19}


def common_columns(manifests: Iterable[Manifest]) -> tuple[Column, ...]:
    """Return the columns of all generations, those of the newest one first.

    Args:
        manifests: Oldest first.
    """
    found: dict[str, list[Column]] = {}
    for manifest in reversed(list(manifests)):
        for column in manifest.columns:
            found.setdefault(column.name.casefold(), []).append(column)
    return tuple(reduce(common_column, versions) for versions in found.values())


def common_column(one: Column, other: Column) -> Column:
    """Return the column that holds the values of both; it has the first one's name."""
    if (one.kind, one.bits, one.precision, one.scale) == (other.kind, other.bits, other.precision, other.scale):
        return one
    kinds = {one.kind, other.kind}
    if kinds == {Kind.INTEGER}:
        return _as(one, Kind.INTEGER, bits=max(one.bits, other.bits))
    if kinds <= {Kind.INTEGER, Kind.DECIMAL}:
        return _common_decimal(one, other)
    if kinds == {Kind.FLOAT32, Kind.FLOAT64}:
        return _as(one, Kind.FLOAT64)
    if len(kinds) == 2 and Kind.INTEGER in kinds and kinds & {Kind.FLOAT32, Kind.FLOAT64}:
        bits = one.bits if one.kind is Kind.INTEGER else other.bits
        floating = next(kind for kind in kinds if kind is not Kind.INTEGER)
        if bits <= 32:  # a float32 holds 24 bits exactly, a float64 53
            return _as(one, floating if bits == 16 else Kind.FLOAT64)
    return one if len(kinds) == 1 else _as(one, Kind.TEXT)


def _common_decimal(one: Column, other: Column) -> Column:
    scale = max(one.scale or 0, other.scale or 0)
    precision = scale + max(_whole_digits(one), _whole_digits(other))
    if precision > MAX_DECIMAL_DIGITS:
        return _as(one, Kind.TEXT)
    return _as(one, Kind.DECIMAL, precision=precision, scale=scale)


def _whole_digits(column: Column) -> int:
    if column.kind is Kind.INTEGER:
        return _INTEGER_DIGITS[column.bits]
    assert column.precision is not None and column.scale is not None
    return column.precision - column.scale


def _as(
    column: Column, kind: Kind, *, bits: int = 64, precision: int | None = None, scale: int | None = None
) -> Column:
    change = {"kind": kind, "bits": bits, "precision": precision, "scale": scale}
    return column.model_copy(update=change)
