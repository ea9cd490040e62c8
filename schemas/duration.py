"""A span of calendar time in words, such as `90 days` or `3 months`."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self, cast

DurationUnit = Literal["hour", "day", "week", "month", "year"]

_WRITTEN = re.compile(r"([0-9]{1,8})\s*(hour|day|week|month|year)s?", re.IGNORECASE)

# A thousand years of each: more is a slip of the finger, and would leave the calendar of datetime.
_MOST: dict[DurationUnit, int] = {"hour": 8_765_820, "day": 365_243, "week": 52_178, "month": 12_000, "year": 1_000}


@dataclass(frozen=True, slots=True)
class Duration:
    """An amount of one unit of the calendar.

    Hours are physical time. Days, weeks, months and years are steps on the wall clock of the moment's own time zone:
    a day before 12:00 is 12:00, also across a change to summer time.
    """

    amount: int
    unit: DurationUnit

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `90 days`, `12 hours`, `2 weeks`, `3 months`, `1 year`.

        Raises:
            ValueError: The text is no such span, or it is zero or longer than a thousand years.
        """
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be a number of hours, days, weeks, months or years, such as 90 days")
        amount, unit = int(match[1]), cast(DurationUnit, match[2].lower())
        if not 1 <= amount <= _MOST[unit]:
            raise ValueError(f"must be between 1 and {_MOST[unit]} {unit}s")
        return cls(amount, unit)

    def before(self, now: datetime) -> datetime:
        """Return the moment this long before `now`, in `now`'s time zone.

        A month before 31 March is the last day of February. Of a wall-clock time that happens twice the earlier one
        is taken, of one that is skipped the moment that the skipped clock would have shown.
        """
        if self.unit == "hour":
            span = timedelta(hours=self.amount)
            return now - span if now.tzinfo is None else (now.astimezone(UTC) - span).astimezone(now.tzinfo)
        moment = now.replace(fold=0)
        if self.unit in ("day", "week"):
            moment -= timedelta(days=self.amount * (7 if self.unit == "week" else 1))
        else:
            months = moment.year * 12 + moment.month - 1 - self.amount * (12 if self.unit == "year" else 1)
            year, month = months // 12, months % 12 + 1
            moment = moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
        # Through UTC and back, so that a time that the clock skipped becomes one that it showed.
        return moment if now.tzinfo is None else moment.astimezone(UTC).astimezone(now.tzinfo)

    def after(self, now: datetime) -> datetime:
        """Return the moment this long after `now`, by the same rules as `before`."""
        return Duration(-self.amount, self.unit).before(now)

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}{'' if self.amount == 1 else 's'}"
