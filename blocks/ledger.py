"""The ledger of a dataset: which generations, removals and receipts exist in the lake.

Layout below `_tidegate/`, one record a file, none ever changed:

    manifests/<dataset>/<window>/<generation>.json    a committed generation
    intents/<dataset>/<stem>.json                     an export that has not committed yet; deleted when it has
    removals/<dataset>/<run>.json                     files taken out of the lake on purpose
    erasures/<dataset>/<number>.json                  rows were erased: new generations stand in the place of others
    receipts/<dataset>/<window>/<generation>-<id>.json    a purge that came to its end
    attempts/<dataset>/<window>/<generation>-<attempt>-<what>.json   a purge that began, or was stopped

A superseded generation does not exist for readers; its manifest leaves the lake together with its files, some time
after the erasure (`blocks.erasures`).
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

from blocks.lake import Lake
from blocks.standing import Standing, is_superseding, standing
from schemas.erasure import Erasure, erasure_path, void_erasure
from schemas.errors import Busy, LakeError
from schemas.job import Job
from schemas.manifest import DataFile, Intent, Manifest, Removal
from schemas.purge_records import Attempt, Receipt
from schemas.record import Record
from schemas.window import Window

ROOT = "_tidegate"
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Generation:
    """A committed generation and what became of it.

    Attributes:
        manifest: Its manifest.
        receipts: Of the purges that came to their end, oldest first; those of the generations that it supersedes
            are among them, as it holds what is left of their rows.
        removed: Paths of its files (of the quarantine, too) that were removed from the lake on purpose.
        superseded_by: Path of the manifest that stands in its place. Readers do not see such a generation, and it
            can prove nothing any more.
    """

    manifest: Manifest
    receipts: tuple[Receipt, ...] = ()
    removed: frozenset[str] = frozenset()
    superseded_by: str | None = None

    @property
    def purged(self) -> bool:
        """Whether a purge of it came to its end."""
        return bool(self.receipts)

    def is_purged(self, holds: str | None) -> bool:
        """Whether a purge of it came to its end, and one with these legal holds would leave the same rows.

        Args:
            holds: What tells the holds from others (`schemas.hold.holds_digest`).
        """
        return bool(self.receipts) and (not self.receipts[-1].held or self.receipts[-1].holds == holds)

    @property
    def purge_finished(self) -> bool:
        """Whether a purge of it came to its end, and left no row in the source because of a legal hold."""
        return bool(self.receipts) and not self.receipts[-1].held

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that readers see."""
        return tuple(file.path for file in self.manifest.files if file.path not in self.removed)

    @property
    def quarantine(self) -> tuple[DataFile, ...]:
        """Files of rows that a gate put aside, but for those that were removed on purpose."""
        return tuple(file for file in self.manifest.quarantine if file.path not in self.removed)


