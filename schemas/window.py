"""Windows: half-open slices `[start, end)` of the time column, cut at the boundaries of a time zone.

A window's bounds are kept as the time column has them: aware UTC datetimes for `timestamptz`, naive ones
for `timestamp` and `date`. Boundaries are those of the configured time zone, so a month is a month where
the business is, and a day is 23 or 25 hours long when the clocks change.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, model_validator


class WindowUnit(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    PARTITION = "partition"  # whatever the partitions of the table hold


class Window(BaseModel):
    """A half-open slice `[start, end)` of the time column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    end: datetime

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.start.tzinfo is None) != (self.end.tzinfo is None):
            raise ValueError("start and end must both have a time zone, or both have none")
        if self.start >= self.end:
            raise ValueError(f"start ({self.start}) must be before end ({self.end})")
        return self

    @property
    def id(self) -> str:
        """A name that sorts by time and is safe in a path: `20130101T000000Z-20130201T000000Z`."""
        return f"{_stamp(self.start)}-{_stamp(self.end)}"

    def overlaps(self, other: "Window") -> bool:
        """Return whether the two share an instant (windows of another unit or an older cut-off may)."""
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"[{_readable(self.start)}, {_readable(self.end)})"


# The window of a table that is not cut by time.
ALWAYS = Window(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9999, 12, 31, tzinfo=UTC))


def floor_to(moment: datetime, unit: WindowUnit, zone: ZoneInfo) -> datetime:
    """Return the start of the window that holds `moment`: naive stays naive, aware comes back in UTC.

    Where a partition begins, only the database knows: for that unit, it is the moment itself.
    """
    if unit is WindowUnit.PARTITION:
        return moment
    if moment.tzinfo is None:
        return _floor_naive(moment, unit)
    if unit is WindowUnit.HOUR:  # an hour is an hour, also when the clocks go back and its name comes twice
        offset = moment.astimezone(zone).utcoffset() or timedelta()
        shifted = moment.astimezone(UTC).replace(tzinfo=None) + offset
        return (_floor_naive(shifted, unit) - offset).replace(tzinfo=UTC)
    local = _floor_naive(moment.astimezone(zone).replace(tzinfo=None), unit)
    return local.replace(tzinfo=zone).astimezone(UTC)


def next_boundary(start: datetime, unit: WindowUnit, zone: ZoneInfo) -> datetime:
    """Return the end of the window that starts at `start` (a result of `floor_to`)."""
    if unit is WindowUnit.HOUR:
        return start + timedelta(hours=1)
    if start.tzinfo is None:
        return _step(start, unit)
    local = start.astimezone(zone).replace(tzinfo=None)
    return _step(_floor_naive(local, unit), unit).replace(tzinfo=zone).astimezone(UTC)


def windows_holding(
    moments: Iterable[datetime],
    unit: WindowUnit,
    zone: ZoneInfo,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Window]:
    """Yield, in order and once each, the windows that hold `moments`, clipped to `[since, until)`."""
    for start in sorted({floor_to(moment, unit, zone) for moment in moments}):
        end = next_boundary(start, unit, zone)
        clipped_start = max(start, since) if since else start
        clipped_end = min(end, until) if until else end
        if clipped_start < clipped_end:
            yield Window(start=clipped_start, end=clipped_end)


def as_moment(value: date | datetime, zone: ZoneInfo, *, aware: bool) -> datetime:
    """Return a bound given by a person as the time column has it.

    Args:
        value: A date, or a datetime with or without a time zone. Without one, `zone` is meant.
        zone: The configured time zone.
        aware: Whether the time column is a `timestamptz`.
    """
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone).astimezone(UTC) if aware else moment
    return moment.astimezone(UTC) if aware else moment.astimezone(zone).replace(tzinfo=None)


def _floor_naive(moment: datetime, unit: WindowUnit) -> datetime:
    match unit:
        case WindowUnit.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0)
        case WindowUnit.DAY:
            return moment.replace(hour=0, minute=0, second=0, microsecond=0)
        case WindowUnit.MONTH:
            return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        case WindowUnit.YEAR:
            return moment.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
        case WindowUnit.PARTITION:
            raise ValueError("only the database knows where a partition begins")


def _step(start: datetime, unit: WindowUnit) -> datetime:
    match unit:
        case WindowUnit.HOUR:
            return start + timedelta(hours=1)
        case WindowUnit.DAY:
            return start + timedelta(days=1)
        case WindowUnit.MONTH:
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        case WindowUnit.YEAR:
            return start.replace(year=start.year + 1)
        case WindowUnit.PARTITION:
            raise ValueError("only the database knows where a partition ends")


def _stamp(moment: datetime) -> str:
    stamp = f"{moment:%Y%m%dT%H%M%S}"
    if moment.microsecond:
        stamp += f".{moment.microsecond:06d}"
    return f"{stamp}Z" if moment.tzinfo else stamp


def _readable(moment: datetime) -> str:
    text = moment.isoformat(sep=" ", timespec="auto").replace("+00:00", "Z")
    return text.replace(" 00:00:00", "")
