"""Values of one type made into another one: in a way that fails, and in a way that makes NULL of what does not fit."""

from dataclasses import dataclass

from blocks.duck import text_literal

# What people call types that DuckDB calls otherwise.
_OTHER_NAMES = {"STRING": "VARCHAR", "DATETIME": "TIMESTAMP", "BOOL": "BOOLEAN", "TEXT": "VARCHAR"}
_TIMES = frozenset({"DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})
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
