"""How far an API has been read: the highest value of a column, compared as what it means and kept as it was written."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from blocks.http_api.json_answer import kind_of

_NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?")
_MOST_KEYS_SHOWN = 20


class BadWatermark(Exception):
    """A value is neither a number nor a moment, or no record has one; the text says which."""


class HighestValue:
    """The highest value that was seen.

    Args:
        column: Name of the column in the records.
        before: The highest value of earlier runs, or None.

    Raises:
        BadWatermark: `before` is neither a number nor a moment.
    """

    def __init__(self, column: str, before: str | None = None) -> None:
        self._column, self.text = column, before
        self._highest = None if before is None else _meaning(before)
        self._keys: tuple[str, ...] | None = None
        self._has_column = False

    def see(self, record: Mapping[str, Any], number: int) -> None:
        """Note a record's value; null is none.

        Raises:
            BadWatermark: The value is neither a number nor a moment, or not of the same kind as the others.
        """
        self._keys = self._keys or tuple(record)
        if self._column not in record:
            return
        self._has_column, value = True, record[self._column]
        if value is None:
            return
        meaning = _meaning(value) if isinstance(value, str) else None
        if meaning is None:
            raise BadWatermark(
                f"record {number} has {kind_of(value)} as {self._column} (extract.key_column), "
                "and neither a number nor a moment in ISO 8601"
            )
        if self._highest is not None and type(self._highest) is not type(meaning):
            raise BadWatermark(
                f"record {number} has {kind_of(value)} as {self._column} (extract.key_column), where the highest so "
                f"far is {self.text}: numbers and moments cannot be compared"
            )
        if self._highest is None or (meaning, value) > (self._highest, self.text):
            self._highest, self.text = meaning, str(value)

    def check(self) -> None:
        """Find out whether there was anything to note.

        Raises:
            BadWatermark: There were records, and none has the column.
        """
        if self._keys is not None and not self._has_column:
            known = ", ".join(self._keys[:_MOST_KEYS_SHOWN])
            raise BadWatermark(f"no record has {self._column} (extract.key_column); the first one has: {known}")


def _meaning(text: str) -> Decimal | datetime | None:
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
