"""Records of an API on their way into Parquet: a local file of texts, whose types are known at the end."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blocks.duck import text_literal
from blocks.http_api.column_type import JSON, TEXT, ColumnValues
from schemas.column_plan import Column, quote_identifier

RECORD = "tidegate record"
"""The column with a record's number, counted from 1 over all pages."""

_DIGESTS = 2**256
_SMALLEST_OBJECT_MAX = 1 << 24  # DuckDB's own limit of a line, which a large record may need more than


class BadRecord(Exception):
    """A record cannot be stored as it is; the text says which, and why."""


class RecordFile:
    """Takes records one by one; memory does not grow with them, but for the names of their columns."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("w", encoding="utf-8")
        self._columns: dict[str, ColumnValues] = {}
        self._keys: dict[str, str] = {}
        self._longest = 0
        self._content = 0
        self.records = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that were seen, in their order."""
        return tuple(values.name for values in self._columns.values())

    @property
    def content(self) -> str:
        """A digest of all records, whatever their order."""
        return f"{self.records}-{self._content:064x}"

    def add(self, record: Mapping[str, Any]) -> None:
        """Write a record.

        Raises:
            BadRecord: It has names or texts that no table can hold.
            OSError: There is no room.
        """
        self.records += 1
        line: dict[str, Any] = {"n": self.records}
        kinds = []
        for name, value in record.items():
            values = self._values(name)
            key = self._keys[name]
            if key in line:
                raise BadRecord(f"record {self.records} has '{values.name}' and '{name}', which are one name to DuckDB")
            line[key] = values.see(value)
            kinds.append((name, type(value).__name__))
        try:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
            self._longest = max(self._longest, len(text.encode()))
        except UnicodeEncodeError:
            raise BadRecord(f"record {self.records} holds half of a character (such as \\ud800)") from None
        self._file.write(text + "\n")
        # Of names, types and values, so that 1 is not "1"; a sum, so that the order of records does not matter.
        shape = json.dumps(sorted((name, kind, line[self._keys[name]]) for name, kind in kinds), ensure_ascii=False)
        self._content = (self._content + int.from_bytes(hashlib.sha256(shape.encode()).digest(), "big")) % _DIGESTS

    def finish(self) -> None:
        """Write what is in memory still."""
        self._file.close()

    def source(self) -> str:
        """Return DuckDB SQL that yields the records as texts, under short names, with their numbers in `n`."""
        columns = ", ".join([f"{text_literal(key)}: 'VARCHAR'" for key in self._columns] + ["'n': 'BIGINT'"])
        most = max(_SMALLEST_OBJECT_MAX, self._longest + 2)
        return (
            f"read_json({text_literal(str(self._path))}, format = 'newline_delimited', "
            f"columns = {{{columns}}}, maximum_object_size = {most})"
        )

    def texts(self, names: Iterable[str]) -> dict[str, str]:
        """Return DuckDB SQL of the texts of these columns over `source`; of one that no record has, NULL."""
        return {name: self._keys.get(name) or "CAST(NULL AS VARCHAR)" for name in names}

    def types(self, given: Mapping[str, str], known: Mapping[str, Column], *, keep: bool) -> dict[str, str]:
        """Return the columns and their DuckDB types, in the order in which records had them.

        Args:
            given: Types that the configuration gives; a column that no record has is made of nothing.
            known: The columns that the table had before.
            keep: Whether those that no record has stay columns: answers leave out what is null.
        """
        found = {one.name: given.get(one.name) or one.type(known.get(one.name)) for one in self._columns.values()}
        others = {name: JSON if c.source_type == JSON else c.source_type for name, c in known.items()} if keep else {}
        seen = {name.casefold() for name in found}
        return found | {n: k for n, k in {**others, **given}.items() if n.casefold() not in seen}

    def query(self, types: Mapping[str, str]) -> str:
        """Return DuckDB SQL of the typed records, with their numbers last."""
        texts = self.texts(types)
        values = [f"{typed(texts[name], kind)} AS {quote_identifier(name)}" for name, kind in types.items()]
        return f"SELECT {', '.join([*values, f'n AS {quote_identifier(RECORD)}'])} FROM {self.source()}"

    def _values(self, name: str) -> ColumnValues:
        key = self._keys.get(name)
        if key is not None:
            return self._columns[key]
        if not name.strip() or "\0" in name:
            raise BadRecord(f"record {self.records} has a column without a name")
        same = next((k for k, v in self._columns.items() if v.name.casefold() == name.casefold()), None)
        key = self._keys[name] = same or f"c{len(self._columns)}"
        return self._columns.setdefault(key, ColumnValues(name))


def typed(text: str, kind: str) -> str:
    """Return DuckDB SQL of a text as a value of a type."""
    return text if kind == TEXT else f"CAST({text} AS {kind})"
