"""What a run did, window by window: the form that people and `--json` get."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.errors import TidegateError
from schemas.sealed_plan import Decision, SealedPlan
from schemas.window import Window

COUNTS = ("archived", "deleted", "changed_since", "already_gone", "held", "quarantined", "bytes")


class WindowState(StrEnum):
    """What became of a window in a run."""

    PLANNED = "planned"
    EMPTY = "empty"
    ARCHIVED = "archived"
    WAITING = "waiting"  # for the approval of a plan
    PURGED = "purged"
    FAILED = "failed"


class WindowReport(BaseModel):
    """What a run did with one window; counts are of this run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    end: datetime
    state: WindowState
    generation: int = 0
    archived: int = 0
    deleted: int = 0
    changed_since: int = 0
    already_gone: int = 0
    held: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None

    @classmethod
    def of(cls, window: Window, state: WindowState, **values: Any) -> "WindowReport":
        """Return the report of a window."""
        return cls(start=window.start, end=window.end, state=state, **values)


class RunReport(BaseModel):
    """What a run did.

    Attributes:
        state: `done` or `failed`, `waiting` if a plan waits for an approval, or `planned` after a dry run.
        exit_code: What the command line exits with: that of the gravest error, 0 without any.
        plan: What waits, or waited, for an approval.
        decision: What was decided about the plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str
    state: str
    run_id: str
    exit_code: int = 0
    windows: tuple[WindowReport, ...] = ()
    rows_without_time: int = 0
    rows_beyond_time: int = 0
    plan: SealedPlan | None = None
    decision: Decision | None = None

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all windows."""
        return {name: sum(getattr(window, name) for window in self.windows) for name in COUNTS}

    def as_json(self) -> dict[str, Any]:
        """Return the documented form, `totals` included."""
        body = self.model_dump(mode="json")
        windows = body.pop("windows")
        body["plan"] = self.plan.as_json() if self.plan else None
        body["decision"] = self.decision.as_json() if self.decision else None
        return {**body, "totals": self.totals, "windows": windows}


class RunFailed(TidegateError):
    """Some windows of a run failed; the others are done. Carries the report of all of them."""

    def __init__(self, report: RunReport) -> None:
        failed = [window for window in report.windows if window.state is WindowState.FAILED]
        super().__init__(
            "\n".join(f"{window.start} to {window.end}: {window.error}" for window in failed),
            state=f"{len(failed)} of {len(report.windows)} windows failed; what the others did is done.",
            next_step=f"tidegate archive {report.archive} goes on from what is committed.",
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return RunFailed, (self.report,)
