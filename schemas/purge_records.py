"""The records of a purge: that it began or was stopped, and the receipt of one that came to its end."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from schemas.record import Record


class Attempt(Record):
    """A purge that began and, if `deleted` is given, was stopped on purpose after deleting that many rows."""

    kind: ClassVar[str] = "attempt"

    manifest: str
    attempt_id: str
    run_id: str
    at: datetime
    deleted: int | None = None


class Receipt(Record):
    """What one purge of one generation did. It adds up, or it cannot be made.

    Attributes:
        manifest: Path of the generation's manifest.
        archived: Rows of the generation.
        deleted: Rows that were deleted from the source, those of earlier, stopped attempts included.
        changed_since: Rows whose current version is not the archived one; they stayed in the source.
        already_gone: Rows that were no longer in the source, whoever removed them.
        held: Rows that were left alone because a legal hold covers them, whether they were there or not.
        holds: What tells the holds of that moment from others (`schemas.hold.holds_digest`), if there were any.
        by_fence: Of the deleted, those that the snapshot fence vouched for; the others were compared by digest.
        interrupted_before: Purges of this generation that were killed: they began, but left neither a receipt nor
            word of a stop. What they deleted is counted here as already gone.
    """

    kind: ClassVar[str] = "receipt"

    manifest: str
    dataset: str
    run_id: str
    archived: int = Field(ge=0)
    deleted: int = Field(ge=0)
    changed_since: int = Field(ge=0)
    already_gone: int = Field(ge=0)
    held: int = Field(default=0, ge=0)
    holds: str | None = None
    by_fence: int = Field(ge=0)
    interrupted_before: int = Field(default=0, ge=0)
    started_at: datetime
    finished_at: datetime

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a receipt that does not add up."""
        if self.archived != self.deleted + self.changed_since + self.already_gone + self.held:
            raise ValueError(
                f"the receipt does not add up: {self.archived} archived, but {self.deleted} deleted + "
                f"{self.changed_since} changed since + {self.already_gone} already gone + {self.held} held"
            )
