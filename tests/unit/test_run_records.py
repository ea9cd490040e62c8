"""The run log: many writers, and compaction that may die anywhere, lose nothing and double nothing."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.compacted_runs import COMPACTED, compact_run_records
from blocks.lake import Lake
from blocks.local_lake import LocalLake
from blocks.run_records import append_run_record, read_run_log, read_run_records, single_records
from schemas.config import Settings
from schemas.errors import LakeError, ProofFailed
from schemas.run_record import RunRecord
from tasks.catalog import tidy_run_log as tidy

MONDAY = datetime(2026, 3, 2, 5, tzinfo=UTC)
WEDNESDAY = date(2026, 3, 4)
spawn = multiprocessing.get_context("spawn")


def record(number: int, at: datetime | None = None, **more: Any) -> RunRecord:
    moment = at or MONDAY + timedelta(hours=number)
    values = {"run_id": "run", "job": "ingest", "name": "shop.orders", "state": "done", "seconds": 1.0, **more}
    return RunRecord(id=f"r{number:06d}", started_at=moment, **values)


def write_many(lake: Lake, numbers: Iterable[int]) -> None:
    for number in numbers:
        append_run_record(lake, record(number))


def ids(lake: Lake) -> list[int]:
    return [int(one.id[1:]) for one in read_run_records(lake)]


def append_as_process(folder: Path, start: int) -> None:
    write_many(LocalLake(folder), range(start, start + 40))


def compact_as_process(folder: Path) -> None:
    compact_run_records(LocalLake(folder), date(2027, 1, 1))


def die_instead(folder: Path, method: str, after: int) -> None:
    """Compact, and be gone when the lake's method is called: before anything is done, or after that many paths."""
    lake = LocalLake(folder)
    original: Callable[..., Any] = getattr(lake, method)

    def dying(*arguments: Any) -> None:
        if method == "delete":
            original(list(arguments[0])[:after])
        elif after:
            original(*arguments)
        os._exit(9)

    setattr(lake, method, dying)
    compact_run_records(lake, date(2027, 1, 1))


