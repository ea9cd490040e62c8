"""Text files as UTF-8: looked through once, byte by byte, and rewritten only if they are something else."""

import codecs
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Flag, auto
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

from charset_normalizer import from_bytes

from blocks.file_formats.decompress import CHUNK_BYTES
from blocks.file_formats.opening import Opening

# The longer ones first: that of UTF-32 begins like that of UTF-16.
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
          codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
# Letters of Western Europe, and signs that stand beside words there.
_CAPITALS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ"
_SMALL = "ßàáâãäåæçèéêëìíîïñòóôõöøùúûüœ"
_SIGNS = "€“”‘„–—…°ºª§«»¿¡±´£©®™½²³µ×"
_WESTERN = set(_CAPITALS + _SMALL + _SIGNS + "’·\xa0")
# A sign, or a capital, between small letters: the text is in another encoding.
_IN_A_WORD = re.compile(rf"[a-z{_SMALL}][{_SIGNS}{_CAPITALS}][a-z{_SMALL}]")
_USUAL = ["cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "cp932", "euc_jp", "gb18030",
          "big5", "euc_kr"]  # fmt: skip
_ENOUGH_BYTES = 64
_SAMPLE_BYTES = 256 * 1024
_SAMPLED_LINES = 2_000


class Newlines(Flag):
    """The kinds of newlines that a file has."""

    NONE = 0
    LF = auto()
    CRLF = auto()
    CR = auto()

    @classmethod
    def of(cls, chunk: bytes) -> Self:
        r"""Return the kinds in a piece of a file that does not end between `\r` and `\n`."""
        if b"\r" not in chunk:
            return cls.LF if b"\n" in chunk else cls.NONE
        pairs, feeds, returns = chunk.count(b"\r\n"), chunk.count(b"\n"), chunk.count(b"\r")
        found = cls.CRLF if pairs else cls.NONE
        found |= cls.LF if feeds > pairs else cls.NONE
        return found | (cls.CR if returns > pairs else cls.NONE)


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text file in UTF-8.

    Attributes:
        path: Where it is.
        start: Bytes before the text: those of a byte order mark.
        newlines: The kinds of newlines in it, whatever they mean.
    """

    path: Path
    start: int
    newlines: Newlines

    def open(self) -> BinaryIO:
        """Open it at the beginning of its text."""
        file = self.path.open("rb")
        file.seek(self.start)
        return file


def as_utf8(opening: Opening, *, keep_mark: bool = True) -> PlainText:
    """Return the file as text in UTF-8, rewritten in `scratch` if it is in another encoding.

    Args:
        opening: The file; without an `encoding` in its options, it is found out.
        keep_mark: Whether a byte order mark at the beginning does not matter.

    Raises:
        BadFile: It has bytes that no text in its encoding has, or NULs: the line is named.
    """
    with opening.path.open("rb") as file:
        first = file.read(4096)
    marked = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
    given = opening.options.encoding
    if marked and (given is None or _plain_name(given).startswith(marked)):
        return _transcoded(opening, marked)
    if given is not None and _plain_name(given) not in ("utf-8", "utf-8-sig", "ascii"):
        return _transcoded(opening, given)
    found = _looked_through(opening, first)
    if isinstance(found, str):
        return _transcoded(opening, found)
    if found.start and not keep_mark:
        return _transcoded(opening, "utf-8-sig")
    return found


def _plain_name(encoding: str) -> str:
    return codecs.lookup(encoding).name


def _looked_through(opening: Opening, first: bytes) -> PlainText | str:
    """Return the file as it is if it is UTF-8, or the encoding that it seems to have."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
    place, newlines, accented = 0, Newlines.NONE, bool(start)
    for chunk in _chunks(opening.path):
        if b"\0" in chunk:
            raise _has_nul(opening, place + chunk.index(b"\0"), first)
        pending = len(decoder.getstate()[0])
        if pending or not chunk.isascii():
            try:
                accented = not decoder.decode(chunk).isascii() or accented
            except UnicodeDecodeError as error:
                at = place - pending + error.start
                return _encoding_found(opening, at, accented or _has_utf8(opening.path, at))
        newlines |= Newlines.of(chunk)
        place += len(chunk)
    if decoder.getstate()[0]:
        return _encoding_found(opening, place - len(decoder.getstate()[0]), accented)
    return PlainText(opening.path, start, newlines)


