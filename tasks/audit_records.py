"""Reads all records of a dataset, the damaged ones too: each of these becomes a finding, and the rest is read."""

from dataclasses import dataclass, field
from typing import TypeVar

from blocks.lake import Lake
from blocks.ledger import ROOT, Generation
from blocks.standing import Standing, standing
from schemas.erasure import Erasure
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import Manifest, Removal
from schemas.purge_records import Attempt, Receipt
from schemas.record import Record
from schemas.sealed_plan import Decision, SealedPlan

R = TypeVar("R", bound=Record)

# Folder -> what is in it, and how many parts a path has below <folder>/<dataset>/: datasets may lie within others.
_FOLDERS: dict[str, tuple[type[Record], int]] = {
    "manifests": (Manifest, 2),
    "removals": (Removal, 1),
    "erasures": (Erasure, 1),
    "receipts": (Receipt, 2),
    "attempts": (Attempt, 2),
    "plans": (SealedPlan, 1),
    "decisions": (Decision, 1),
}


@dataclass
class DatasetRecords:
    """The records of one dataset.

    Attributes:
        generations: Those with a readable manifest that no other one supersedes, in the order of their windows.
        superseded: Manifests of superseded generations whose files have not left the lake yet.
        findings: Records that are damaged, not where they belong, or contradict each other.
    """

    generations: list[Generation] = field(default_factory=list)
    superseded: list[Manifest] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_records(lake: Lake, dataset: str) -> DatasetRecords:
    """Read every record of a dataset.

    Raises:
        LakeError: The lake could not be read.
    """
    found = DatasetRecords()
    manifest_paths, manifests = _read(lake, dataset, "manifests", Manifest, found)
    _, removals = _read(lake, dataset, "removals", Removal, found)
    erasure_paths, erasures = _read(lake, dataset, "erasures", Erasure, found)
    _, receipts = _read(lake, dataset, "receipts", Receipt, found)
    _read(lake, dataset, "attempts", Attempt, found)
    _read(lake, dataset, "plans", SealedPlan, found)
    _read(lake, dataset, "decisions", Decision, found)
    removed = {path for removal in removals.values() for path in removal.paths}
    placed = []
    for path, manifest in manifests.items():
        if manifest.path != path or manifest.dataset != dataset:
            found.findings.append(_problem(path, f"the manifest {manifest.path}", "it was moved or copied here"))
        else:
            placed.append(manifest)
    stands = standing(placed, erasures.values())
    found.superseded += [manifest for manifest, _ in stands.superseded]
    for manifest in stands.current:
        own = (receipt for receipt in receipts.values() if receipt.manifest in {manifest.path, *manifest.supersedes})
        found.generations.append(
            Generation(
                manifest,
                tuple(sorted(own, key=lambda receipt: receipt.finished_at)),
                frozenset(file.path for file in (*manifest.files, *manifest.quarantine) if file.path in removed),
            )
        )
    superseded = {path for manifest in (*stands.current, *found.superseded) for path in manifest.supersedes}
    # What cannot be read now is found to be damaged; whether it is there is another question.
    known = {*manifest_paths, *superseded}
    found.findings += _lost_successors(erasures, known)
    if len(erasure_paths) == len(erasures):  # a damaged record of an erasure is a finding already
        found.findings += _lost_erasures(lake, dataset, stands, erasures)
    found.findings += _lost_manifests(known, receipts)
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


def _lost_successors(erasures: dict[str, Erasure], known: set[str]) -> list[Finding]:
    """What is left of a generation of which rows were erased is in the one that took its place."""
    return [
        Finding(check="missing", where=replaced.by, expected=f"the manifest that {path} names", found="no file")
        for path, erasure in sorted(erasures.items())
        for replaced in erasure.replaced
        if replaced.by not in known
    ]


def _lost_erasures(lake: Lake, dataset: str, stands: Standing, erasures: dict[str, Erasure]) -> list[Finding]:
    """A new generation without the record of its erasure is not seen, unless the erasure is at work, or has died."""
    recorded = {erasure.id for erasure in erasures.values()}
    unknown = [manifest for manifest in stands.drafts if manifest.erasures[-1].erasure not in recorded]
    intents = {entry.path for entry in lake.list(f"{ROOT}/intents/{dataset}")} if unknown else set()
    return [
        Finding(
            check="missing",
            where=f"{ROOT}/erasures/{dataset}",
            expected=f"the record {manifest.erasures[-1].erasure} that {manifest.path} names",
            found="no file",
        )
        for manifest in unknown
        if f"{ROOT}/intents/{dataset}/{manifest.erasures[-1].erasure}.json" not in intents
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
