"""CSV and TSV: read as text by DuckDB with a dialect that is spelled out, counted by Python's csv module."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from uuid import uuid4

import duckdb

from blocks.duck import text_literal
from blocks.file_formats.csv_dialect import find_dialect, has_header, unique_names
from blocks.file_formats.csv_lines import Record, count_records, records
from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import Newlines, PlainText, as_utf8
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_records import TextRecords

# A record of DuckDB's reader may be so long; its buffers have to be larger.
_MAX_RECORD_BYTES = 16 * 2**20


def open_records(opening: Opening) -> Records:
    """Open a CSV file: delimiter, quote, header and decimal sign are found out where they are not given.

    An empty field is NULL and a quoted empty one is "", unless "" is one of the `null_values`.

    Raises:
        BadFile: It is empty, or its first records are not what they should be.
    """
    return _CsvRecords(opening)


class _CsvRecords(TextRecords):
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        text = as_utf8(opening)
        self._dialect = find_dialect(text, opening)
        self._text = self._with_one_kind_of_newline(text)
        self._skip = opening.options.skip
        names = self._names()
        super().__init__(opening, self._source(names), names, comma=self._comma())

    def count(self) -> int:
        found = count_records(self._text, self._dialect, self._opening, skip=self._skip, fields=self._fields)
        return found - int(self._header)

    def explain(self, error: duckdb.Error) -> BadFile:
        try:
            return super().explain(error)
        except BadFile as found:  # looking for the line, the csv module stumbled too
            return found

    def _place_of(self, column: int, value: str) -> str:
        for record in self._records():
            if len(record.fields) > column and record.fields[column][:200] == value:
                return f"line {record.line}"
        return ""

    def _wrong_line(self, error: duckdb.Error) -> BadFile:
        """Look for what DuckDB stumbled over with the csv module, which says it in words that help."""
        for record in self._records():
            if record.fields and len(record.fields) != self._fields:
                return self._opening.bad(
                    f"line {record.line} has {len(record.fields)} fields; "
                    f"{'the header' if self._header else 'the first line'} has {self._fields}.",
                    "Mend that line (a value with a delimiter in it has to be quoted), or correct `delimiter`, `quote` "
                    "and `skip` in the table's `format`.",
                )
            if len(record.raw) > _MAX_RECORD_BYTES:
                return self._opening.bad(
                    f"line {record.line} begins a record of {len(record.raw):,} characters; "
                    f"{_MAX_RECORD_BYTES:,} bytes are the most.",
                    "See whether a quote is missing there; store values that large in files of their own.",
                )
        return super()._wrong_line(error)

    def _records(self) -> Iterator[Record]:
        found = records(self._text, self._dialect, self._opening, skip=self._skip)
        return islice(found, int(self._header), None)

    def _with_one_kind_of_newline(self, text: PlainText) -> PlainText:
        r"""Return the file with `\n` at the end of records if it has several kinds: DuckDB takes one kind only."""
        if text.newlines in (Newlines.NONE, Newlines.LF, Newlines.CRLF, Newlines.CR):
            return text
        target = self._opening.scratch / f"{uuid4().hex}.csv"
        with target.open("w", encoding="utf-8", newline="") as out:
            # Skipped lines are no records, but lines they stay.
            for record in records(text, self._dialect, self._opening):
                out.write(record.raw.rstrip("\r\n") if not record.fields else _without_end(record.raw))
                out.write("\n")
        # Newlines within values are as they were: they need not be looked for again.
        return replace(text, path=target, start=0, newlines=text.newlines | Newlines.LF)

    def _names(self) -> list[str]:
        """Find out the columns' names, and whether the first record has them."""
        first = [
            record.fields for record in islice(records(self._text, self._dialect, self._opening, skip=self._skip), 50)
        ]
        sample = [fields for fields in first if fields]
        if not sample:
            raise self._opening.bad("is empty: it has no header and no record.", "Ask for the file again.")
        given = self._opening.options.header
        self._header = has_header(sample) if given is None else given
        self._fields = len(sample[0])
        # Blank lines in front of the header are no records of a file with several columns.
        self._skip += next(n for n, fields in enumerate(first) if fields)
        if self._header:
            self._columns = unique_names(sample[0], self._opening.notes)
        else:
            self._columns = [f"column_{place}" for place in range(1, self._fields + 1)]
            if given is None:
                self._opening.notes.append(
                    "no header: columns are called column_1, column_2, …; give `header` if it has"
                )
        return self._columns

    def _comma(self) -> bool | None:
        """Return whether decimals come after a comma; None to find out, where a comma is not what parts fields."""
        given = self._opening.options.decimal
        if given is not None:
            return given == ","
        return False if self._dialect.delimiter == "," else None

    def _source(self, names: Sequence[str]) -> str:
        options = self._opening.options
        nulls = ", ".join(text_literal(text) for text in dict.fromkeys(("", *options.null_values)))
        columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in names)
        newline = ["new_line = '\\n'"] if Newlines.LF in self._text.newlines else []
        arguments = [
            text_literal(str(self._text.path)),
            "auto_detect = false",
            f"columns = {{{columns}}}",
            f"delim = {text_literal(self._dialect.delimiter)}",
            f"quote = {text_literal(self._dialect.quote)}",
            f"escape = {text_literal(self._dialect.escape)}",
            f"header = {str(self._header).lower()}",
            f"skip = {self._skip}",
            f"nullstr = [{nulls}]",
            f"allow_quoted_nulls = {str('' in options.null_values).lower()}",
            f"max_line_size = {_MAX_RECORD_BYTES}",
            "comment = ''",
            "strict_mode = true",
            *newline,
        ]
        return f"read_csv({', '.join(arguments)})"


def _without_end(raw: str) -> str:
    """Return a record without the newline that ends it."""
    return raw.removesuffix("\n").removesuffix("\r")
