"""What became of one generation in `verify_and_purge`."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.purge_records import Receipt


class PurgeOutcome(BaseModel):
    """The counts of a purge, or the error that kept it from being done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    deleted: int = 0
    changed_since: int = 0
    already_gone: int = 0
    held: int = 0
    by_fence: int = 0
    seconds: float = 0.0
    error: str | None = None
    exit_code: int = 0

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Return the outcome that a receipt records."""
        return cls(
            manifest=receipt.manifest,
            deleted=receipt.deleted,
            changed_since=receipt.changed_since,
            already_gone=receipt.already_gone,
            held=receipt.held,
            by_fence=receipt.by_fence,
            seconds=round((receipt.finished_at - receipt.started_at).total_seconds(), 3),
        )