class Ledger:
    """Reads and appends the records of one dataset."""

    def __init__(self, lake: Lake, dataset: str) -> None:
        self._lake = lake
        self._dataset = dataset

    @property
    def dataset(self) -> str:
        """The dataset's name in the lake."""
        return self._dataset

    def generations(self) -> list[Generation]:
        """Return all committed generations that no other one supersedes, oldest snapshot first.

        Raises:
            ProofFailed: A record is damaged.
        """
        return self._joined(self.standing().current, self._read_all("receipts", Receipt))

    def generation(self, path: str) -> Generation:
        """Return one generation by the path of its manifest, also if it is superseded.

        Raises:
            FileNotFoundError: There is no such manifest, or it is that of an erasure that did not come to its end.
            ProofFailed: It, or another one of the same window, is damaged.
        """
        folder = path.rpartition("/")[0]
        found = self._standing(self._read_below(folder, Manifest))
        superseded_by = {manifest.path: by.path for manifest, by in found.superseded}
        existing = (*found.current, *(manifest for manifest, _ in found.superseded))
        wanted = next((manifest for manifest in existing if manifest.path == path), None)
        if wanted is None:
            raise FileNotFoundError(path)
        receipts = self._read_below(f"{ROOT}/receipts/{self._dataset}/{folder.rpartition('/')[2]}", Receipt)
        return replace(self._joined([wanted], receipts)[0], superseded_by=superseded_by.get(path))

    def standing(self) -> Standing:
        """Return all manifests, told apart by whether readers see them."""
        return self._standing(self._read_all("manifests", Manifest))

    def _standing(self, manifests: list[Manifest]) -> Standing:
        erasures = self.erasures() if any(is_superseding(manifest) for manifest in manifests) else []
        return standing(manifests, erasures)

    def erasures(self) -> list[Erasure]:
        """Return the records of all erasures, the void ones too, oldest first."""
        return sorted(self._read_all("erasures", Erasure), key=lambda erasure: erasure.number)

    def _joined(self, manifests: Iterable[Manifest], receipts: list[Receipt]) -> list[Generation]:
        removed = self.removed_files()
        by_manifest: dict[str, list[Receipt]] = {}
        for receipt in receipts:
            by_manifest.setdefault(receipt.manifest, []).append(receipt)
        found = []
        for manifest in sorted(manifests, key=lambda m: (m.attestation.snapshot.taken_at, m.path)):
            own = [r for path in (*manifest.supersedes, manifest.path) for r in by_manifest.get(path, ())]
            gone = frozenset(file.path for file in (*manifest.files, *manifest.quarantine) if file.path in removed)
            found.append(Generation(manifest, tuple(sorted(own, key=lambda r: r.finished_at)), gone))
        return found

    def intents(self) -> list[Intent]:
        """Return the exports that began and have not committed."""
        return self._read_all("intents", Intent)

    def begin(self, intent: Intent) -> None:
        """Record that files with this stem in their names are about to be stored."""
        self._append("intents", intent, intent.stem)

    def commit(self, manifest: Manifest, stem: str) -> None:
        """Make a generation exist, whose files were stored under the intent `stem`.

        Raises:
            Busy: Somebody else committed this generation of the window first, or took this export for dead.
        """
        intent = self._intent_path(stem)
        alive = self._lake.find(intent) is not None and self._lake.find(f"{intent}.void") is None
        if not alive or not self._lake.put_if_absent(manifest.path, manifest.to_bytes()):
            raise self.taken_over(manifest.generation, manifest.window)
        with suppress(LakeError):  # it is committed; the next run takes the intent away, and finds nothing left over
            self._lake.delete([intent])

    def taken_over(self, generation: int, window: Window) -> Busy:
        """Return the error for an export that somebody else was quicker than."""
        return Busy(
            f"Another run took over generation {generation} of {window} of {self._dataset}.",
            state="Nothing of this run's export is part of the lake; what the other committed is.",
            next_step="Run the same command again; it goes on from what is committed.",
        )

    def void_abandoned(self) -> list[str]:
        """Return the stems of exports and erasures that began and did not commit; from here on they cannot any more."""
        intents = self.intents()
        for intent in intents:
            self._lake.put_if_absent(f"{self._intent_path(intent.stem)}.void", b"")
            if void := void_erasure(self._dataset, intent.stem):
                # By the very name that the erasure's own record would have: one of the two is there first.
                self._lake.put_if_absent(erasure_path(self._dataset, void.number), void.to_bytes())
        stems = [intent.stem for intent in intents]
        # A run that died while it forgot an intent has left what made it void.
        folder = f"{ROOT}/intents/{self._dataset}/"
        voids = [entry.path.removeprefix(folder) for entry in self._lake.list(folder.rstrip("/"))]
        forgotten = {name.removesuffix(".json.void") for name in voids if name.endswith(".void") and "/" not in name}
        return [*stems, *sorted(forgotten - set(stems))]

    def forget(self, stems: list[str]) -> None:
        """Delete the intents of exports of which nothing is left."""
        paths = [self._intent_path(stem) for stem in stems]
        self._lake.delete(paths)
        self._lake.delete([f"{path}.void" for path in paths])

    def removed_files(self) -> set[str]:
        """Return the paths of files that were removed on purpose."""
        return {path for removal in self._read_all("removals", Removal) for path in removal.paths}

    def next_generation(self, window: Window) -> int:
        """Return the number that the next generation of this very window will have."""
        taken = [entry.path for entry in self._lake.list(f"{ROOT}/manifests/{self._dataset}/{window.id}")]
        return 1 + max((int(path.rsplit("/", 1)[1].removesuffix(".json")) for path in taken), default=0)

    def newcomers(self, window: Window, known: Collection[str]) -> list[Manifest]:
        """Return the generations of this very window that stand, and are not among the known manifests."""
        found = self._standing(self._read_below(f"{ROOT}/manifests/{self._dataset}/{window.id}", Manifest))
        return [manifest for manifest in found.current if manifest.path not in known]

    def record_receipt(self, receipt: Receipt) -> None:
        """Record that a purge came to its end."""
        self._append("receipts", receipt, f"{_generation_part(receipt.manifest)}-{uuid4().hex[:12]}")

    def record_attempt(self, attempt: Attempt) -> None:
        """Record that a purge began, or that it was stopped."""
        what = "begun" if attempt.deleted is None else "stopped"
        self._append("attempts", attempt, f"{_generation_part(attempt.manifest)}-{attempt.attempt_id}-{what}")

    def record_removal(self, removal: Removal, run_id: str) -> None:
        """Record that files leave the lake; from here on readers do not see them."""
        self._append("removals", removal, run_id)

    def open_attempts(self, manifest: Manifest) -> list[Attempt]:
        """Return the purges of a generation that began, or were stopped, since one last came to its end."""
        below = f"{self._dataset}/{manifest.window.id}"
        paths = {manifest.path, *manifest.supersedes}
        receipts = self._read_below(f"{ROOT}/receipts/{below}", Receipt)
        finished = [receipt.finished_at for receipt in receipts if receipt.manifest in paths]
        found = self._read_below(f"{ROOT}/attempts/{below}", Attempt)
        return [a for a in found if a.manifest in paths and all(a.at > moment for moment in finished)]

    def orphans(self) -> list[str]:
        """Return the files below the dataset's folder that no committed generation names, superseded ones included."""
        removed = self.removed_files()
        found = self.standing()
        existing = (*found.current, *(manifest for manifest, _ in found.superseded))
        named = {file.path for m in existing for file in (*m.files, *m.quarantine)} - removed
        folders = (self._dataset, f"{ROOT}/quarantine/{self._dataset}")
        present = [entry.path for folder in folders for entry in self._lake.list(folder)]
        return [path for path in present if path not in named]

    def _append(self, kind: str, record: Record, name: str) -> None:
        path = f"{ROOT}/{kind}/{self._dataset}/{name}.json"
        if not self._lake.put_if_absent(path, record.to_bytes()):
            raise LakeError(
                f"The record {path} is there already, and records are never changed.",
                next_step="Run the same command again; if it happens again, please report it.",
            )

    def _intent_path(self, stem: str) -> str:
        return f"{ROOT}/intents/{self._dataset}/{stem}.json"

    def _read_all(self, kind: str, record: type[R]) -> list[R]:
        # Deeper than its kind of record lies, it belongs to a dataset in a folder of this one.
        depth = {"manifests": 2, "receipts": 2, "removals": 1, "intents": 1, "erasures": 1}[kind]
        return self._read_below(f"{ROOT}/{kind}/{self._dataset}", record, depth)

    def _read_below(self, folder: str, record: type[R], depth: int = 1) -> list[R]:
        found = (entry.path for entry in self._lake.list(folder))
        paths = [p for p in found if p.endswith(".json") and p.removeprefix(f"{folder}/").count("/") == depth - 1]
        return [record.from_bytes(data, path) for path, data in zip(paths, self._lake.read_many(paths), strict=True)]


def generations_of(lake: Lake, job: Job) -> list[Generation]:
    """Return the committed generations of a job and its children, for each dataset the oldest snapshot first."""
    return [generation for member in job.family for generation in Ledger(lake, member.dataset).generations()]


def datasets(lake: Lake) -> list[str]:
    """Return the names of the datasets that have a committed generation."""
    prefix = f"{ROOT}/manifests/"
    return sorted({entry.path.removeprefix(prefix).rsplit("/", 2)[0] for entry in lake.list(prefix.rstrip("/"))})


def _generation_part(manifest_path: str) -> str:
    """Return `<window>/<generation>` of a manifest's path."""
    return "/".join(manifest_path.removesuffix(".json").rsplit("/", 2)[1:])
