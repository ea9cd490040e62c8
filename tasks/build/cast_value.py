"""Values of one type made into another one: in a way that fails, and in a way that makes NULL of what does not fit."""

from dataclasses import dataclass

from blocks.duck import text_literal

# What people call types that DuckDB calls otherwise.
_OTHER_NAMES = {"STRING": "VARCHAR", "DATETIME": "TIMESTAMP", "BOOL": "BOOLEAN", "TEXT": "VARCHAR"}
_TIMES = frozenset({"DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})
_MOMENTS = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})
_WHOLE = frozenset({
    "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "UHUGEINT", "INT1", "INT2", "INT4", "INT8", "SHORT", "SIGNED", "LONG", "INT16", "INT32", "INT64", "INT128",
})  # fmt: skip
_TRUE = ("true", "t", "yes", "y", "on", "1", "si", "sí", "s", "verdadero")
_FALSE = ("false", "f", "no", "n", "off", "0", "falso")


@dataclass(frozen=True, slots=True)
class CastValue:
    """SQL of a value in another type.

    Attributes:
        strict: Fails if the value does not fit.
        lenient: NULL if it does not.
        failing: A condition that is true if it does not.
    """

    strict: str
    lenient: str
    failing: str


def cast_value(value: str, kind: str, into: str, date_format: str | None = None) -> CastValue:
    """Return how a value is made one of another type.

    Args:
        value: SQL of the value.
        kind: Its DuckDB type.
        into: The type that it gets, in the words of the configuration.
        date_format: How dates and times are written as text.
    """
    wanted = type_name(into)
    lenient = f"TRY_CAST({value} AS {wanted})"
    strict = f"CAST({value} AS {wanted})"
    if kind == "VARCHAR" and wanted in _TIMES and date_format is not None:
        pattern = text_literal(date_format)
        strict = f"CAST(strptime({value}, {pattern}) AS {wanted})"
        lenient = f"CAST(try_strptime({value}, {pattern}) AS {wanted})"
    elif kind in _MOMENTS and wanted == "VARCHAR" and date_format is not None:
        strict = lenient = f"strftime({value}, {text_literal(date_format)})"
    elif kind == "VARCHAR" and wanted in _WHOLE:
        # DuckDB makes 3 of the text 2.7.
        number = f"TRY_CAST({value} AS DOUBLE)"
        rounded = f"contains({value}, '.') AND {number} <> trunc({number})"
        told = f"error('Could not convert string ' || {value} || ' to {wanted}')"
        strict = f"CASE WHEN {rounded} THEN {told} ELSE {strict} END"
        lenient = f"CASE WHEN {rounded} THEN NULL ELSE {lenient} END"
    elif kind == "VARCHAR" and wanted == "BOOLEAN":
        word = f"lower(trim({value}))"
        words = f"CASE WHEN {word} IN {_in(_TRUE)} THEN true WHEN {word} IN {_in(_FALSE)} THEN false"
        strict = f"{words} ELSE CAST({value} AS BOOLEAN) END"
        lenient = f"{words} END"
    elif kind == "BLOB" and wanted == "BOOLEAN":  # BIT(1) of MySQL
        strict = lenient = f"CASE WHEN {value} IS NOT NULL THEN trim(hex({value}), '0') <> '' END"
    return CastValue(strict, lenient, f"{value} IS NOT NULL AND {lenient} IS NULL")


def type_name(words: str) -> str:
    """Return the name of a type in DuckDB."""
    name = " ".join(words.upper().split())
    return _OTHER_NAMES.get(name, name)


def _in(words: tuple[str, ...]) -> str:
    return f"({', '.join(text_literal(word) for word in words)})"
