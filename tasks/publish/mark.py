"""The last line of a published table's comment: which dataset it holds, in which state, and how many rows."""

import re
from dataclasses import dataclass

_MARK = re.compile(r"\n?\[tidegate ([^\n]+) ([0-9a-f]{64}) (\d+) rows\]\Z")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a comment tells of what was published.

    Attributes:
        state: A digest of what was published, and how.
        rows: Rows of the table when it was.
    """

    dataset: str
    state: str
    rows: int


def mark_of(comment: str | None) -> Mark | None:
    """Return the mark in a comment, or None."""
    found = _MARK.search(comment or "")
    return Mark(found[1], found[2], int(found[3])) if found else None


def marked(comment: str | None, dataset: str, state: str, rows: int | str) -> str:
    """Return a comment in which people's own text stays, and the mark is this one."""
    text = _MARK.sub("", comment or "")
    return f"{text}\n[tidegate {dataset} {state} {rows} rows]".lstrip("\n")
