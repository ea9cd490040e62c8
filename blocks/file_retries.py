"""Failures of files that somebody has taken back, so that the next run reads them again.

Layout below `_tidegate/`:

file_retries/<dataset>/<id>.json    one decision (`schemas.file_status`)
"""

from blocks.lake import Lake
from blocks.ledger import ROOT
from schemas.errors import LakeError
from schemas.file_status import FileRetry

_FOLDER = f"{ROOT}/file_retries"


def append_retry(lake: Lake, retry: FileRetry) -> None:
    """Write a decision down.

    Raises:
        LakeError: It may not be written.
    """
    path = f"{_FOLDER}/{retry.dataset}/{retry.id}.json"
    if not lake.put_if_absent(path, retry.to_bytes()):
        raise LakeError(f"The record {path} is there already, and records are never changed.")


def read_retries(lake: Lake, dataset: str) -> list[FileRetry]:
    """Return the decisions on a dataset.

    Raises:
        ProofFailed: A record is damaged.
    """
    folder = f"{_FOLDER}/{dataset}"
    paths = [e.path for e in lake.list(folder) if e.path.endswith(".json") and "/" not in e.path[len(folder) + 1 :]]
    return [FileRetry.from_bytes(data, path) for path, data in zip(paths, lake.read_many(paths), strict=True)]
