"""Dates and times as options."""

from datetime import datetime
from typing import Any

import click


class MomentType(click.ParamType[datetime]):
    """A date or a time; without an offset it is of the project's time zone, and stays without one here."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment, or end with a usage error."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no date or time, such as 2024-01-31 or 2024-01-31T06:00:00+01:00", param, ctx)


MOMENT = MomentType()
