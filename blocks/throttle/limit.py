"""A number that must not be above a limit: the brake that most reasons to wait are."""

from collections.abc import Callable
from dataclasses import dataclass

from blocks.throttle.brake import Wait


@dataclass(frozen=True, slots=True)
class Limit:
    """Holds the work back while a reading is above its limit.

    Attributes:
        reason: Its name in logs: `replica_lag`.
        label: What people call it: `replica lag`.
        value_name: Name of the reading in logs, with its unit: `lag_s`.
        read: Takes the reading; None if there is nothing to read now.
        limit: What it must not exceed.
        unit: Behind the numbers, such as ` s`; a count has none.
        every_s: How often to look.
    """

    reason: str
    label: str
    value_name: str
    read: Callable[[], float | None]
    limit: float
    unit: str = ""
    every_s: float = 1.0

    def look(self) -> Wait | None:
        """Return a wait if the reading is above the limit."""
        value = self.read()
        if value is None or value <= self.limit:
            return None
        shown = round(value, 1 if value >= 10 else 2)
        limit_name = "limit" + self.value_name[self.value_name.rfind("_") :] if self.unit else "limit"
        return Wait(
            self.reason,
            f"{self.label} {_number(shown)}{self.unit} > {_number(self.limit)}{self.unit}",
            {self.value_name: _plain(shown), limit_name: _plain(self.limit)},
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,}"


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value
