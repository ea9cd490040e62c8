"""How long to wait before an API is asked again, and waiting that a signal ends."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from schemas.errors import Interrupted

# Exponential backoff with full jitter: between nothing and BASE_S, then twice as much, up to MOST_S.
# https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
BASE_S, MOST_S = 0.5, 60.0
# An API that asks for a longer wait than this is left alone: the run ends, and says when to come back.
LONGEST_RETRY_AFTER_S = 300.0
_LOOK_S = 0.05

Stopped = Callable[[], str | None]
"""Why to stop, or None as long as the work may go on."""


def backoff_s(attempt: int) -> float:
    """Return how long to wait after the attempt of that number, counted from 0, has failed."""
    return random.uniform(0, min(MOST_S, BASE_S * 2 ** min(attempt, 30)))


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3), or None if it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def stop_here(stopped: Stopped) -> None:
    """Raise if somebody asked the work to stop.

    Raises:
        Interrupted: Somebody did.
    """
    if reason := stopped():
        raise Interrupted(
            f"Stopped by {reason}.",
            state="Nothing of this table was committed; what was read before is as it was.",
            next_step="Run the same command again.",
        )


def wait(seconds: float, stopped: Stopped) -> None:
    """Wait, but no longer than until somebody asks the work to stop.

    Raises:
        Interrupted: Somebody did.
    """
    until = time.monotonic() + seconds
    while True:
        stop_here(stopped)
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _LOOK_S))


class Pace:
    """Spreads the requests of all tables of a source, so that there are not more a second than agreed."""

    def __init__(self, per_second: float | None) -> None:
        self._gap_s = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, stopped: Stopped) -> None:
        """Wait for this request's turn."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._gap_s
        wait(turn - time.monotonic(), stopped)

    def hold(self, seconds: float) -> None:
        """Let nobody ask for so long: the API has had too much."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


_paces: dict[tuple[str, float | None], Pace] = {}
_paces_lock = threading.Lock()


def pace_of(source: str, per_second: float | None) -> Pace:
    """Return the pace that all tables of a source keep together in this process."""
    with _paces_lock:
        return _paces.setdefault((source, per_second), Pace(per_second))
