"""The name of a table as an operator writes it: `flights`, `public.flights`, `"Odd Schema"."T;x"`."""

import re
from dataclasses import dataclass
from typing import Self

DEFAULT_SCHEMA = "public"

_PLAIN = r"[^\W\d][\w$]*"
_QUOTED = r'"(?:[^"\0]|"")+"'
_PART = re.compile(rf"{_QUOTED}|{_PLAIN}")


@dataclass(frozen=True, slots=True)
class TableName:
    """A schema and a table, both as the database has them in its catalogue: without quotes, case kept.

    Names are never folded to lower case, unlike in SQL: `public.Flights` means the table `Flights`. Columns in the
    configuration are meant to the letter too, and a wrong guess would only show as another table's rows.
    """

    schema_name: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `table`, `schema.table` or the same with double-quoted parts.

        Raises:
            ValueError: The text is none of these; it says how to write a name with odd characters.
        """
        text = text.strip()
        parts = _split(text)
        if len(parts) > 2:
            raise ValueError("must be a table or schema.table; the database is named by the source's connection")
        return cls(schema_name=parts[0] if len(parts) == 2 else DEFAULT_SCHEMA, name=parts[-1])

    def __str__(self) -> str:
        return f"{_written(self.schema_name)}.{_written(self.name)}"


def _split(text: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while True:
        part = _PART.match(text, position)
        if part is None:
            raise _unreadable()
        parts.append(_unquoted(part.group()))
        position = part.end()
        if position == len(text):
            return parts
        if text[position] != ".":
            raise _unreadable()
        position += 1


def _unreadable() -> ValueError:
    return ValueError(
        "must be a table or schema.table; a part with spaces, dots, quotes or other signs stands in double quotes,"
        """ the whole in single ones for YAML: '"Odd Schema"."T;x"'"""
    )


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _written(part: str) -> str:
    if re.fullmatch(_PLAIN, part):
        return part
    return '"' + part.replace('"', '""') + '"'
