"""Files into the raw layer: what is new is stored once, what is wrong is told and stops nothing else."""

import errno
import hashlib
import os
import random
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from files_bench import FilesBench, one, states

from blocks.file_places.local import LocalPlace
from blocks.ledger import Ledger
from blocks.run_records import read_run_records
from blocks.table_log import Draft, TableLog
from schemas.errors import ConfigError, GateFailed, LakeUnavailable, SourceError, SourceUnavailable
from schemas.ingest_report import FileState, TableReport, TableState
from schemas.manifest import Manifest
from tasks.ingest import files
from tasks.ingest.finished_files import finished_files

HEADER = "id,amount\n"
TWO = HEADER + "1,1.5\n2,2.5\n"
DONE, FAILED, DUPLICATE, UNFINISHED = FileState.DONE, FileState.FAILED, FileState.DUPLICATE, FileState.UNFINISHED


def manifests(drop: FilesBench) -> list[Manifest]:
    return [generation.manifest for generation in Ledger(drop.lake, "raw/partner/sales").generations()]


# What is new


def test_files_are_stored_once_with_where_they_came_from(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    report = drop.ingest()
    assert (report.state, report.read, report.rows, states(report)) == (
        TableState.DONE, 3, 3, {"a.csv": DONE, "b.csv": DONE}
    )  # fmt: skip
    assert drop.rows("id, amount, _source, _source_file, _schema_version") == [
        (1, 1.5, "partner", "a.csv", 1), (2, 2.5, "partner", "a.csv", 1), (3, 3.5, "partner", "b.csv", 1)
    ]  # fmt: skip
    day = manifests(drop)[0].committed_at
    stored = manifests(drop)[0].files[0].path
    assert stored.startswith(f"raw/partner/sales/year={day:%Y}/month={day:%m}/day={day:%d}/")
    again = drop.ingest()
    assert (again.state, again.rows, again.files) == (TableState.UNCHANGED, 0, ())
    drop.put("c.csv", HEADER + "4,4.5\n")
    assert states(drop.ingest()) == {"c.csv": DONE}
    assert len(drop.rows()) == 4
    assert drop.dropped() == ["a.csv", "b.csv", "c.csv"]
    drop.assert_sound()


def test_a_changed_file_takes_the_place_of_what_it_was(drop: FilesBench) -> None:
    drop.put("a.csv", TWO, modified=1_700_000_000)
    drop.put("b.csv", HEADER + "3,3.5\n")
    drop.ingest()
    drop.put("a.csv", HEADER + "1,9.5\n")
    assert states(drop.ingest()) == {"a.csv": DONE}
    assert drop.rows() == [(1, 9.5), (3, 3.5)]
    assert len(drop.rows(table="sales__history")) == 4
    drop.put("a.csv", TWO, modified=1_700_000_000)  # as it was at first, its time included
    drop.ingest()
    assert drop.rows() == [(1, 1.5), (2, 2.5), (3, 3.5)]
    drop.assert_sound()


def test_a_file_that_was_only_touched_is_known_and_not_read_again(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop.put("a.csv", TWO)
    drop.ingest()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert drop.ingest().state is TableState.UNCHANGED
    assert len(manifests(drop)) == 1

    def never(*_: object) -> None:
        raise AssertionError("it was fetched again to find out that nothing is new")

    monkeypatch.setattr(LocalPlace, "fetch", never)
    assert drop.ingest().state is TableState.UNCHANGED


def test_the_same_content_under_another_name_is_reported_and_left_alone(drop: FilesBench) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)
    drop.ingest()
    drop.put("copy.csv", TWO)
    report = drop.ingest()
    assert states(report) == {"copy.csv": DUPLICATE}
    assert one(report, "copy.csv").note == "has the same content as a.csv, and was left alone"
    assert (len(manifests(drop)), drop.dropped()) == (1, ["copy.csv"])
    assert drop.ingest().files == ()


def test_a_copy_is_read_once_what_it_was_a_copy_of_has_changed(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.ingest()
    drop.put("copy.csv", TWO)
    drop.put("a.csv", HEADER + "7,7.5\n")
    drop.ingest()
    drop.ingest()
    assert drop.rows() == [(1, 1.5), (2, 2.5), (7, 7.5)]


def test_two_copies_that_arrive_together_are_stored_once(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.put("b.csv", TWO)
    assert states(drop.ingest()) == {"a.csv": DONE, "b.csv": DUPLICATE}
    assert len(drop.rows()) == 2


def test_files_without_rows_are_no_copies_of_each_other(drop: FilesBench) -> None:
    drop.put("a.csv", HEADER)
    drop.put("b.csv", HEADER)
    drop.put("c.csv", TWO)
    assert states(drop.ingest()) == {"a.csv": DONE, "b.csv": DONE, "c.csv": DONE}
    assert len(drop.rows()) == 2
    assert drop.ingest().files == ()
    drop.assert_sound()


def test_all_files_are_read_again_with_full(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    drop.ingest()
    drop.configure({"types": {"amount": "VARCHAR"}})
    assert drop.ingest().state is TableState.UNCHANGED
    report = drop.ingest(full=True)
    assert (report.rows, states(report)) == (3, {"a.csv": DONE, "b.csv": DONE})
    assert drop.rows() == [(1, "1.5"), (2, "2.5"), (3, "3.5")]
    assert len(manifests(drop)) == 4


def test_a_dry_run_names_the_files_and_writes_nothing(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    planned = drop.ingest(dry_run=True)
    assert (planned.state, one(planned, "a.csv").state, one(planned, "a.csv").bytes) == (
        TableState.PLANNED, FileState.PLANNED, len(TWO)
    )  # fmt: skip
    assert not (drop.folder / "lake").exists()


def test_a_path_that_is_a_pattern_is_a_table_called_like_its_source(drop: FilesBench) -> None:
    from tasks.ingest.ingest_table import ingest_table

    drop.put("in/x.csv", TWO)
    for path in ("in/*.csv", "in/"):
        text = f"sources: [{{name: partner, type: files, path: {drop.drop}/{path}, settle_s: 0}}]"
        (drop.config_dir / "sources.yaml").write_text(text)
        report = ingest_table(drop.config_dir, "partner", "partner", path)
        assert report.dataset == "raw/partner/partner"
    assert drop.rows(table="partner") == [(1, 1.5), (2, 2.5)]


# What becomes of a file afterwards


def test_files_move_away_and_a_name_that_comes_again_is_a_new_delivery(drop: FilesBench) -> None:
    drop.configure({"files": "**/*.csv"}, after="move", move_to="done")
    drop.put("in/orders.csv", TWO, modified=1_700_000_000)
    report = drop.ingest()
    assert one(report, "in/orders.csv").note.startswith("moved to ")
    assert drop.dropped() == ["done/in/orders.csv"]
    drop.put("in/orders.csv", HEADER + "3,3.5\n", modified=1_700_086_400)
    drop.ingest()
    assert drop.rows() == [(1, 1.5), (2, 2.5), (3, 3.5)]
    assert drop.dropped() == ["done/in/orders-20231115T221320Z.csv", "done/in/orders.csv"]
    assert drop.ingest().files == ()


def test_a_file_is_deleted_only_after_its_rows_were_read_back(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)
    commit = TableLog.commit

    def damaged(self: TableLog, *arguments: Any) -> Manifest:
        manifest = commit(self, *arguments)
        stored = drop.folder / "lake" / manifest.files[0].path
        stored.write_bytes(stored.read_bytes()[:-9] + b"otherbyte")
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", damaged)
        report = drop.ingest()
    assert (report.state, report.exit_code) == (TableState.FAILED, 3)
    assert "the lake does not hold what was read from it" in str(one(report, "a.csv").error)
    assert drop.dropped() == ["a.csv"]
    assert drop.ingest().exit_code == 3
    assert drop.dropped() == ["a.csv"]


def test_a_file_of_which_the_lake_has_fewer_rows_than_were_read_is_not_deleted(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)
    commit = TableLog.commit

    def a_row_more(self: TableLog, draft: Draft, run_id: str) -> Manifest:  # its files are what the manifest says
        return commit(self, replace(draft, rows_read=draft.rows_read + 1), run_id)

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", a_row_more)
        first = drop.ingest()
    for report in (first, drop.ingest()):
        assert (report.state, report.exit_code) == (TableState.FAILED, 3)
        assert "expected 3 rows, found 2 rows" in str(one(report, "a.csv").error)
        assert drop.dropped() == ["a.csv"]


def test_a_name_with_signs_of_a_pattern_is_that_file_and_no_other(drop: FilesBench) -> None:
    drop.configure({"files": "**/*.csv"}, after="delete")
    for number, name in enumerate(
        ["a[1].csv", "a1.csv", "b*.csv", "bx.csv", "c?.csv", "cx.csv", "[d]/x.csv", "d/x.csv"]
    ):
        drop.put(name, f"{HEADER}{number},0.5\n")
    drop.ingest()
    assert drop.rows("id, _source_file") == [
        (0, "a[1].csv"), (1, "a1.csv"), (2, "b*.csv"), (3, "bx.csv"), (4, "c?.csv"), (5, "cx.csv"),
        (6, "[d]/x.csv"), (7, "d/x.csv"),
    ]  # fmt: skip
    assert drop.dropped() == []


def test_what_a_run_could_not_do_after_its_commit_the_next_one_does(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalPlace, "delete", die)
        drop.ingest()
    assert (drop.dropped(), len(drop.rows())) == (["a.csv"], 2)
    assert one(drop.ingest(), "a.csv").note == "deleted"
    assert (drop.dropped(), len(drop.rows())) == ([], 2)


def test_a_file_that_cannot_be_deleted_is_told_each_time_and_its_rows_are_in_the_lake(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)

    def refuse(*_: object) -> None:
        raise SourceError("permission denied", next_step="ask")

    monkeypatch.setattr(LocalPlace, "delete", refuse)
    for _ in range(2):
        report = drop.ingest()
        assert (report.state, report.exit_code) == (TableState.FAILED, 1)
        assert "Its rows are in the lake, but it could not be deleted: permission denied" in str(report.error)
    assert len(drop.rows()) == 2 and len(manifests(drop)) == 1


def test_a_new_delivery_that_comes_before_the_old_file_could_be_deleted_is_not_deleted(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.configure(after="delete")
    drop.put("a.csv", TWO)
    commit = TableLog.commit

    def meanwhile(self: TableLog, *arguments: Any) -> Manifest:
        manifest = commit(self, *arguments)
        drop.put("a.csv", HEADER + "3,3.5\n", modified=1_700_000_000)
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", meanwhile)
        drop.ingest()
    assert drop.dropped() == ["a.csv"]
    drop.ingest()
    assert (drop.rows(), drop.dropped()) == ([(1, 1.5), (2, 2.5), (3, 3.5)], [])


# Files that are being written


def test_a_file_that_is_still_being_written_is_left_alone(drop: FilesBench) -> None:
    drop.configure(settle_s=0.6)
    drop.put("old.csv", TWO, modified=1_700_000_000)
    growing = drop.put("new.csv", HEADER + "3,3.5\n")
    drop.put("young.csv", HEADER + "5,5.5\n")
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.1):
            with growing.open("a") as file:
                file.write("4,4.5\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = drop.ingest()
    finally:
        stop.set()
        writer.join()
    assert states(report) == {"old.csv": DONE, "new.csv": UNFINISHED, "young.csv": DONE}
    assert (3, 3.5) not in drop.rows()
    assert states(drop.ingest()) == {"new.csv": DONE}


def test_a_file_with_a_time_in_the_future_is_waited_for_once(drop: FilesBench) -> None:
    drop.configure(settle_s=0.3)
    drop.put("a.csv", TWO, modified=time.time() + 10_000)
    started = time.monotonic()
    assert states(drop.ingest()) == {"a.csv": DONE}
    assert time.monotonic() - started < 5


def test_a_file_waits_for_its_marker_and_takes_it_along(drop: FilesBench) -> None:
    drop.configure({"files": "*"}, marker="{name}.done", after="delete")
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    drop.put("b.csv.done", "")
    report = drop.ingest()
    assert states(report) == {"a.csv": UNFINISHED, "b.csv": DONE}
    assert one(report, "a.csv").note == "there is no a.csv.done yet"
    assert drop.dropped() == ["a.csv"]
    drop.put("a.csv.done", "", modified=1_700_000_000)
    assert one(drop.ingest(), "a.csv").note == "a.csv.done is older than it is"


def test_a_file_that_changes_while_it_is_read_is_read_the_next_time(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tasks.ingest.files as files

    read = files.read_file

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        found = read(*arguments, **options)
        drop.put("a.csv", TWO + "3,3.5\n")
        return found

    drop.put("a.csv", TWO)
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_file", meanwhile)
        assert states(drop.ingest()) == {"a.csv": UNFINISHED}
    assert manifests(drop) == []
    drop.ingest()
    assert len(drop.rows()) == 3


# Files that are wrong


def test_a_file_that_fails_does_not_stop_the_others_and_is_not_tried_again_until_it_changes(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("a.csv", HEADER + "1,1.5,7\n")
    drop.put("b.csv", TWO)
    drop.put("c.csv", "")
    report = drop.ingest()
    assert (report.state, report.exit_code, report.rows) == (TableState.FAILED, 1, 2)
    assert states(report) == {"a.csv": FAILED, "b.csv": DONE, "c.csv": FAILED}
    assert "2 files failed:" in str(report.error) and "a.csv: line 2 has 3 fields" in str(report.error)
    records = [r for r in read_run_records(drop.lake) if r.file == "a.csv"]
    assert [(r.state, r.name, r.job) for r in records] == [("failed", "partner.sales", "ingest")]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was tried again")

    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "fetch", never)
        report = drop.ingest()
    assert (report.state, report.exit_code) == (TableState.UNCHANGED, 0)
    assert "not tried again: tidegate files retry" in one(report, "a.csv").note
    drop.put("a.csv", HEADER + "3,3.5\n")
    assert states(drop.ingest())["a.csv"] is DONE
    drop.assert_sound()


@pytest.mark.parametrize(
    ("fault", "said", "note"),
    [
        (OSError(errno.EIO, "Input/output error"), "reading it failed: .*Input/output error", "the next run tries it"),
        (ValueError("odd"), "a.csv cannot be read: ValueError: odd", ""),
    ],
)
def test_what_nobody_foresaw_is_a_fault_of_one_file(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str, note: str
) -> None:
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    digest = hashlib.file_digest

    def faulty(content: Any, name: str) -> Any:
        if Path(content.name).name == "a.csv":
            raise fault
        return digest(content, name)

    monkeypatch.setattr(files, "_PAUSE_S", 0)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", faulty)
        report = drop.ingest()
    assert states(report) == {"a.csv": FAILED, "b.csv": DONE}
    assert re.search(said, str(one(report, "a.csv").error)) and note in one(report, "a.csv").note
    assert drop.rows() == [(3, 3.5)]


def test_a_marker_that_cannot_be_looked_at_stops_one_file(drop: FilesBench) -> None:
    drop.configure(marker="{name}.done")
    long = "x" * 248 + ".csv"
    for name in (long, "b.csv"):
        drop.put(name, TWO)
    drop.put("b.csv.done", "")
    assert states(drop.ingest()) == {long: UNFINISHED, "b.csv": DONE}


def test_files_of_a_clock_that_is_slow_are_looked_at_twice(drop: FilesBench) -> None:
    drop.put("a.csv", TWO, modified=time.time() - 3600)
    drop.put("old.csv", TWO, modified=time.time() - 7 * 86_400)
    place = LocalPlace(drop.drop)
    listed = place.list("*.csv").files
    growing = threading.Timer(0.2, drop.put, ["a.csv", TWO + "3,3"], {"modified": time.time() - 3599})
    growing.start()
    ready, unfinished = finished_files(place, listed, settle_s=0.6, marker=None, own_clock=False)
    growing.join()
    assert ([file.path for file in ready], unfinished) == (["old.csv"], {"a.csv": "it is still being written"})


def test_what_failed_is_tried_again_when_the_configuration_changes(drop: FilesBench) -> None:
    drop.put("a.csv", "# a note that is no header\n" + TWO)
    assert states(drop.ingest()) == {"a.csv": FAILED}
    drop.configure({"format": {"skip": 1}})
    assert states(drop.ingest()) == {"a.csv": DONE}


def test_a_place_that_cannot_be_reached_for_a_moment_is_tried_again_at_once(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tasks.ingest.files as files

    fetch, failures = LocalPlace.fetch, iter([True, False, True, True, True])

    def shaky(self: LocalPlace, *arguments: Any) -> Any:
        if next(failures, False):
            raise SourceUnavailable("the network was unwell")
        return fetch(self, *arguments)

    monkeypatch.setattr(files, "_PAUSE_S", 0.0)
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "fetch", shaky)
        report = drop.ingest()
    assert states(report) == {"a.csv": DONE, "b.csv": FAILED}
    assert one(report, "b.csv").note == "the next run tries it again"
    assert states(drop.ingest()) == {"b.csv": DONE}


def test_a_name_that_is_no_plain_text_is_told_once_and_stops_nothing(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    (drop.drop / "new\nline.csv").write_text(TWO)
    report = drop.ingest()
    assert states(report) == {"a.csv": DONE, "new\\nline.csv": FAILED}
    assert "control character" in str(report.error)
    assert drop.ingest().state is TableState.UNCHANGED


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"select": "id, amount FROM"}, "sources[partner].tables[sales].select: "),
        ({"select": "SELECT id FROM input; DROP TABLE x"}, "it is 2 statements"),
        ({"select": "CREATE TABLE x AS SELECT 1"}, ".select: "),
        ({"types": {"id": "INTEGR"}}, "sources[partner].tables[sales].types.id: 'INTEGR' is no type of DuckDB"),
        ({"gate": "schemas.nothing:Here"}, "gate: 'schemas.nothing:Here' cannot be imported"),
        ({"partition_by": ["day"]}, "partition_by: must not name day"),
        ({"files": "../x.csv"}, "files: must be a pattern of files below path"),
    ],
)
def test_a_configuration_that_is_wrong_is_told_before_anything_is_touched(
    drop: FilesBench, table: dict[str, Any], told: str
) -> None:
    drop.put("a.csv", TWO)
    drop.configure(table)
    with pytest.raises(ConfigError) as refused:
        drop.ingest()
    assert told in refused.value.what
    assert not (drop.folder / "lake").exists()


def test_a_folder_that_is_not_there_is_an_error_of_the_table(drop: FilesBench) -> None:
    drop.configure(path=str(drop.folder / "no"))
    with pytest.raises(SourceError, match="is not there"):
        drop.ingest()


def test_a_column_that_the_raw_layer_adds_itself_is_refused(drop: FilesBench) -> None:
    drop.put("a.csv", "id,_run_id\n1,x\n")
    assert "columns that the raw layer adds to every row: _run_id" in str(drop.ingest().error)
    drop.configure({"select": "* RENAME (_run_id AS their_run)"})
    assert drop.ingest().rows == 1
    assert drop.rows("id, their_run") == [(1, "x")]


def test_a_reader_that_loses_a_row_is_noticed(drop: FilesBench, monkeypatch: pytest.MonkeyPatch) -> None:
    import tasks.ingest.read_file as reading

    write = reading.write_query
    drop.put("a.csv", TWO)
    monkeypatch.setattr(
        reading, "write_query", lambda c, query, *a, **o: write(c, f"SELECT * FROM ({query}) LIMIT 1", *a, **o)
    )
    report = drop.ingest()
    assert report.exit_code == 3
    assert "a.csv has 2 records; the Parquet files written from it hold 1" in str(report.error)
    assert manifests(drop) == []


def test_a_lake_that_is_unwell_ends_the_run_and_the_next_one_goes_on(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("a.csv", TWO)

    def unwell(*_: object) -> None:
        raise LakeUnavailable("503")

    with monkeypatch.context() as patch, pytest.raises(LakeUnavailable):
        patch.setattr(TableLog, "commit", unwell)
        drop.ingest()
    assert drop.ingest().rows == 2
    drop.assert_sound()


# Columns, SQL, folders, gates


def test_select_is_a_list_of_columns_or_a_whole_query(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.configure({"select": "id, amount * 2 AS amount -- twice"})
    drop.ingest()
    assert drop.rows() == [(1, 3.0), (2, 5.0)]
    drop.configure({"select": "WITH x AS (SELECT * FROM input) SELECT id, amount FROM x WHERE id = 2;"})
    report = drop.ingest(full=True)
    assert (report.read, report.rows) == (2, 1)
    assert drop.rows() == [(2, 2.5)]
    drop.configure({"select": "id, amont"})
    report = drop.ingest(full=True)
    assert "a.csv: sources[partner].tables[sales].select: Binder Error" in str(report.error)
    assert drop.rows() == [(2, 2.5)]


def test_new_missing_and_retyped_columns_make_a_new_version_or_are_refused(drop: FilesBench) -> None:
    drop.put("a.csv", TWO)
    drop.ingest()
    drop.put("b.csv", "id,city\nx3,Rome\n")
    report = drop.ingest()
    assert report.schema_version == 2
    told = "; ".join(report.drift)
    assert "city" in told and "is new" in told and "amount" in told and "is gone" in told and "id was" in told
    assert drop.rows("id, amount, city") == [("1", 1.5, None), ("2", 2.5, None), ("x3", None, "Rome")]
    drop.configure({"on_drift": "refuse"})
    drop.put("c.csv", "id,town\nx4,Oslo\n")
    drop.put("d.csv", "id,city\nx5,Oslo\n")
    report = drop.ingest()
    assert states(report) == {"c.csv": FAILED, "d.csv": DONE}
    assert report.exit_code == 2 and "town (VARCHAR) is new" in str(report.error)
    drop.assert_sound()


def test_rows_are_split_into_folders_that_readers_need_not_know(drop: FilesBench) -> None:
    drop.configure({"partition_by": ["region"]})
    drop.put("a.csv", "id,region\n1,EU\n2,US\n3,EU\n4,\n5,a/b\n")
    assert drop.ingest().rows == 5
    (manifest,) = manifests(drop)
    folders = sorted(file.path.split("/")[6] for file in manifest.files)
    assert folders == ["region=EU", "region=US", "region=__HIVE_DEFAULT_PARTITION__", "region=a%2Fb"]
    assert [file.partition for file in manifest.files] == [{}] * 4 and manifest.partition_by == ()
    assert drop.rows("id, region") == [(1, "EU"), (2, "US"), (3, "EU"), (4, None), (5, "a/b")]
    drop.configure({"partition_by": ["regin"]})
    drop.put("b.csv", "id,region\n6,EU\n")
    assert "partition_by: there is no column 'regin'; did you mean 'region'?" in str(drop.ingest().error)


GATE = """
import pandera.polars as pa
class Sales(pa.DataFrameModel):
    id: int = pa.Field(unique=UNIQUE)
    amount: float = pa.Field(ge=0)
"""


@pytest.fixture(params=[False, True], ids=["batches", "at once"])
def gate(request: pytest.FixtureRequest, drop: FilesBench, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"gate_of_sales_{request.param}".lower()
    (drop.folder / f"{name}.py").write_text(GATE.replace("UNIQUE", str(request.param)))
    monkeypatch.syspath_prepend(drop.folder)
    monkeypatch.setattr("tasks.ingest.gated_files._BATCH_ROWS", 2)
    return f"{name}:Sales"


def test_rows_that_fail_the_gate_make_their_file_fail(drop: FilesBench, gate: str) -> None:
    drop.configure({"gate": gate})
    drop.put("a.csv", HEADER + "1,1.5\n2,-2.5\n3,-1.0\n")
    drop.put("b.csv", HEADER + "4,4.5\n")
    report = drop.ingest()
    assert (states(report), report.exit_code) == ({"a.csv": FAILED, "b.csv": DONE}, GateFailed.exit_code)
    assert "a.csv: 2 of 3 rows failed the gate" in str(report.error)
    assert "greater_than_or_equal_to(0): 2 rows" in str(report.error) and "got -2.5" in str(report.error)
    assert drop.rows() == [(4, 4.5)]


def test_rows_that_fail_the_gate_are_put_aside_with_the_reason(drop: FilesBench, gate: str) -> None:
    drop.configure({"gate": gate, "on_gate_failure": "quarantine", "partition_by": ["id"]})
    drop.put("a.csv", HEADER + "1,1.5\n2,-2.5\n3,3.5\n1,-1.0\n")
    drop.put("b.csv", HEADER + "5,-1.5\n")
    report = drop.ingest()
    unique = gate.startswith("gate_of_sales_true")
    kept = [(3, 3.5)] if unique else [(1, 1.5), (3, 3.5)]
    assert (report.state, report.rows, report.quarantined) == (TableState.DONE, len(kept), 5 - len(kept))
    assert drop.rows() == kept
    aside = [f"{drop.folder}/lake/{file.path}" for m in manifests(drop) for file in m.quarantine]
    found = drop.ask(f"SELECT id, _reason, _source_file FROM read_parquet({aside!r}) ORDER BY ALL")
    assert len(found) == 5 - len(kept)
    assert found[-1][0] == 5 and "got -1.5" in found[-1][1] and found[-1][2] == "b.csv"
    record = next(r for r in read_run_records(drop.lake) if r.file == "a.csv")
    assert {check.state for check in record.checks} == {"quarantined"}
    drop.assert_sound()


def test_a_gate_that_does_not_fit_the_file_names_the_column(drop: FilesBench, gate: str) -> None:
    drop.configure({"gate": gate})
    drop.put("a.csv", "id,amont\n1,1.5\n")
    report = drop.ingest()
    assert "amount" in str(report.error) and report.exit_code == 3
    assert manifests(drop) == []


# Others at work


def test_two_runs_at_once_store_no_file_twice(drop: FilesBench) -> None:
    for number in range(8):
        drop.put(f"{number}.csv", HEADER + f"{number},1.5\n")
    drop.configure(after="delete")
    with ThreadPoolExecutor(2) as threads:
        reports: list[TableReport] = [r.result() for r in [threads.submit(drop.ingest) for _ in range(2)]]
    assert sum(report.rows for report in reports) == 8
    assert drop.rows("id") == [(number,) for number in range(8)]
    assert {report.state for report in reports} <= {TableState.DONE, TableState.UNCHANGED}
    assert drop.dropped() == []
    drop.ingest()
    drop.assert_sound()


def test_a_run_that_is_overtaken_looks_at_what_the_other_one_stored(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("a.csv", TWO)
    drop.put("b.csv", HEADER + "3,3.5\n")
    commit, overtaken = TableLog.commit, threading.Event()

    def late(self: TableLog, *arguments: Any) -> Manifest:
        if not overtaken.is_set():
            overtaken.set()
            drop.put("c.csv", "id,city\n4,Rome\n")  # which changes the columns as well
            drop.ingest()
        return commit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", late)
        report = drop.ingest()
    assert report.rows == 0 and {file.state for file in report.files} <= {DONE, DUPLICATE}
    assert drop.rows("id") == [(1,), (2,), (3,), (4,)]
    drop.ingest()
    drop.assert_sound()


def test_a_run_that_is_overtaken_by_another_file_stores_its_own_nevertheless(
    drop: FilesBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.put("b.csv", TWO)
    commit, overtaken = TableLog.commit, threading.Event()

    def late(self: TableLog, *arguments: Any) -> Manifest:
        if not overtaken.is_set():
            overtaken.set()
            other = FilesBench(drop.folder)
            other.put("a.csv", "id,city\n4,Rome\n")
            drop.configure({"files": "a.csv"})
            drop.ingest()
            drop.configure()
        return commit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", late)
        report = drop.ingest()
    assert (report.rows, one(report, "b.csv").state) == (2, DONE)
    assert drop.rows("id, amount, _schema_version") == [(1, 1.5, 2), (2, 2.5, 2), (4, None, 1)]
    drop.ingest()
    drop.assert_sound()


# It forks before it has threads; to import all of this takes longer than a run.
KILLED = """
import os, select, signal, sys
sys.path[:0] = [{services!r}]
from pathlib import Path
from files_bench import FilesBench
import blocks.file_formats.csv_file, polars, tasks.ingest.files
bench = FilesBench.__new__(FilesBench)
bench.folder = Path({folder!r})
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            bench.ingest()
        finally:
            os._exit(0)
    handle = os.pidfd_open(child)
    killed = not select.select([handle], [], [], float(line))[0]
    if killed:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(int(killed), flush=True)
"""


def test_runs_that_are_killed_at_any_moment_lose_no_row_and_store_none_twice(drop: FilesBench) -> None:
    drop.configure(after="delete")
    chance, expected = random.Random(7), []
    for number in range(10):
        rows = [(number * 100 + n, n + 0.5) for n in range(50)]
        expected += rows
        drop.put(f"{number}.csv", HEADER + "".join(f"{id_},{amount}\n" for id_, amount in rows))
    services = str(Path(__file__).parents[1] / "services")
    code = KILLED.format(services=services, folder=str(drop.folder))
    kills, longest_s, command = 0, 0.1, [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runs:
        assert runs.stdin is not None and runs.stdout is not None
        while drop.dropped():
            before = drop.dropped()
            runs.stdin.write(f"{chance.uniform(0.02, longest_s)}\n")
            runs.stdin.flush()
            kills += int(runs.stdout.readline())
            if drop.dropped() == before:  # a machine that is busy
                longest_s *= 1.3
            left = {line for name in drop.dropped() for line in (drop.drop / name).read_text().splitlines()[1:]}
            there = drop.rows() if manifests(drop) else []
            assert len(there) == len(set(there)), "a row was stored twice"
            held = {f"{id_},{amount}" for id_, amount in there} | left
            assert held == {f"{id_},{amount}" for id_, amount in expected}, "a row is in neither"
        runs.stdin.close()
    assert kills > 2, "the runs came to their end too fast for this test"
    drop.ingest()
    assert (drop.rows(), drop.dropped()) == (sorted(expected), [])
    drop.assert_sound()
