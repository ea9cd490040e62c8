"""The run log of a lake: append-only records, each written once, by many writers and without a lock.

Layout below `_tidegate/`:

runs/<day>/<time>-<id>.json    what a run did with one thing (`schemas.run_record`)
"""

from collections.abc import Iterable
from datetime import UTC

from blocks.lake import Lake
from blocks.ledger import ROOT
from schemas.errors import LakeError
from schemas.run_record import RunRecord

RUNS = f"{ROOT}/runs"


def append_run_record(lake: Lake, record: RunRecord) -> None:
    """Write a record.

    Raises:
        LakeError: It may not be written, or there is one of this name, which no two records have.
    """
    moment = record.started_at.astimezone(UTC)
    path = f"{RUNS}/{moment:%Y-%m-%d}/{moment:%H%M%S.%f}-{record.id}.json"
    if not lake.put_if_absent(path, record.to_bytes()):
        raise LakeError(f"The record {path} is there already, and records are never changed.")


def read_run_records(lake: Lake, names: Iterable[str] | None = None) -> list[RunRecord]:
    """Return the records, the oldest first.

    Args:
        lake: The lake.
        names: Only those of these names (`RunRecord.name`).

    Raises:
        ProofFailed: A record is damaged.
    """
    paths = [entry.path for entry in lake.list(RUNS) if entry.path.endswith(".json")]
    records = [RunRecord.from_bytes(data, path) for path, data in zip(paths, lake.read_many(paths), strict=True)]
    wanted = None if names is None else set(names)
    return [record for record in records if wanted is None or record.name in wanted]
