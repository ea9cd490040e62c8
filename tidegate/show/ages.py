"""How long ago something was, as people say it."""

from datetime import UTC, datetime

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def age_text(moment: datetime | None, now: datetime | None = None) -> str:
    """Return `3 minutes ago`, `just now`, or "" for no moment. Clocks differ: what is to come is just now, too.

    Args:
        moment: With a time zone, or else in UTC.
        now: By default, now.
    """
    if moment is None:
        return ""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = int(((now or datetime.now(UTC)) - aware).total_seconds())
    for length, unit in _UNITS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
