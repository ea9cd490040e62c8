"""What a run is going to do, window by window, and what it did."""

from datetime import datetime
from enum import StrEnum
from typing import Any

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


class WindowState(StrEnum):
    """What became of a window in a run."""

    PLANNED = "planned"
    EMPTY = "empty"
    ARCHIVED = "archived"
    PURGED = "purged"
    FAILED = "failed"


class WindowReport(_Model):
    """What a run did with one window; counts are of this run."""

    start: datetime
    end: datetime
    state: WindowState
    generation: int = 0
    archived: int = 0
    deleted: int = 0
    changed_since: int = 0
    already_gone: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None


COUNTS = ("archived", "deleted", "changed_since", "already_gone", "quarantined", "bytes")


class RunReport(_Model):
    """What a run did, in the form that `--json` prints."""

    archive: str
    state: str
    run_id: str
    dry_run: bool = False
    windows: tuple[WindowReport, ...] = ()
    rows_without_time: int = 0
    rows_beyond_time: int = 0

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all windows."""
        return {name: sum(getattr(window, name) for window in self.windows) for name in COUNTS}

    def as_json(self) -> dict[str, Any]:
        """Return the documented form, `totals` included."""
        return {**self.model_dump(mode="json"), "totals": self.totals}
