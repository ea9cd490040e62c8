"""What a purge writes down: that it begins, that it was stopped and how far it had come, and its receipt."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from blocks.ledger import Ledger
from blocks.run_log import log_event
from schemas.errors import LakeError
from schemas.purge_records import Attempt, Receipt
from tasks.verify import VerifiedGeneration


@dataclass(frozen=True, slots=True)
class OpenPurge:
    """A purge of one generation that has begun.

    Attributes:
        ledger: Of the generation's dataset.
        verified: The evidence.
        attempt: What was recorded at its beginning.
        earlier: Purges of the same generation that began before, and did not come to their end.
    """

    ledger: Ledger
    verified: VerifiedGeneration
    attempt: Attempt
    earlier: tuple[Attempt, ...]

    def stopped(self, deleted: int) -> None:
        """Record that it was stopped. Whatever stopped it is the news: a lake that cannot be written is logged only."""
        try:
            self.ledger.record_attempt(self.attempt.model_copy(update={"at": datetime.now(UTC), "deleted": deleted}))
        except LakeError as error:
            log_event("stop_not_recorded", manifest=self.attempt.manifest, deleted=deleted, reason=repr(error.what))

    def done(self, *, deleted: int, present: int = 0, held: int = 0, by_fence: int = 0) -> Receipt:
        """Write the receipt: what stopped attempts recorded as deleted was deleted, not merely gone.

        Args:
            deleted: Rows that this purge deleted.
            present: Rows that are still there, and are not under legal hold.
            held: Rows that stay for a legal hold.
            by_fence: Of the deleted, those that the snapshot fence vouched for.
        """
        manifest = self.verified.manifest
        stopped = {a.attempt_id: a.deleted for a in self.earlier if a.deleted is not None}
        gone = manifest.attestation.rows - deleted - present - held
        deleted_before = min(sum(stopped.values()), gone)
        receipt = Receipt(
            manifest=manifest.path,
            dataset=manifest.dataset,
            run_id=self.attempt.run_id,
            archived=manifest.attestation.rows,
            deleted=deleted + deleted_before,
            changed_since=present,
            already_gone=gone - deleted_before,
            held=held,
            holds=self.verified.holds,
            by_fence=by_fence,
            interrupted_before=len({a.attempt_id for a in self.earlier} - set(stopped)),
            started_at=self.attempt.at,
            finished_at=datetime.now(UTC),
        )
        self.ledger.record_receipt(receipt)
        return receipt


def begin_purge(ledger: Ledger, verified: VerifiedGeneration, run_id: str) -> OpenPurge:
    """Record that a purge begins, before anything is deleted.

    Args:
        ledger: Of the generation's dataset.
        verified: The evidence.
        run_id: Names the records.
    """
    manifest = verified.manifest
    earlier = tuple(ledger.open_attempts(manifest))
    attempt = Attempt(manifest=manifest.path, attempt_id=uuid4().hex[:12], run_id=run_id, at=datetime.now(UTC))
    ledger.record_attempt(attempt)
    return OpenPurge(ledger, verified, attempt, earlier)
