"""What may hold work back: a brake is looked at between two batches, and says why to wait, or nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Stopped = Callable[[], bool]
"""Whether somebody asked the work to stop; what takes long asks it every now and then."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A reason to wait.

    Attributes:
        reason: Its name in logs and metrics: `replica_lag`.
        text: What people are shown: `replica lag 12 s > 5 s`.
        values: What was found and what the limit is, for logs, with units in the names.
        remedy: What may be done meanwhile to make the reason go away.
    """

    reason: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    remedy: Callable[[Stopped], None] | None = None


class Brake(Protocol):
    """One reason to wait. Looking at it must not take long, and must not fail half-way through the work."""

    @property
    def every_s(self) -> float:
        """How often a look at it is worth what it costs."""
        ...

    def look(self) -> Wait | None:
        """Return why to wait now, or None."""
        ...
