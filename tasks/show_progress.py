"""Shows how far a purge has come as a progress artifact in the Prefect UI."""

import time
from collections.abc import Sequence
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from blocks.progress import Progress, listening
from blocks.run_log import log_event
from schemas.job import Job
from schemas.purge_records import Receipt
from schemas.window import Window
from tasks.approval import Approval
from tasks.purge_unit import purge_unit
from tasks.verify import VerifiedGeneration

EVERY_S = 2.0  # an artifact costs some 20 ms; a purge that is over before the first one gets none
AGAIN_S = 60.0  # after Prefect could not be reached


def purge_and_show(
    verified: Sequence[VerifiedGeneration], job: Job, run_id: str, approval: Approval | None = None
) -> list[Receipt]:
    """Purge (`tasks.purge_unit`), and keep a progress artifact of the flow run up to date meanwhile."""
    with listening(_ProgressArtifact(verified[0].manifest.archive, verified[0].manifest.window)):
        return purge_unit(verified, job, run_id, approval)


class _ProgressArtifact:
    """Listens to the purge of one window and hands its progress on, every few seconds and at the end.

    What the purge waits for is shown at once, whatever it costs: the next news may be hours away.
    """

    def __init__(self, archive: str, window: Window) -> None:
        self._archive, self._window = archive, window
        self._artifact: UUID | None = None
        self._shown_at = time.monotonic()
        self._waits: str | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.phase != "purge" or progress.window != self._window:
            return
        done = progress.rows >= progress.of_rows
        news = (progress.waits is None) != (self._waits is None)
        if time.monotonic() - self._shown_at < EVERY_S and not (done and self._artifact) and not news:
            return
        self._shown_at, self._waits = time.monotonic(), progress.waits
        percent = 100 * progress.rows / max(1, progress.of_rows)
        description = f"Purge of {self._archive} {self._window}: {progress.of_rows} rows"
        if progress.waits:
            description += f"; waits: {progress.waits}"
        try:
            if self._artifact is None:
                key = f"purge-{self._archive.replace('_', '-')}"
                self._artifact = create_progress_artifact(percent, key=key, description=description)  # type: ignore[assignment]
            else:
                update_progress_artifact(self._artifact, percent, description=description)
        except Exception as error:  # noqa: BLE001 - what cannot be shown must not end what is being done
            log_event("progress_not_shown", error=type(error).__name__)
            self._shown_at += AGAIN_S
