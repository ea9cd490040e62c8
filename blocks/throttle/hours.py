"""Holds work back outside of the hours that are allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from blocks.throttle.brake import Wait
from schemas.allowed_hours import AllowedHours


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OutsideHours:
    """Looks at the clock.

    Attributes:
        hours: When work may be done.
        zone: The project's time zone, for hours that name none.
        now: The clock.
    """

    hours: AllowedHours
    zone: ZoneInfo
    now: Callable[[], datetime] = _now
    every_s: float = 1.0

    def look(self) -> Wait | None:
        """Return a wait if it is not the time."""
        moment = self.now()
        if self.hours.allow(moment, self.zone):
            return None
        start = self.hours.next_start(moment, self.zone)
        until = f", until {start:%Y-%m-%d %H:%M %Z}" if start else ""
        return Wait(
            "outside_hours",
            f"outside of the allowed hours {self.hours}{until}",
            {"allowed": f"{str(self.hours)!r}", "until": start.isoformat() if start else "unknown"},
        )
