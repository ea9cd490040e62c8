"""Dates that MySQL holds and no calendar has: `2024-00-10`, `2024-02-31`, `0000-00-00`; where they stand in time."""

from calendar import monthrange
from datetime import date, datetime, timedelta


def last_moment_not_after(text: str) -> datetime:
    """Return the latest moment that is not after what a DATE or DATETIME prints, at an hour's or a day's grain.

    MySQL compares them by year, month and day, in this order: the 0th of March comes after February, and the 31st
    of February before March.

    Args:
        text: `2024-02-29`, or `2024-02-29 13` with the hour.
    """
    day, _, hour = text.partition(" ")
    year, month, number = (int(part) for part in day.split("-"))
    if year < 1:
        return datetime.min
    if month < 1:
        return _end_of(date(year, 1, 1) - timedelta(days=1)) if year > 1 else datetime.min
    if number < 1:
        first = date(year, month, 1)
        return _end_of(first - timedelta(days=1)) if first > date.min else datetime.min
    last = monthrange(year, month)[1]
    if number > last:
        return _end_of(date(year, month, last))
    return datetime(year, month, number, int(hour or 0))


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23)