def run_all(target: Callable[..., None], *calls: tuple[Any, ...]) -> list[int | None]:
    processes = [spawn.Process(target=target, args=arguments) for arguments in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_records_are_read_in_the_order_of_time_and_by_name(any_lake: Lake) -> None:
    for number, name in ((3, "shop.orders"), (1, "crm.people"), (2, "shop.orders")):
        append_run_record(any_lake, record(number, name=name))
    assert ids(any_lake) == [1, 2, 3]
    assert [one.id for one in read_run_records(any_lake, ["crm.people"])] == ["r000001"]
    with pytest.raises(LakeError, match="is there already"):
        append_run_record(any_lake, record(3))


def test_writers_at_once_lose_nothing_also_while_others_compact(tmp_path: Path) -> None:
    append_as_process(tmp_path, 0)
    writers = [(spawn.Process(target=append_as_process, args=(tmp_path, n * 40))) for n in range(1, 4)]
    compacting = [spawn.Process(target=compact_as_process, args=(tmp_path,)) for _ in range(2)]
    for process in (*writers, *compacting):
        process.start()
    lake = LocalLake(tmp_path)
    while any(process.is_alive() for process in writers):
        assert set(range(40)) <= set(seen := ids(lake))
        assert len(seen) == len(set(seen))
    for process in (*writers, *compacting):
        process.join(60)
        assert process.exitcode == 0
    assert ids(lake) == list(range(160))


def test_compacted_records_are_those_that_there_were_and_only_of_past_days(any_lake: Lake) -> None:
    records = [record(number, name=f"shop.{number}") for number in range(60)]
    for one in records:
        append_run_record(any_lake, one)
    assert compact_run_records(any_lake, WEDNESDAY) == 43
    assert [entry.path.rpartition("/")[2][:21] for entry in any_lake.list(COMPACTED)] == ["2026-03-02-2026-03-03"]
    assert len(single_records(any_lake)) == 17
    assert read_run_records(any_lake) == records
    assert compact_run_records(any_lake, WEDNESDAY) == 0
    # A run of a past day that ends only now is compacted with the next ones.
    append_run_record(any_lake, record(100, MONDAY))
    assert compact_run_records(any_lake, WEDNESDAY) == 1
    assert sorted(ids(any_lake)) == [*range(60), 100]


@pytest.mark.parametrize(
    ("method", "after"), [("put_if_absent", 0), ("put_if_absent", 1), ("delete", 0), ("delete", 7), ("delete", 20)]
)
def test_a_compaction_that_dies_loses_and_doubles_nothing(tmp_path: Path, method: str, after: int) -> None:
    lake = LocalLake(tmp_path)
    write_many(lake, range(20))
    assert run_all(die_instead, (tmp_path, method, after)) == [9]
    assert ids(lake) == list(range(20))
    compact_run_records(lake, date(2027, 1, 1))
    assert (ids(lake), single_records(lake)) == (list(range(20)), [])


def test_two_compactions_of_other_records_at_once_double_nothing(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    write_many(lake, range(20))
    run_all(die_instead, (tmp_path, "delete", 0))  # as one that is slow to delete
    write_many(lake, range(20, 30))
    assert compact_run_records(lake, date(2027, 1, 1)) == 30
    assert len(list(lake.list(COMPACTED))) == 2
    assert ids(lake) == list(range(30))


def test_a_reader_whose_records_are_compacted_under_its_hands_sees_all_of_them(any_lake: Lake) -> None:
    write_many(any_lake, range(10))
    read_many = any_lake.read_many

    def compacted_first(paths: Iterable[str]) -> list[bytes]:
        any_lake.read_many = read_many  # type: ignore[method-assign]
        compact_run_records(any_lake, date(2027, 1, 1))
        return read_many(paths)

    any_lake.read_many = compacted_first  # type: ignore[method-assign]
    assert ids(any_lake) == list(range(10))
    assert single_records(any_lake) == []


def test_single_records_are_not_deleted_unless_the_compacted_file_holds_them(local_lake: LocalLake) -> None:
    write_many(local_lake, range(5))
    compact_run_records(local_lake, date(2027, 1, 1))
    [compacted] = local_lake.folder.joinpath(COMPACTED).iterdir()
    whole = compacted.read_bytes()
    compacted.write_bytes(whole[: len(whole) // 2])
    write_many(local_lake, range(5))
    with pytest.raises(LakeError, match=compacted.name):
        compact_run_records(local_lake, date(2027, 1, 1))
    assert [one.id for one in read_run_log(local_lake).records] == [f"r{number:06d}" for number in range(5)]


def test_a_damaged_record_is_named_stays_where_it_is_and_hides_no_other(any_lake: Lake) -> None:
    write_many(any_lake, range(3))
    any_lake.put_if_absent("_tidegate/runs/2026-03-02/000000-x.json", record(7).to_bytes().replace(b"shop", b"shap"))
    compact_run_records(any_lake, date(2027, 1, 1))
    log = read_run_log(any_lake)
    assert [one.id for one in log.records] == ["r000000", "r000001", "r000002"]
    assert log.damaged == (
        "_tidegate/runs/2026-03-02/000000-x.json: this run is damaged: its checksum does not match its content.",
    )
    with pytest.raises(ProofFailed, match=r"000000-x\.json"):
        read_run_records(any_lake)
    assert single_records(any_lake) == ["_tidegate/runs/2026-03-02/000000-x.json"]


def test_a_flipped_bit_anywhere_in_a_compacted_file_is_noticed(local_lake: LocalLake) -> None:
    write_many(local_lake, range(200))
    compact_run_records(local_lake, date(2027, 1, 1))
    [file] = local_lake.folder.joinpath(COMPACTED).iterdir()
    whole = file.read_bytes()
    written = {one.id: one for one in read_run_log(local_lake).records}
    for place in range(10, len(whole), len(whole) // 25):  # the gzip header before says nothing of the records
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        log = read_run_log(local_lake)
        assert file.name in log.damaged[0]
        assert all(one == written[one.id] for one in log.records)
        if place > len(whole) * 0.7:
            assert len(log.records) > 30, place
    file.write_bytes(whole[:-9])
    assert "its end is missing" in "".join(read_run_log(local_lake).damaged)


def test_runs_tidy_the_log_once_there_are_many_records(
    local_lake: LocalLake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tidy, "MOST_SINGLE_RECORDS", 5)
    settings = Settings(lake=local_lake.url)
    write_many(local_lake, range(5))
    append_run_record(local_lake, record(99, datetime.now(UTC)))
    tidy.tidy_run_log(settings)
    assert len(single_records(local_lake)) == 6
    write_many(local_lake, [5])
    local_lake.folder.joinpath(COMPACTED).write_text("in the way")
    tidy.tidy_run_log(settings)  # what the run did is not undone by this
    assert "could not be put together" in caplog.text
    local_lake.folder.joinpath(COMPACTED).unlink()
    tidy.tidy_run_log(settings)
    assert ids(local_lake) == [0, 1, 2, 3, 4, 5, 99]
    assert len(single_records(local_lake)) == 1
