"""The run log of a lake: append-only records, each written once, by many writers and without a lock.

Layout below `_tidegate/`:

runs/<day>/<time>-<id>.json                          what a run did with one thing (`schemas.run_record`)
runs/compacted/<first day>-<last day>-<id>.jsonl.gz  records of past days, put together (`blocks.compacted_runs`)

A record may be in both places while it is on its way from one to the other. Readers take the union, by the records'
ids: whenever a compaction dies, and however many run at once, nothing is lost and nothing counts twice.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from blocks.compacted_runs import COMPACTED, RUNS, compacted_lines
from blocks.lake import Lake
from schemas.errors import LakeError, ProofFailed
from schemas.run_record import RunRecord

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class RunLog:
    """The records of a run log.

    Attributes:
        records: Those that are sound, the oldest first.
        damaged: What is wrong with each of the others, naming its file.
    """

    records: tuple[RunRecord, ...] = ()
    damaged: tuple[str, ...] = ()


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
    log = read_run_log(lake)
    if log.damaged:
        raise ProofFailed(
            "\n".join(log.damaged),
            state="Nothing was read or changed on its account.",
            next_step="Restore the file from a backup or an older object version. tidegate catalog shows the others.",
        )
    wanted = None if names is None else set(names)
    return [record for record in log.records if wanted is None or record.name in wanted]


def read_run_log(lake: Lake) -> RunLog:
    """Return all records, and what is wrong with those that are damaged; these do not keep the others from readers.

    Raises:
        LakeUnavailable: The lake could not be reached.
    """
    records: dict[tuple[datetime, str], RunRecord] = {}  # ids alone are too short to rely on among millions
    damaged: list[str] = []
    # In this order: what is compacted, and gone, before it is read, is found in what is listed after that.
    for place, data in (*_singles(lake), *_compacted(lake, damaged)):
        try:
            record = RunRecord.from_bytes(data, place)
        except ProofFailed as error:
            damaged.append(error.what)
        else:
            records.setdefault((record.started_at.astimezone(UTC), record.id), record)
    return RunLog(tuple(record for _, record in sorted(records.items(), key=itemgetter(0))), tuple(damaged))


def single_records(lake: Lake) -> list[str]:
    """Return the paths of the records that have a file of their own, by day and time."""
    found = (entry.path for entry in lake.list(RUNS))
    return [path for path in found if path.endswith(".json") and not path.startswith(f"{COMPACTED}/")]


def _singles(lake: Lake) -> Iterator[tuple[str, bytes]]:
    paths = single_records(lake)
    for start in range(0, len(paths), _AT_ONCE):
        chunk = paths[start : start + _AT_ONCE]
        try:
            yield from zip(chunk, lake.read_many(chunk), strict=True)
        except FileNotFoundError:  # compacted since it was listed
            for path in chunk:
                with suppress(FileNotFoundError):
                    yield path, lake.read(path)


def _compacted(lake: Lake, damaged: list[str]) -> Iterator[tuple[str, bytes]]:
    paths = [entry.path for entry in lake.list(COMPACTED)]
    for path, data in zip(paths, lake.read_many(paths), strict=True):
        lines, fault = compacted_lines(data)
        if fault:
            damaged.append(f"{path}: this file of compacted records is damaged: {fault}, after {len(lines)} records.")
        for number, line in enumerate(lines, 1):
            yield f"{path}, line {number}", line
