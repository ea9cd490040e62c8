"""Names that others give to files: which fit a pattern, and which are not to be touched at all.

A name is never used as a path on this machine: local copies have names of our own. It does become a part of a path at
its place, and it is printed and stored, so it has to be one plain name.
"""

import re
from collections.abc import Iterable
from functools import cache

from blocks.file_places.place import LeftOut, PlacedFile

_MAGIC = re.compile(r"[*?[]")


def has_magic(pattern: str) -> bool:
    """Return whether a pattern can fit more than one path."""
    return bool(_MAGIC.search(pattern))


def fault_of(name: str) -> str:
    """Return why a name must not be used as a part of a path, as the end of a sentence; "" if it may be."""
    if name in ("", ".", ".."):
        return "it is no name of a file"
    if "/" in name or "\\" in name:
        return "it has a slash or a backslash in it, which would lead elsewhere"
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
        return "it has a control character in it"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "it is not valid UTF-8"
    return ""


def harmless(name: str) -> str:
    """Return a name in which everything that makes it a bad one is an `x`: to see which pattern it was meant for."""
    return "".join("x" if character != "." and fault_of(character) else character for character in name)


def printable(name: str) -> str:
    """Return a name in which everything that is no plain text is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def left_out(name: str, reason: str) -> LeftOut:
    """Return the note of a name that is left out."""
    return LeftOut(printable(name)[:300], reason)


class Pattern:
    """Which paths a pattern fits: `*`, `?` and `[…]` stay within a part, `**` stands for any number of folders."""

    def __init__(self, pattern: str) -> None:
        self._parts = tuple(part for part in pattern.split("/") if part not in ("", "."))

    @property
    def fixed(self) -> tuple[str, ...]:
        """The folders that all fitting paths begin with."""
        first = next((n for n, part in enumerate(self._parts) if has_magic(part)), len(self._parts))
        return self._parts[: min(first, len(self._parts) - 1)]

    def fits(self, path: str) -> bool:
        """Return whether a path of a file fits."""
        return _fits(tuple(path.split("/")), self._parts)

    def may_hold(self, folder: str) -> bool:
        """Return whether a folder can have fitting files in it, or below it."""
        return _leads_to(tuple(folder.split("/")), self._parts)


def by_path(files: Iterable[PlacedFile]) -> list[PlacedFile]:
    """Return files in the order of their paths."""
    return sorted(files, key=lambda file: file.path)


@cache
def _regex(part: str) -> re.Pattern[str]:
    """Return what one part of a pattern stands for. Unlike `fnmatch`, a `[` that is never closed stands for itself."""
    found, place = "", 0
    while place < len(part):
        character = part[place]
        place += 1
        closed = part.find("]", place + (2 if part[place : place + 1] == "!" else 1)) if character == "[" else -1
        if character == "*":
            found += ".*"
        elif character == "?":
            found += "."
        elif closed > 0:
            inner, place = part[place:closed], closed + 1
            negated, inner = inner.startswith("!"), inner.removeprefix("!")
            kept = re.sub(r"([\\\[\]^&|~])", r"\\\1", inner)
            found += f"[{'^' if negated else ''}{kept}]"
        else:
            found += re.escape(character)
    return re.compile(found, re.DOTALL)


def _fits(path: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not parts:
        return not path
    if parts[0] == "**":
        return any(_fits(path[n:], parts[1:] or ("*",)) for n in range(len(path)))
    return bool(path) and bool(_regex(parts[0]).fullmatch(path[0])) and _fits(path[1:], parts[1:])


def _leads_to(folder: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if len(parts) > 0 and parts[0] == "**":
        return True
    if len(parts) < 2:  # what is left of the pattern is a file's name
        return False
    if not _regex(parts[0]).fullmatch(folder[0]):
        return False
    return len(folder) == 1 or _leads_to(folder[1:], parts[1:])
