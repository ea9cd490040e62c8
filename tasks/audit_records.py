"""Reads all records of a dataset, the damaged ones too: each of these becomes a finding, and the rest is read."""

from dataclasses import dataclass, field
from typing import TypeVar

from blocks.lake import Lake
from blocks.ledger import ROOT, Generation
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import Attempt, Manifest, Receipt, Record, Removal

R = TypeVar("R", bound=Record)

# Folder -> what is in it, and how many parts a path has below <folder>/<dataset>/: datasets may lie within others.
_FOLDERS: dict[str, tuple[type[Record], int]] = {
    "manifests": (Manifest, 2),
    "removals": (Removal, 1),
    "receipts": (Receipt, 2),
    "attempts": (Attempt, 2),
}


@dataclass
class DatasetRecords:
    """The records of one dataset.

    Attributes:
        generations: Those with a readable manifest, in the order of their windows.
        findings: Records that are damaged, not where they belong, or contradict each other.
    """

    generations: list[Generation] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_records(lake: Lake, dataset: str) -> DatasetRecords:
    """Read every record of a dataset.

    Raises:
        LakeError: The lake could not be read.
    """
    found = DatasetRecords()
    manifest_paths, manifests = _read(lake, dataset, "manifests", Manifest, found)
    _, removals = _read(lake, dataset, "removals", Removal, found)
    _, receipts = _read(lake, dataset, "receipts", Receipt, found)
    _read(lake, dataset, "attempts", Attempt, found)
    removed = {path for removal in removals.values() for path in removal.paths}
    for path, manifest in manifests.items():
        if manifest.path != path or manifest.dataset != dataset:
            found.findings.append(_problem(path, f"the manifest {manifest.path}", "it was moved or copied here"))
            continue
        own = (receipt for receipt in receipts.values() if receipt.manifest == path)
        found.generations.append(
            Generation(
                manifest,
                tuple(sorted(own, key=lambda receipt: receipt.finished_at)),
                frozenset(file.path for file in manifest.files if file.path in removed),
            )
        )
    found.findings += _lost_manifests(set(manifest_paths), receipts)
    found.findings += _shared_files(found.generations)
    found.generations.sort(key=lambda g: (g.manifest.window.id, g.manifest.generation))
    return found


def _read(
    lake: Lake, dataset: str, folder: str, kind: type[R], found: DatasetRecords
) -> tuple[list[str], dict[str, R]]:
    """Return the paths of all records of a kind, and those that could be read by their paths."""
    prefix = f"{ROOT}/{folder}/{dataset}/"
    depth = _FOLDERS[folder][1]
    listed = (entry.path for entry in lake.list(prefix.rstrip("/")))
    paths = [path for path in listed if path.removeprefix(prefix).count("/") == depth - 1]
    records = {}
    for path, data in zip(paths, lake.read_many(paths), strict=True):
        try:
            records[path] = kind.from_bytes(data, path)
        except ProofFailed as error:
            found.findings.append(_problem(path, f"a {kind.kind} as it was written", error.what))
    return paths, records


def _lost_manifests(manifest_paths: set[str], receipts: dict[str, Receipt]) -> list[Finding]:
    """Rows were deleted from the source on account of a manifest: without it, no reader finds them any more."""
    lost = {r.manifest: path for path, r in receipts.items() if r.manifest not in manifest_paths}
    return [
        Finding(check="missing", where=manifest, expected=f"the manifest that {receipt} names", found="no file")
        for manifest, receipt in sorted(lost.items())
    ]


def _shared_files(generations: list[Generation]) -> list[Finding]:
    owners: dict[str, str] = {}
    findings = []
    for generation in generations:
        for file in generation.manifest.files:
            path = generation.manifest.path
            owner = owners.setdefault(file.path, path)
            if owner != path:
                findings.append(_problem(path, f"{file.path} in one generation", f"also in {owner}"))
    return findings


def _problem(where: str, expected: str, found: str) -> Finding:
    return Finding(check="record", where=where, expected=expected, found=found)
