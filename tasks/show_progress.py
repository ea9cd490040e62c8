"""Shows how far a purge has come as a progress artifact in the Prefect UI."""

import time
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from blocks.progress import Progress, listening
from schemas.job import Job
from schemas.manifest import Receipt
from schemas.window import Window
from tasks.purge import purge
from tasks.verify import VerifiedGeneration

EVERY_S = 2.0  # an artifact costs some 20 ms; a purge that is over before the first one gets none


def purge_and_show(verified: VerifiedGeneration, job: Job, run_id: str) -> Receipt:
    """Purge (`tasks.purge.purge`), and keep a progress artifact of the flow run up to date meanwhile."""
    with listening(_ProgressArtifact(verified.manifest.archive, verified.manifest.window)):
        return purge(verified, job, run_id)


class _ProgressArtifact:
    """Listens to the purge of one window and hands its progress on, every few seconds and at the end."""

    def __init__(self, archive: str, window: Window) -> None:
        self._archive, self._window = archive, window
        self._artifact: UUID | None = None
        self._shown_at = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if progress.phase != "purge" or progress.window != self._window:
            return
        done = progress.rows >= progress.of_rows
        if time.monotonic() - self._shown_at < EVERY_S and not (done and self._artifact):
            return
        self._shown_at = time.monotonic()
        percent = 100 * progress.rows / max(1, progress.of_rows)
        if self._artifact is None:
            key = f"purge-{self._archive.replace('_', '-')}"
            description = f"Purge of {self._archive} {self._window}: {progress.of_rows} rows"
            self._artifact = create_progress_artifact(percent, key=key, description=description)  # type: ignore[assignment]
        else:
            update_progress_artifact(self._artifact, percent)
