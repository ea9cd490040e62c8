"""Records of a CSV file by Python's csv module: their places, their number, and where one is not what it should be."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blocks.file_formats.decompress import CHUNK_BYTES
from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import Newlines, PlainText, line_at

# The csv module's own limit for a field is 128 KB.
csv.field_size_limit(2**31 - 1)

MOST_CHARACTERS = 32 * 2**20
"""Of one record: where a quote is never closed, the rest of the file would be one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records of a file are written: `quote` and `escape` are "" if there is none."""

    delimiter: str
    quote: str
    escape: str

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Return the csv module's reader for it."""
        doubled = self.escape in ("", self.quote)
        return csv.reader(
            lines,
            delimiter=self.delimiter if len(self.delimiter) == 1 else "\x1f",
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            doublequote=doubled,
            escapechar=None if doubled or not self.quote else self.escape,
            skipinitialspace=bool(self.quote),
            strict=True,
        )

    def split(self, line: str) -> str:
        """Return a line so that `reader` can split it: it knows delimiters of one character only."""
        return line if len(self.delimiter) == 1 else line.replace(self.delimiter, "\x1f")


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the csv module reads it: its fields, its first line from 1, and the lines as they are in the file."""

    fields: list[str]
    line: int
    raw: str


class _Taken:
    """Lines that a reader takes one by one, kept until they are asked for."""

    def __init__(self, lines: Iterator[str], dialect: Dialect) -> None:
        self._lines, self._dialect = lines, dialect
        self._taken: list[str] = []
        self._size = self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._taken.append(line)
            self._size += len(line)
            self.number += 1
            if self._size > MOST_CHARACTERS:
                raise csv.Error(f"it goes on for more than {MOST_CHARACTERS:,} characters; a quote may not be closed")
            yield self._dialect.split(line)

    def take(self) -> str:
        """Return the lines since the last time, as they are in the file."""
        taken = "".join(self._taken)
        self._taken.clear()
        self._size = 0
        return taken


def records(text: PlainText, dialect: Dialect, opening: Opening, *, skip: int = 0) -> Iterator[Record]:
    """Yield the records of a file; blank lines come as records without fields.

    Raises:
        BadFile: A quote is not closed, or something stands between a closing quote and the next delimiter.
    """
    with text.open() as file:
        lines = iter(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        source = _Taken(lines, dialect)
        for _ in range(skip):
            next(lines, None)
            source.number += 1
        reader = dialect.reader(iter(source))
        while True:
            before = source.number
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise broken(opening, before + 1, source.number, str(error)) from error
            if fields is None:
                return
            yield Record(fields, before + 1, source.take())


def broken(opening: Opening, first: int, last: int, why: str) -> Exception:
    """Return the error that the record of some lines cannot be read."""
    if "unexpected end of data" in why:
        return opening.bad(
            f"line {first} opens a quote that is never closed (the file ends at line {last}).",
            "Close it, or double a quote that is part of a value; give `quote: ''` in `format` if quotes mean nothing.",
        )
    where = f"line {first}" if first == last else f"the record of lines {first} to {last}"
    return opening.bad(
        f"{where} cannot be split into fields: {why}.",
        "Double a quote that is part of a quoted value, or correct `quote` and `escape` in the table's `format`.",
    )


def count_records(text: PlainText, dialect: Dialect, opening: Opening, *, skip: int, fields: int) -> int:
    """Count the records after `skip` lines; a blank line is one only in a file of one column.

    Where the delimiters and newlines that are not in quotes are those of records with so many fields, counting them is
    all there is to do; the csv module reads the other pieces of the file.

    Raises:
        BadFile: A quote is not closed, or something stands between a closing quote and the next delimiter.
    """
    quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
    count, ends = 0, b"\r" if text.newlines is Newlines.CR else b"\n"
    quick = dialect.escape in ("", dialect.quote) and len(delimiter) == 1 and Newlines.CR not in text.newlines
    meaningless = bytes(set(range(256)) - set(quote + delimiter + b"\n"))
    with text.open() as file:
        for _ in range(skip):
            _line(file, ends)
        while piece := file.read(CHUNK_BYTES):
            start = file.tell() - len(piece)
            if not piece.endswith(ends):
                piece += _line(file, ends)
            counted = None
            if quick:
                piece += b"".join(_rest_of_quoted(piece, quote, file))
                shape = piece.translate(None, meaningless)
                counted = _counted(_outside_of_quotes(shape, quote), delimiter * (fields - 1), piece.endswith(ends))
            if counted is None:
                # The rest of the last record may be in the lines that follow.
                counted = _by_reader(piece, file, ends, dialect, opening, start, blank_counts=fields == 1)
            count += counted
    return count


def _rest_of_quoted(piece: bytes, quote: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines up to the one that closes the quote which a piece leaves open; not for ever."""
    size, is_open = 0, bool(quote) and piece.count(quote) % 2 == 1
    while is_open and size < MOST_CHARACTERS and (line := file.readline()):
        yield line
        size += len(line)
        is_open ^= line.count(quote) % 2 == 1


def _outside_of_quotes(shape: bytes, quote: bytes) -> bytes | None:
    """Return the delimiters and newlines that are not in quotes; None if the last quote is not closed."""
    if not quote or quote not in shape:
        return shape
    # Most quotes have nothing of interest between them.
    parts = shape.replace(quote + quote, b"").split(quote)
    return b"".join(parts[::2]) if len(parts) % 2 else None


def _counted(shape: bytes | None, record: bytes, finished: bool) -> int | None:
    """Return the number of records in a shape; None if it has others than those of one kind."""
    if shape is None:
        return None
    whole = shape if finished else shape + b"\n"
    records = whole.count(b"\n")
    if whole == (record + b"\n") * records:
        return records
    lines = whole.removesuffix(b"\n").split(b"\n")
    full = lines.count(record)
    return full if full + lines.count(b"") == len(lines) else None


def _line(file: BinaryIO, ends: bytes) -> bytes:
    """Return the bytes up to and with the next end of a line."""
    if ends == b"\n":
        return file.readline()
    found = bytearray()
    while not found.endswith(ends) and (one := file.read(1)):
        found += one
    return bytes(found)


def _by_reader(
    piece: bytes, file: BinaryIO, ends: bytes, dialect: Dialect, opening: Opening, start: int, *, blank_counts: bool
) -> int:
    """Return the number of records that begin in a piece of the file, which begins at a place."""

    def lines() -> Iterator[str]:
        yield from own
        while more := _line(file, ends):
            yield from io.StringIO(more.decode(), newline="")

    own = list(io.StringIO(piece.decode(), newline=""))
    source = _Taken(lines(), dialect)
    reader = dialect.reader(iter(source))
    count = 0
    while source.number < len(own):
        before = source.number
        try:
            fields = next(reader, None)
        except csv.Error as error:
            line = line_at(Path(file.name), start)
            raise broken(opening, line + before, line + source.number - 1, str(error)) from error
        if fields is None:
            break
        count += bool(fields) or blank_counts
        source.take()
    return count
