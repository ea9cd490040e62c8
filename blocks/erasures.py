"""The erasures of a dataset in its lake: how one comes to be, and what it leaves behind for a while.

An erasure is one put-if-absent, however many generations it concerns. Before it, the new manifests are drafts that
no reader sees; after it, the superseded generations are old copies that no reader sees.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from blocks.lake import Lake
from blocks.ledger import ROOT, Ledger
from schemas.erasure import Erasure, erasure_id, erasure_path
from schemas.errors import Busy, LakeError
from schemas.manifest import Intent, Manifest


@dataclass(frozen=True, slots=True)
class OldCopy:
    """A superseded generation of which the manifest is still in the lake.

    Attributes:
        removable_from: When it may be removed.
    """

    manifest: Manifest
    removable_from: datetime


class Erasures:
    """Reads and appends the erasures of one dataset."""

    def __init__(self, lake: Lake, dataset: str) -> None:
        self._lake = lake
        self._dataset = dataset
        self._ledger = Ledger(lake, dataset)

    def begin(self, run_id: str) -> tuple[int, str]:
        """Record that new files are about to be stored; return the erasure's number and id."""
        paths = self._record_paths()
        number = 1 + max((int(path.rpartition("/")[2].removesuffix(".json")) for path in paths), default=0)
        stem = erasure_id(number, uuid4().hex[:12])
        self._ledger.begin(Intent(stem=stem, run_id=run_id, at=datetime.now(UTC)))
        return number, stem

    def draft(self, manifest: Manifest) -> None:
        """Store the manifest of a new generation; nobody sees it before `commit`.

        Raises:
            Busy: Somebody else has taken its number.
        """
        if not self._lake.put_if_absent(manifest.path, manifest.to_bytes()):
            raise self._overtaken()

    def commit(self, erasure: Erasure) -> None:
        """Let the new generations take the place of the old ones, all at once.

        Raises:
            Busy: Another run took this erasure for dead, or another erasure came first.
        """
        path = erasure_path(self._dataset, erasure.number)
        if not self._lake.put_if_absent(path, erasure.to_bytes()):
            raise self._overtaken()
        with suppress(LakeError):  # it is committed; the next run takes the intent away, and finds nothing left over
            self._lake.delete([f"{ROOT}/intents/{self._dataset}/{erasure.id}.json"])

    def any(self) -> bool:
        """Return whether there is a record of an erasure."""
        return bool(self._record_paths())

    def void_drafts(self) -> list[str]:
        """Return the paths of manifests of erasures that did not happen, and cannot any more."""
        drafts = self._ledger.standing().drafts
        if not drafts:
            return []
        void = {erasure.id for erasure in self._ledger.erasures() if erasure.void}
        return [manifest.path for manifest in drafts if manifest.erasures[-1].erasure in void]

    def old_copies(self) -> list[OldCopy]:
        """Return the superseded generations that are still in the lake, oldest erasure first.

        Raises:
            LakeError: The record of an erasure is missing.
        """
        superseded = self._ledger.standing().superseded
        erasures = {erasure.id: erasure for erasure in self._ledger.erasures()} if superseded else {}
        copies = []
        for manifest, by in superseded:
            # It holds the rows of all erasures since: whichever may forget the soonest decides.
            since = by.erasures[by.supersedes.index(manifest.path) :]
            missing = [erased.erasure for erased in since if erased.erasure not in erasures]
            if missing:
                raise LakeError(
                    f"The record of the erasure {missing[0]} is missing, which {by.path} names.",
                    state="Old copies of erased rows stay in the lake.",
                    next_step=f"Restore {ROOT}/erasures/{self._dataset}/ from a backup or an older object version.",
                )
            copies.append(OldCopy(manifest, min(erasures[erased.erasure].old_copies_until for erased in since)))
        return sorted(copies, key=lambda copy: copy.removable_from)

    def _record_paths(self) -> list[str]:
        folder = f"{ROOT}/erasures/{self._dataset}"
        listed = (entry.path for entry in self._lake.list(folder))
        return [path for path in listed if "/" not in path.removeprefix(f"{folder}/")]

    def _overtaken(self) -> Busy:
        return Busy(
            f"Another run on {self._dataset} took this erasure for dead, or erased rows at the same time.",
            state="Nothing was erased by this run; what the other one did is done.",
            next_step="Run the same command again.",
        )
