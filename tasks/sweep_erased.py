"""Removes the old copies that erasures have left in the lake for a while: files first, their manifest last."""

from datetime import UTC, datetime

from blocks.erasures import Erasures, OldCopy
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.run_log import log_event
from schemas.manifest import DataFile, Manifest


def sweep_erased(lake: Lake, ledger: Ledger, erasures: Erasures, now: datetime | None = None) -> int:
    """Remove the superseded files whose time has come, and return how many files that were.

    Ended in between, it goes on when it is called again: as long as a manifest is there, so may be its files.

    Raises:
        LakeError: The record of an erasure is missing, so nobody can tell when its old copies may go.
    """
    moment = now or datetime.now(UTC)
    paths = due_files(ledger, erasures, moment)
    due = [copy.manifest.path for copy in _old_copies(erasures) if copy.removable_from <= moment]
    if due:
        lake.delete(paths)
        lake.delete(sorted(due))
        log_event("old_copies_removed", files=len(paths), generations=len(due))
    return len(paths)


def due_files(ledger: Ledger, erasures: Erasures, now: datetime) -> list[str]:
    """Return the superseded files whose time has come.

    Most files of a superseded generation are those of its successor as well: a file's time is that of the last
    generation that names it, and a file that a current one names stays.
    """
    copies = sorted(_old_copies(erasures), key=lambda copy: len(copy.manifest.supersedes))
    last = {file.path: copy.removable_from for copy in copies for file in _files(copy.manifest)}
    if not last:
        return []
    needed = {file.path for manifest in ledger.standing().current for file in _files(manifest)}
    return sorted(path for path, moment in last.items() if moment <= now and path not in needed)


def _old_copies(erasures: Erasures) -> list[OldCopy]:
    return erasures.old_copies() if erasures.any() else []


def _files(manifest: Manifest) -> tuple[DataFile, ...]:
    return (*manifest.files, *manifest.quarantine)
