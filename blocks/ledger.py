"""The ledger of a dataset: which generations, removals and receipts exist in the lake.

Layout below `_tidegate/`, one record a file, none ever changed:

    manifests/<dataset>/<window>/<generation>.json    a committed generation
    intents/<dataset>/<stem>.json                     an export that has not committed yet; deleted when it has
    removals/<dataset>/<run>.json                     files taken out of the lake on purpose
    receipts/<dataset>/<window>/<generation>-<id>.json    a purge that came to its end
    attempts/<dataset>/<window>/<generation>-<attempt>-<what>.json   a purge that began, or was stopped
"""

from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from blocks.lake import Lake
from schemas.errors import Busy, LakeError
from schemas.manifest import Attempt, Intent, Manifest, Receipt, Record, Removal
from schemas.window import Window

ROOT = "_tidegate"
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Generation:
    """A committed generation and what became of it.

    Attributes:
        manifest: Its manifest.
        receipts: Of the purges that came to their end, oldest first.
        removed: Paths of its files that were removed from the lake on purpose.
    """

    manifest: Manifest
    receipts: tuple[Receipt, ...] = ()
    removed: frozenset[str] = frozenset()

    @property
    def purged(self) -> bool:
        """Whether a purge of it came to its end."""
        return bool(self.receipts)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that readers see."""
        return tuple(file.path for file in self.manifest.files if file.path not in self.removed)


class Ledger:
    """Reads and appends the records of one dataset."""

    def __init__(self, lake: Lake, dataset: str) -> None:
        self._lake = lake
        self._dataset = dataset

    def generations(self) -> list[Generation]:
        """Return all committed generations, oldest snapshot first.

        Raises:
            ProofFailed: A record is damaged.
        """
        return self._joined(self._read_all("manifests", Manifest), self._read_all("receipts", Receipt))

    def generation(self, path: str) -> Generation:
        """Return one generation by the path of its manifest.

        Raises:
            FileNotFoundError: There is no such manifest.
            ProofFailed: It is damaged.
        """
        manifest = Manifest.from_bytes(self._lake.read(path), path)
        receipts = self._read_below(f"{ROOT}/receipts/{self._dataset}/{manifest.window.id}", Receipt)
        return self._joined([manifest], receipts)[0]

    def _joined(self, manifests: list[Manifest], receipts: list[Receipt]) -> list[Generation]:
        removed = self.removed_files()
        by_manifest: dict[str, list[Receipt]] = {}
        for receipt in sorted(receipts, key=lambda r: r.finished_at):
            by_manifest.setdefault(receipt.manifest, []).append(receipt)
        return [
            Generation(
                manifest,
                tuple(by_manifest.get(manifest.path, ())),
                frozenset(file.path for file in manifest.files if file.path in removed),
            )
            for manifest in sorted(manifests, key=lambda m: (m.attestation.snapshot.taken_at, m.path))
        ]

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
            raise Busy(
                f"Another run took over generation {manifest.generation} of {manifest.window} of {self._dataset}.",
                state="Nothing of this run's export is part of the lake; what the other committed is.",
                next_step="Run the same command again; it goes on from what is committed.",
            )
        self._lake.delete([intent])

    def void_abandoned(self) -> list[str]:
        """Return the stems of exports that began and did not commit; from here on they cannot any more."""
        intents = self._read_all("intents", Intent)
        for intent in intents:
            self._lake.put_if_absent(f"{self._intent_path(intent.stem)}.void", b"")
        return [intent.stem for intent in intents]

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
        receipts = self._read_below(f"{ROOT}/receipts/{below}", Receipt)
        finished = [receipt.finished_at for receipt in receipts if receipt.manifest == manifest.path]
        found = self._read_below(f"{ROOT}/attempts/{below}", Attempt)
        return [a for a in found if a.manifest == manifest.path and all(a.at > moment for moment in finished)]

    def orphans(self) -> list[str]:
        """Return the files below the dataset's folder that no committed generation names."""
        named: set[str] = set()
        for generation in self.generations():
            named.update(generation.files)
            named.update(file.path for file in generation.manifest.quarantine)
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
        depth = {"manifests": 2, "receipts": 2, "removals": 1, "intents": 1}[kind]
        return self._read_below(f"{ROOT}/{kind}/{self._dataset}", record, depth)

    def _read_below(self, folder: str, record: type[R], depth: int = 1) -> list[R]:
        found = (entry.path for entry in self._lake.list(folder))
        paths = [p for p in found if p.endswith(".json") and p.removeprefix(f"{folder}/").count("/") == depth - 1]
        return [record.from_bytes(data, path) for path, data in zip(paths, self._lake.read_many(paths), strict=True)]


def datasets(lake: Lake) -> list[str]:
    """Return the names of the datasets that have a committed generation."""
    prefix = f"{ROOT}/manifests/"
    return sorted({entry.path.removeprefix(prefix).rsplit("/", 2)[0] for entry in lake.list(prefix.rstrip("/"))})


def _generation_part(manifest_path: str) -> str:
    """Return `<window>/<generation>` of a manifest's path."""
    return "/".join(manifest_path.removesuffix(".json").rsplit("/", 2)[1:])
