"""Text whose columns have fixed places: lines are cut by characters, and the blanks at the end of a field dropped."""

import io
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import duckdb

from blocks.duck import text_literal
from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import Newlines, PlainText, as_utf8
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_records import TextRecords
from schemas.column_plan import quote_identifier

# No text has these four in a row: each line is one value.
_NO_DELIMITER = "\x1f\x1e\x1d\x1c"
_MAX_LINE_BYTES = 16 * 2**20


def open_records(opening: Opening) -> Records:
    """Open a file of fixed width.

    A field of blanks, or beyond the end of its line, is NULL. Only the last field may be cut short by the end
    of its line: a line that ends before the last field begins is an error, for it may have been cut. Blank lines are
    no records.

    Raises:
        BadFile: It is empty, or its lines are not as long as its fields.
    """
    return _FixedRecords(opening)


class _FixedRecords(TextRecords):
    def __init__(self, opening: Opening) -> None:
        self._fields = opening.options.fields
        if not self._fields:
            raise opening.bad("is of fixed width, but its fields are not given.", "Give `fields` in `format`.")
        self._least = max(field.start for field in self._fields)
        text = as_utf8(opening)
        # DuckDB takes one kind of newline in a file; what is not at the end of a line is no newline here.
        self._text = text if text.newlines in (Newlines.LF, Newlines.NONE) else _with_line_feeds(text, opening)
        if not any(True for _ in self._lines()):
            raise opening.bad("is empty: it has no record.", "Ask for the file again.")
        decimal = opening.options.decimal
        names = [field.name for field in self._fields]
        super().__init__(opening, self._source(opening), names, comma=None if decimal is None else decimal == ",")

    def count(self) -> int:
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines that are records, with their numbers from 1."""
        skip = self._opening.options.skip if hasattr(self, "_opening") else 0
        with self._text.open() as file:
            for number, line in enumerate(io.TextIOWrapper(file, encoding="utf-8", newline="\n"), start=1):
                if number > skip and line.strip(" \r\n"):
                    yield number, line.rstrip("\r\n")

    def _source(self, opening: Opening) -> str:
        nulls = ["", *opening.options.null_values]
        listed = ", ".join(text_literal(text) for text in dict.fromkeys(nulls))
        cut = ", ".join(
            f"rtrim(substring(line, {field.start}, {field.width}), ' ') AS {quote_identifier(field.name)}"
            for field in self._fields
        )
        kept = ", ".join(
            f"CASE WHEN {quote_identifier(field.name)} IN ({listed}) THEN NULL ELSE {quote_identifier(field.name)} END "
            f"AS {quote_identifier(field.name)}"
            for field in self._fields
        )
        lines = (
            f"read_csv({text_literal(str(self._text.path))}, auto_detect = false, columns = {{'line': 'VARCHAR'}}, "
            f"delim = {text_literal(_NO_DELIMITER)}, quote = '', escape = '', header = false, comment = '', "
            f"skip = {opening.options.skip}, new_line = '\\n', nullstr = '{_NO_DELIMITER[::-1]}', "
            f"max_line_size = {_MAX_LINE_BYTES})"
        )
        whole = f"CASE WHEN length(line) < {self._least} THEN error('{_SHORT}') ELSE line END"
        return f"(SELECT {kept} FROM (SELECT {cut} FROM (SELECT {whole} AS line FROM {lines} WHERE trim(line) <> '')))"

    def _place_of(self, column: int, value: str) -> str:
        field = self._fields[column]
        for number, line in self._lines():
            if line[field.start - 1 : field.start - 1 + field.width].rstrip(" ")[:200] == value:
                return f"line {number}"
        return ""

    def _wrong_line(self, error: duckdb.Error) -> BadFile:
        for number, line in self._lines():
            if len(line) < self._least:
                last = max(self._fields, key=lambda field: field.start)
                return self._opening.bad(
                    f"line {number} has {len(line)} characters; field {last.name} begins at {last.start}.",
                    "See whether the line was cut; correct `fields` or `skip` in the table's `format` if it is whole.",
                )
        return super()._wrong_line(error)


_SHORT = "tidegate-short-line"


def _with_line_feeds(text: PlainText, opening: Opening) -> PlainText:
    r"""Return the file with `\n` at the end of each line."""
    target = opening.scratch / f"{uuid4().hex}.txt"
    with text.open() as file, target.open("w", encoding="utf-8", newline="\n") as out:
        for line in io.TextIOWrapper(file, encoding="utf-8", newline=None):
            out.write(line)
    return replace(text, path=target, start=0, newlines=Newlines.LF)
