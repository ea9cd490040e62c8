"""Windows, sizes and numbers as people read them."""

from datetime import datetime, timedelta, tzinfo


def window_label(start: datetime, end: datetime, zone: tzinfo | None = None) -> str:
    """Return `2024`, `2024-01`, `2024-01-31` or `2024-01-31 05:00` for a whole year, month, day or hour.

    Args:
        start: Where the window begins.
        end: Where it ends (not included).
        zone: The project's time zone, in which an aware window begins and ends; as it is if None.
    """
    if zone is not None and start.tzinfo is not None:
        start, end = start.astimezone(zone), end.astimezone(zone)
    first, last = start.replace(tzinfo=None), end.replace(tzinfo=None)
    if first == first.replace(hour=0, minute=0, second=0, microsecond=0):
        if first.month == first.day == 1 and last == first.replace(year=first.year + 1):
            return f"{first:%Y}"
        if first.day == 1 and last == (first + timedelta(days=32)).replace(day=1):
            return f"{first:%Y-%m}"
        if last == first + timedelta(days=1):
            return f"{first:%Y-%m-%d}"
    if end - start == timedelta(hours=1):
        return f"{start:%Y-%m-%d %H:%M}"
    return f"{_moment(first)} to {_moment(last)}"


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ").removesuffix(" 00:00:00")


def size_text(size_bytes: int) -> str:
    """Return a number of bytes with a unit of thousands: `999 B`, `1.2 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def number(count: int) -> str:
    """Return a count with separators, and a dot for none, so that what happened stands out."""
    return f"{count:,}" if count else "·"
