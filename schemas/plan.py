"""What a run is going to do, window by window."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.window import Window


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedWindow(_Model):
    """A window with something to do, or that had something done before.

    Attributes:
        window: Its bounds.
        rows: Rows in scope that the source holds in it now.
        export: Whether rows have to be read: there are some that no committed generation is known to hold.
        unpurged: Manifests of its generations that no purge has finished.
        earlier: Manifests of all committed generations that share time with it, oldest snapshot first.
    """

    window: Window
    rows: int
    export: bool
    unpurged: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


class Plan(_Model):
    """The windows of a run, and the rows that no window can hold.

    Attributes:
        since: Where the scope begins, or None.
        until: The frozen cut-off: rows from here on are not touched.
        windows: In order of time.
        rows_without_time: Rows in scope whose time is NULL; never touched.
        rows_beyond_time: Rows in scope whose time is infinite or outside the years 1 to 9998; never touched.
    """

    since: datetime | None
    until: datetime
    windows: tuple[PlannedWindow, ...]
    rows_without_time: int = 0
    rows_beyond_time: int = 0
