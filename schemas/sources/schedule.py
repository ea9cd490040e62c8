"""When a source is read by itself: a cron expression, as cron and Prefect understand it."""

import re
from typing import Annotated

from pydantic import AfterValidator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORT = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
# What each field is called, its lowest and its highest number, and its names, which begin at the lowest.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)
_DAYS_OF = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


def cron(text: str) -> str:
    """Return the expression, its fields parted by single spaces.

    Raises:
        ValueError: It is none; the text says which field is wrong, and what would be right.
    """
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in _SHORT:
            raise ValueError(
                f"must be a cron expression of five fields such as 0 2 * * *, or one of {', '.join(_SHORT)}"
            )
        return fields[0].lower()
    try:
        if len(fields) != len(_FIELDS):
            raise ValueError(f"there are {len(fields)} fields")
        values = [_values(field, *known) for field, known in zip(fields, _FIELDS, strict=True)]
        if fields[4].startswith("*") and not _a_day_that_comes(values[2], values[3]):
            raise ValueError("there is no such day in these months")
    except ValueError as error:
        raise ValueError(f"must be a cron expression of five fields such as 0 2 * * *; {error}") from None
    return " ".join(fields)


def _values(field: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {name} '{part}' is no number, range (1-5), step (*/15) or list (1,15) of them")
        step = _number(match["step"] or "1", f"step of the {name}", 1, highest, ())
        if match["first"] is None:
            found |= set(range(lowest, highest + 1, step))
            continue
        first = _number(match["first"], name, lowest, highest, names)
        last = (
            _number(match["last"], name, lowest, highest, names)
            if match["last"]
            else highest
            if match["step"]
            else first
        )
        if last < first:
            raise ValueError(f"the {name} '{part}' ends before it begins")
        found |= set(range(first, last + 1, step))
    return found


def _number(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return lowest + names.index(text.lower())
    if not text.isdigit():
        also = f" or one of {', '.join(names)}" if names else ""
        raise ValueError(f"the {name} {text} is not a number between {lowest} and {highest}{also}")
    if len(text) > 4 or not lowest <= int(text) <= highest:
        raise ValueError(f"the {name} {text} is not between {lowest} and {highest}")
    return int(text)


def _a_day_that_comes(days: set[int], months: set[int]) -> bool:
    return any(min(days) <= _DAYS_OF.get(month, 31) for month in months)


Schedule = Annotated[str, AfterValidator(cron)]
"""A cron expression of five fields, or a name such as `@daily`."""
