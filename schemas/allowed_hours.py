"""The hours of the day in which work may be done, in words: `22:00-06:00, 12:00-13:00 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from schemas.config_problems import did_you_mean

_RANGE = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")
_WRITTEN = re.compile(r"(?P<ranges>[0-9:,\s-]+?)(?:\s+(?P<zone>[A-Za-z]\S*))?")
_DAY = 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class AllowedHours:
    """Ranges `[start, end)` of the clock on the wall, in minutes since midnight; one may go over midnight.

    What counts is what the clock shows: an hour that summer time skips does not happen, one that comes twice counts
    twice.

    Attributes:
        ranges: `(start, end)`; if the end is not after the start, it is on the next day.
        zone: Whose clock; None for that of the project's `timezone`.
    """

    ranges: tuple[tuple[int, int], ...]
    zone: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `22:00-06:00`, several such ranges with commas between them, and perhaps a time zone at the end.

        Raises:
            ValueError: The text says no such thing.
        """
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be hours such as 22:00-06:00, or 22:00-06:00, 12:00-13:00 Europe/Berlin")
        zone = match["zone"]
        if zone is not None:
            _check_zone(zone)
        return cls(tuple(_range(part.strip()) for part in match["ranges"].split(",")), zone)

    def allow(self, moment: datetime, default: ZoneInfo) -> bool:
        """Return whether work may be done at a moment.

        Args:
            moment: With a time zone.
            default: The project's time zone.
        """
        local = moment.astimezone(self._zone(default))
        now = local.hour * 60 + local.minute
        return any(start <= now < end if start < end else now >= start or now < end for start, end in self.ranges)

    def next_start(self, moment: datetime, default: ZoneInfo) -> datetime | None:
        """Return when work may begin again, on the clock of these hours; None if it does not within two days."""
        zone = self._zone(default)
        today = moment.astimezone(zone).date()
        starts = [
            _on_the_clock(today + timedelta(days=day), start, zone) for day in range(3) for start, _ in self.ranges
        ]
        return min((start for start in starts if start > moment and self.allow(start, default)), default=None)

    def _zone(self, default: ZoneInfo) -> ZoneInfo:
        return ZoneInfo(self.zone) if self.zone else default

    def __str__(self) -> str:
        ranges = ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.ranges)
        return f"{ranges} {self.zone}" if self.zone else ranges


def _range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"must be ranges such as 22:00-06:00; {text!r} is none")
    start_hour, start_minute, end_hour, end_minute = (int(group) for group in match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or start >= _DAY or end > _DAY:
        raise ValueError(f"must be times of the day, from 00:00 to 24:00; {text!r} has one that is none")
    if start == end:
        raise ValueError(f"must be ranges with a length; {text!r} has none (leave the key out for the whole day)")
    return start, end


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        hint = did_you_mean(name, available_timezones())
        raise ValueError(f"must end in a time zone such as UTC or Europe/Berlin, not {name!r}{hint}") from error


def _on_the_clock(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    wall = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    # Through UTC and back, so that a time that the clock skipped becomes one that it showed.
    return wall.astimezone(UTC).astimezone(zone)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
