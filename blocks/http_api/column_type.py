"""Which type holds all values of a column of JSON records exactly: none of them is altered by being stored."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from blocks.http_api.json_answer import Number, json_text
from schemas.column_plan import Column, Kind, duckdb_type

TEXT, JSON = "VARCHAR", "JSON"
_INT64, _EXACT = 2**63, 2**53  # a DOUBLE holds every whole number up to 2^53
_MOST_DIGITS = 38
_LONGEST_NUMBER = 400  # what has more digits than any type is text, and need not be looked at closer


@dataclass(slots=True)
class ColumnValues:
    """What was seen of a column's values.

    Attributes:
        name: As the first record wrote it.
        whole_digits: Most digits in front of a number's point.
        scale: Most digits behind it, as far as they say something.
        exact: Whether a DOUBLE holds all the numbers, each as its shortest text says it.
        in_int64: Whether all whole numbers fit into 64 bits.
    """

    name: str
    texts: bool = False
    booleans: bool = False
    nested: bool = False
    wholes: bool = False
    decimals: bool = False
    whole_digits: int = 0
    scale: int = 0
    exact: bool = True
    in_int64: bool = True

    def see(self, value: Any) -> str | None:
        """Note a value, and return the text that stands for it; None for null."""
        if value is None:
            return None
        if isinstance(value, Number):
            self._see_number(value)
            return str(value)
        if isinstance(value, str):
            self.texts = True
            return value
        if isinstance(value, bool):
            self.booleans = True
            return "true" if value else "false"
        self.nested = True
        return json_text(value)

    def _see_number(self, text: str) -> None:
        if len(text) < 16 and (text.isdigit() or text[1:].isdigit()):  # as nearly all are: less than 2^53, too
            self.wholes = True
            self.whole_digits = max(self.whole_digits, len(text))
            return
        try:
            number = Decimal(text)
        except InvalidOperation:  # an exponent beyond everything
            self.decimals, self.exact, self.whole_digits = True, False, _LONGEST_NUMBER
            return
        if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LONGEST_NUMBER:
            self.decimals, self.exact, self.whole_digits = True, False, _LONGEST_NUMBER
            return
        is_whole = text.lstrip("-").isdigit()
        self.wholes, self.decimals = self.wholes or is_whole, self.decimals or not is_whole
        self.whole_digits = max(self.whole_digits, number.adjusted() + 1)
        if is_whole:
            self.in_int64 = self.in_int64 and -_INT64 <= number < _INT64
            self.exact = self.exact and abs(number) <= _EXACT
        else:
            self.scale = max(self.scale, -int(number.normalize().as_tuple().exponent))
            self.exact = self.exact and Decimal(repr(float(text))) == number

    @property
    def is_null(self) -> bool:
        """Whether every value was null."""
        return not (self.texts or self.booleans or self.nested or self.wholes or self.decimals)

    def type(self, known: Column | None = None) -> str:
        """Return the DuckDB type of the column; the one that it had before, if that holds all values as well."""
        if known is not None and self._fits(known):
            return JSON if known.source_type == JSON else duckdb_type(known)
        kinds = [self.texts, self.booleans, self.nested, self.wholes or self.decimals]
        if sum(kinds) != 1 or self.texts:
            return TEXT
        if self.booleans:
            return "BOOLEAN"
        if self.nested:
            return JSON
        if not self.decimals and self.in_int64:
            return "BIGINT"
        if self.decimals and self.exact:
            return "DOUBLE"
        digits = self.whole_digits + self.scale
        return TEXT if digits > _MOST_DIGITS else f"DECIMAL({max(digits, 1)},{self.scale})"

    def _fits(self, known: Column) -> bool:
        if self.is_null:
            return True
        if self.texts or self.booleans or self.nested:
            return False
        if known.kind is Kind.FLOAT64:
            return self.exact
        if known.kind is not Kind.DECIMAL or known.precision is None or known.scale is None:
            return False
        return self.scale <= known.scale and self.whole_digits <= known.precision - known.scale
