"""What the retention of archived data did: which generations left the lake, and which had to stay."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.window import Window


class Outcome(StrEnum):
    """What became of a generation whose time is over."""

    EXPIRED = "expired"
    HELD = "held"
    IN_SOURCE = "in_source"


class GenerationExpiry(BaseModel):
    """A generation of a window that ended before the retention began.

    Attributes:
        dataset: The archive's, or that of one of its children.
        outcome: `held`: a legal hold covers some of its rows, so all of it stays. `in_source`: it was not purged, and
            the source holds rows of its window, which would be archived again.
        rows: Rows that leave the lake, or stay in it.
        quarantined: Rows that leave quarantine. Those that are still in the source stay there.
        held_by: Names of the holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    manifest: str
    window: Window
    generation: int
    outcome: Outcome
    files: int
    rows: int
    size_bytes: int
    quarantined: int = 0
    held_by: tuple[str, ...] = ()


class ExpiryReport(BaseModel):
    """What an expiry did, or, with the state `planned`, would do.

    Attributes:
        retention: As configured; None if the archive has none, and then nothing expires.
        before: Windows that ended by this moment are over.
        old_copies: Files that erasures had superseded, and whose grace is over: they left the lake as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str
    dataset: str
    state: str
    run_id: str
    retention: str | None = None
    before: datetime | None = None
    generations: tuple[GenerationExpiry, ...] = ()
    old_copies: int = 0
    seconds: float = 0.0

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the generations that expired, and the number of those that stay."""
        gone = [one for one in self.generations if one.outcome is Outcome.EXPIRED]
        return {
            **{
                name: sum(getattr(one, name) for one in gone) for name in ("files", "rows", "size_bytes", "quarantined")
            },
            **{outcome.value: sum(one.outcome is outcome for one in self.generations) for outcome in Outcome},
        }

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, `totals` included."""
        body = self.model_dump(mode="json")
        generations = body.pop("generations")
        return {**body, "totals": self.totals, "generations": generations}