def _chunks(path: Path) -> Iterator[bytes]:
    r"""Yield a file's bytes; no piece ends between `\r` and `\n`."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk + file.read(1) if chunk.endswith(b"\r") else chunk


def _has_utf8(path: Path, end: int) -> bool:
    """Return whether the bytes around and before place `end` have accented letters in UTF-8."""
    with path.open("rb") as file:
        file.seek(max(0, end - CHUNK_BYTES))
        return not file.read(min(end, CHUNK_BYTES)).isascii()


def _encoding_found(opening: Opening, place: int, is_utf8: bool) -> str:
    """Return the encoding of a file that is not UTF-8 at a place.

    Raises:
        BadFile: It is UTF-8 elsewhere, or was said to be, or the encoding cannot be told.
    """
    line = line_at(opening.path, place)
    given = opening.options.encoding
    if is_utf8 or given is not None:
        raise opening.bad(
            f"line {line} has bytes that are not {given or 'UTF-8'}"
            f"{', although text before it is UTF-8: the file is damaged or mixes encodings' if is_utf8 else ''}.",
            "Mend that line, or give the file's `encoding` in the table's `format`, such as cp1252 or iso-8859-1.",
        )
    guess = guess_encoding(_accented_lines(opening.path, place))
    if guess is None:
        raise opening.bad(
            f"line {line} has bytes that are not UTF-8, and what encoding it is in cannot be told.",
            "Give its `encoding` in the table's `format`, such as cp1252, iso-8859-1 or shift_jis.",
        )
    opening.notes.append(f"not UTF-8 (line {line}): taken for {guess}; give `encoding` if that is wrong")
    return guess


def guess_encoding(sample: bytes) -> str | None:
    """Return the encoding that lines are in which are not UTF-8; None if there is too little to tell it from."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    # Of the many look-alikes that a short sample cannot tell apart, this is the usual one, if its letters make sense.
    if text and set(text) - _WESTERN <= set(string.printable) and not _IN_A_WORD.search(text):
        return "cp1252"
    if sum(byte > 127 for byte in sample) < _ENOUGH_BYTES:
        return None
    best = from_bytes(sample, cp_isolation=_USUAL).best()
    return best.encoding if best else None


def _accented_lines(path: Path, place: int) -> bytes:
    """Return lines with other bytes than ASCII, from a place on: what an encoding can be told from."""
    found: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        file.seek(max(0, place - 200))
        for line in iter(lambda: file.readline(64 * 1024), b""):
            if not line.isascii():
                found.append(line)
                size += len(line)
            if size > _SAMPLE_BYTES or len(found) >= _SAMPLED_LINES or file.tell() > place + 64 * 2**20:
                break
    return b"".join(found)


def _has_nul(opening: Opening, place: int, first: bytes) -> Exception:
    if place < len(first) and first.count(0) * 3 > len(first):
        order = "le" if first[1:2] == b"\0" else "be"
        return opening.bad(
            "has a NUL beside every letter, as UTF-16 has, and no byte order mark.",
            f"Give `encoding: utf-16-{order}` in the table's `format`.",
        )
    return opening.bad(
        f"line {line_at(opening.path, place)} has a NUL byte, which no text has: the file is damaged, or is no text.",
        "Ask for the file again, or remove the NUL bytes, then run it again.",
    )


def _transcoded(opening: Opening, encoding: str) -> PlainText:
    """Rewrite the file as UTF-8."""
    target = opening.scratch / f"{uuid4().hex}.utf8"
    decoder = codecs.getincrementaldecoder(encoding)()
    place, lines = 0, 1
    wide = _plain_name(encoding).startswith(("utf-16", "utf-32"))
    looks_like_utf8 = not wide
    last = ""
    with target.open("wb") as out:
        try:
            for chunk in _chunks(opening.path):
                text = decoder.decode(chunk)
                place += len(chunk)
                lines += last.count("\n")
                _no_nul(opening, text, lines)
                out.write(text.encode("utf-8", "strict"))
                last = text
            text = decoder.decode(b"", final=True)
            out.write(text.encode())
        except UnicodeError as error:
            start, bytes_ = getattr(error, "start", 0), getattr(error, "object", b"")
            before = lines + last.count("\n") + bytes_[:start].count(b"\n")
            at = before if wide else line_at(opening.path, place + start)
            raise opening.bad(
                f"line {at} has bytes that are not {encoding}.",
                "Mend that line, or correct `encoding` in the table's `format`.",
            ) from error
    if looks_like_utf8 and opening.options.encoding is not None and _is_utf8(opening.path):
        raise opening.bad(
            f"is UTF-8, but `encoding: {encoding}` is given: every accented letter would come out as two others.",
            "Remove `encoding` from the table's `format`, or give utf-8.",
        )
    newlines = Newlines.NONE
    for chunk in _chunks(target):
        newlines |= Newlines.of(chunk)
    return PlainText(target, 0, newlines)


def _no_nul(opening: Opening, text: str, lines: int) -> None:
    if "\0" in text:
        line = lines + text[: text.index("\0")].count("\n")
        raise opening.bad(
            f"line {line} has a NUL, which no text has: the file is damaged, or is in another encoding.",
            "Ask for the file again, or correct `encoding` in the table's `format`, then run it again.",
        )


def _is_utf8(path: Path) -> bool:
    """Return whether a file has other letters than ASCII, all of them in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    accented = False
    try:
        for chunk in _chunks(path):
            if decoder.getstate()[0] or not chunk.isascii():
                decoder.decode(chunk)
                accented = True
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return accented


def line_at(path: Path, place: int) -> int:
    """Return the number of the line, from 1, that the byte at a place belongs to."""
    feeds = returns = 0
    with path.open("rb") as file:
        while place > 0 and (chunk := file.read(min(CHUNK_BYTES, place))):
            feeds += chunk.count(b"\n")
            returns += chunk.count(b"\r")
            place -= len(chunk)
    return 1 + (feeds or returns)
