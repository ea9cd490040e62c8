"""Tells how far a purge has come, and looks after its evidence again while it lasts."""

import time
from collections.abc import Callable

from blocks.progress import report_progress
from blocks.run_log import log_event
from schemas.window import Window
from tasks.delete_batches import Tally

HEARTBEAT_S = 5.0
LOOK_AGAIN_S = 60.0  # after which the evidence is looked after again


class PurgeProgress:
    """What a throttle and its batches report to.

    Args:
        window: What is purged.
        rows: How many rows there are to look at.
        tally: What became of them so far.
        refuse_if_stale: Raises if the evidence no longer holds.
    """

    def __init__(self, window: Window, rows: int, tally: Tally, refuse_if_stale: Callable[[], None]) -> None:
        self._window, self._rows, self._tally, self._refuse_if_stale = window, rows, tally, refuse_if_stale
        self._heartbeat = self._looked_at = time.monotonic()

    def batch_done(self) -> None:
        """Tell that a batch was deleted.

        Raises:
            ProofFailed: The evidence no longer holds.
        """
        report_progress("purge", self._window, self._tally.rows, self._rows)
        if time.monotonic() - self._heartbeat > HEARTBEAT_S:
            self._heartbeat = time.monotonic()
            log_event("purge_progress", window=self._window.id, rows=self._tally.rows, of=self._rows)
        self._look_again()

    def waits(self, reason: str | None) -> None:
        """Tell what the purge waits for, or that it goes on.

        Raises:
            ProofFailed: The evidence no longer holds.
        """
        report_progress("purge", self._window, self._tally.rows, self._rows, reason)
        if not reason:
            self._look_again()

    def _look_again(self) -> None:
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._refuse_if_stale()
            self._looked_at = time.monotonic()
