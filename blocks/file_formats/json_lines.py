"""JSON documents as lines of one record each, which DuckDB reads as a stream, and numbers that it would round.

DuckDB reads a number with decimals as a DOUBLE. One that is not the same as a DOUBLE becomes a string on its line:
its digits stay.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from uuid import uuid4

from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import PlainText

_PIECE_CHARACTERS = 2**20
_BLANK = " \t\r\n"
_MOST_CHARACTERS = 64 * 2**20  # of one record

# A string, or a number that has decimals or an exponent.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)', re.DOTALL)
# What may be such a number that a DOUBLE does not keep: many digits, or an exponent.
_DOUBTFUL = re.compile(rb"[0-9]\.?[0-9.]{15}|[0-9][eE][-+]?[0-9]")


def has_doubtful_numbers(path: Path) -> bool:
    """Return whether there may be numbers in a file that a DOUBLE does not keep."""
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(4 * 2**20):
            if _DOUBTFUL.search(rest + piece):
                return True
            rest = piece[-40:]
    return False


def as_lines(text: PlainText, opening: Opening, records: Iterator[str]) -> Path:
    """Write records as lines, with the digits of all numbers kept, and return where."""
    target = opening.scratch / f"{uuid4().hex}.jsonl"
    with target.open("w", encoding="utf-8", newline="") as out:
        for record in records:
            out.write(_TOKEN.sub(_kept, record).replace("\n", " ").replace("\r", " "))
            out.write("\n")
    return target


def _kept(token: re.Match[str]) -> str:
    """Return a number as it is if it is a DOUBLE, else as a string."""
    text = token[0]
    if text.startswith('"'):
        return text
    try:
        same = Decimal(repr(float(text))) == Decimal(text)
    except (InvalidOperation, ValueError, OverflowError):
        same = False
    return text if same else f'"{text}"'


def lines_of(text: PlainText) -> Iterator[str]:
    """Yield the lines of a file that are not blank."""
    with text.open() as file:
        for line in file:
            if line.strip():
                yield line.decode()


def elements(text: PlainText, opening: Opening) -> Iterator[str]:
    """Yield the elements of the list at the top of a document, as they are written.

    Raises:
        BadFile: What is there is no JSON; the record and its line are named.
    """
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # of a number of 5,000 digits, Python makes none
    buffer = _Buffer(text)
    buffer.skip_blanks()
    assert buffer.take() == "["
    number = 0
    buffer.skip_blanks()
    if buffer.peek() == "]":
        buffer.take()
    else:
        while True:
            number += 1
            yield buffer.value(decoder, opening, number)
            buffer.skip_blanks()
            sign = buffer.take()
            if sign == "]":
                break
            if sign != ",":
                raise opening.bad(
                    f"line {buffer.line}: {'the file ends' if not sign else repr(sign) + ' stands'} after record "
                    f"{number}, where `,` or `]` should be.",
                    "Ask for the file again if it was cut off.",
                )
            buffer.skip_blanks()
    buffer.skip_blanks()
    if rest := buffer.take():
        raise opening.bad(f"line {buffer.line}: {rest!r} stands after the end of the list.")


class _Buffer:
    """A file's characters from a place on, as many as are needed."""

    def __init__(self, text: PlainText) -> None:
        self._file = text.path.open("r", encoding="utf-8-sig", newline="")
        self._text, self._at, self.line = "", 0, 1

    def _more(self) -> bool:
        piece = self._file.read(max(_PIECE_CHARACTERS, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + piece, 0
        if not piece:
            self._file.close()
        return bool(piece)

    def peek(self) -> str:
        if self._at >= len(self._text) and (self._file.closed or not self._more()):
            return ""
        return self._text[self._at]

    def take(self) -> str:
        sign = self.peek()
        self._at += len(sign)
        self.line += sign == "\n"
        return sign

    def skip_blanks(self) -> None:
        while (sign := self.peek()) and sign in _BLANK:
            self.take()

    def value(self, decoder: json.JSONDecoder, opening: Opening, number: int) -> str:
        """Take one JSON value and return it as it is written."""
        self.skip_blanks()
        while True:
            try:
                _, end = decoder.raw_decode(self._text, self._at)
                # A number may go on behind what has been read so far.
                if end < len(self._text) or self._file.closed or not self._more_behind():
                    break
            except (json.JSONDecodeError, RecursionError) as error:
                size = len(self._text) - self._at
                if isinstance(error, json.JSONDecodeError) and size < _MOST_CHARACTERS and self._may_be_cut(error):
                    continue
                message = getattr(error, "msg", "nested too deeply")
                inside = self._text[self._at : getattr(error, "pos", self._at)].count("\n")
                raise opening.bad(
                    f"line {self.line + inside}: record {number} is no JSON: {message}.",
                    "Ask for the file again if it was cut off, or have it written by a JSON library.",
                ) from error
        found = self._text[self._at : end]
        self._at = end
        self.line += found.count("\n")
        return found

    def _more_behind(self) -> bool:
        return not self._file.closed and self._more()

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Return whether an error may come of what has not been read yet, after reading more."""
        near_end = error.pos >= len(self._text) - 40 or error.msg.startswith("Unterminated string")
        return near_end and not self._file.closed and self._more()
