"""The ledger of a dataset: which generations, removals and receipts exist in the lake.

Layout below `_tidegate/`, one record a file, none ever changed:

    manifests/<dataset>/<window>/<generation>.json    a committed generation
    removals/<dataset>/<run>.json                     files taken out of the lake on purpose
    receipts/<dataset>/<window>/<generation>-<run>.json   a purge that came to its end
    attempts/<dataset>/<window>/<generation>-<attempt>-<what>.json   a purge that began, or was stopped
"""

from dataclasses import dataclass
from typing import TypeVar

from blocks.lake import Lake
from schemas.errors import Busy
from schemas.manifest import Attempt, Manifest, Receipt, Record, Removal
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
        removed = {path for removal in self._read_all("removals", Removal) for path in removal.paths}
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

    def commit(self, manifest: Manifest) -> None:
        """Make a generation exist.

        Raises:
            Busy: Somebody else committed this generation of the window first.
        """
        if not self._lake.put_if_absent(manifest.path, manifest.to_bytes()):
            raise Busy(
                f"Another run committed generation {manifest.generation} of {manifest.window} of {self._dataset}.",
                state="Its files are in the lake; this run's copy of them is not part of it.",
                next_step="Run the same command again; it goes on from what is committed.",
            )

    def next_generation(self, window: Window) -> int:
        """Return the number that the next generation of this very window will have."""
        taken = [entry.path for entry in self._lake.list(f"{ROOT}/manifests/{self._dataset}/{window.id}")]
        return 1 + max((int(path.rsplit("/", 1)[1].removesuffix(".json")) for path in taken), default=0)

    def record_receipt(self, receipt: Receipt) -> None:
        """Record that a purge came to its end."""
        self._append("receipts", receipt, f"{_generation_part(receipt.manifest)}-{receipt.run_id}")

    def record_attempt(self, attempt: Attempt) -> None:
        """Record that a purge began, or that it was stopped."""
        what = "begun" if attempt.deleted is None else "stopped"
        self._append("attempts", attempt, f"{_generation_part(attempt.manifest)}-{attempt.attempt_id}-{what}")

    def record_removal(self, removal: Removal, run_id: str) -> None:
        """Record that files leave the lake; from here on readers do not see them."""
        self._append("removals", removal, run_id)

    def open_attempts(self, manifest: Manifest) -> list[Attempt]:
        """Return the purges of a generation that began, or were stopped, since one last came to its end."""
        finished = [r.finished_at for r in self._read_all("receipts", Receipt) if r.manifest == manifest.path]
        found = self._read_below(f"{ROOT}/attempts/{self._dataset}/{manifest.window.id}", Attempt)
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
        self._lake.put_if_absent(f"{ROOT}/{kind}/{self._dataset}/{name}.json", record.to_bytes())

    def _read_all(self, kind: str, record: type[R]) -> list[R]:
        return self._read_below(f"{ROOT}/{kind}/{self._dataset}", record)

    def _read_below(self, folder: str, record: type[R]) -> list[R]:
        paths = [entry.path for entry in self._lake.list(folder)]
        return [record.from_bytes(data, path) for path, data in zip(paths, self._lake.read_many(paths), strict=True)]


def datasets(lake: Lake) -> list[str]:
    """Return the names of the datasets that have a committed generation."""
    prefix = f"{ROOT}/manifests/"
    return sorted({entry.path.removeprefix(prefix).rsplit("/", 2)[0] for entry in lake.list(prefix.rstrip("/"))})


def _generation_part(manifest_path: str) -> str:
    """Return `<window>/<generation>` of a manifest's path."""
    return "/".join(manifest_path.removesuffix(".json").rsplit("/", 2)[1:])
