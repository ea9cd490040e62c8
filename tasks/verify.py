"""Proves that a committed generation is in the lake: re-read by another engine, compared with the attestation.

The only module that can make a `VerifiedGeneration`, and only a `VerifiedGeneration` can be purged.
"""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq

from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from schemas.job import Job
from schemas.manifest import Manifest, dataset_of
from tasks.check_generation import check_generation
from tasks.files_still_there import file_versions
from tasks.holds import write_held_keys
from tasks.proof_failed import proof_failed
from tasks.still_stands import standing_generation

_SEAL = object()


@dataclass(frozen=True, slots=True)
class VerifiedGeneration:
    """A generation of which every row was just found in the lake, as the source attested it.

    Attributes:
        manifest: Its manifest.
        keys: A local Parquet file made from the very bytes that were proven, ordered by key: the key's columns as
            text `k0`, `k1`, … that the source reads back, and `digest` (uint64). Rows under legal hold are left out.
        versions: For each of its files, what tells it from one that is written in its place.
        held: How many these are.
        holds: What tells the holds from others (`schemas.hold.holds_digest`), if there are any.
    """

    manifest: Manifest
    keys: Path
    seal: InitVar[object]
    versions: Mapping[str, str] = field(default_factory=dict)
    held: int = 0
    holds: str | None = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only tasks.verify can make a VerifiedGeneration; call prove()")


def prove(job: Job, manifest_path: str, scratch: Path) -> VerifiedGeneration:
    """Re-read a generation and return the evidence that a purge needs.

    Args:
        job: The job.
        manifest_path: The generation's manifest.
        scratch: A local folder for copies and for the evidence, which lives as long as the folder.

    Raises:
        ProofFailed: Anything is not as attested; the message names what differs, and where. Nothing was deleted.
        LakeUnavailable: The lake could not be read now.
        LakeError: There is no room for the evidence.
    """
    holds = job.holds_digest
    job = job.of_dataset(dataset_of(manifest_path))
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    generation = standing_generation(Ledger(lake, job.dataset), manifest_path)
    manifest = generation.manifest
    keys = scratch / f"keys-{uuid4().hex}.parquet"
    what = f"Window {manifest.window}, generation {manifest.generation}, cannot be verified"
    versions = file_versions(lake, manifest)
    with machine_errors(what, "No row was deleted on account of this generation."):
        findings = check_generation(lake, generation, job.settings, scratch, keys=keys)
    if findings:
        raise proof_failed(job, lake, generation, findings, scratch)
    return VerifiedGeneration(manifest, keys, _SEAL, versions, _leave_out_held(job, lake, generation, keys), holds)


def _leave_out_held(job: Job, lake: Lake, generation: Generation, keys: Path) -> int:
    """Take the rows that a legal hold covers out of the evidence, and return how many these were."""
    held, all_keys = keys.with_suffix(".held"), keys.with_suffix(".all")
    if not write_held_keys(job, lake, generation, held):
        return 0
    keys.rename(all_keys)
    names = [f"k{i}" for i in range(len(generation.manifest.key))]
    with duck(job.settings) as connection:
        rows = f"read_parquet({text_literal(str(all_keys))}, file_row_number = true) AS rows"
        same = " AND ".join(f"rows.{name} = held.{name}" for name in names)
        connection.execute(
            f"COPY (SELECT {', '.join([*names, 'digest'])} FROM {rows} ANTI JOIN {read_files([str(held)])} AS held "
            f"ON {same} ORDER BY file_row_number) TO {text_literal(str(keys))} (FORMAT parquet, COMPRESSION zstd)"
        )
    left = int(pq.read_metadata(all_keys).num_rows - pq.read_metadata(keys).num_rows)
    for path in (held, all_keys):
        path.unlink()
    return left
