"""What `blocks.lake.Lake` promises, asked of every kind of lake, the S3 one against a real server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks.lake import Entry, Lake
from blocks.lake_paths import PROBE_FOLDER
from schemas.errors import LakeError, Retry

HOSTILE = [
    "with space", "100%", "%2F", "%20", "Ünïcødé 😀", "k=v", "a+b", "it's", 'say "hi"', "a&b#c;d", "~tilde",
    "[set]", "star*", "quest?ion", "{brace}", "$HOME", "-dash", "a:b", "__HIVE_DEFAULT_PARTITION__",
]  # fmt: skip
BAD = [
    "", "/absolute", "a//b", "a/", "../up", "a/../b", "./a", "nul\0", "line\nbreak", "\udce4", "back\\slash",
    "_tidegate/scratch/x",
]  # fmt: skip


def put_file(lake: Lake, path: str, content: bytes) -> None:
    with lake.scratch() as scratch:
        local = scratch / "file"
        local.write_bytes(content)
        lake.store(local, path)


def paths(lake: Lake, prefix: str = "") -> list[str]:
    return [entry.path for entry in lake.list(prefix)]


def test_new_lake_passes_the_write_check_and_keeps_nothing_of_it(any_lake: Lake) -> None:
    any_lake.check(write=True)
    any_lake.check(write=False)
    assert paths(any_lake) == []


def test_the_write_check_removes_the_probes_of_killed_runs_and_no_others(any_lake: Lake) -> None:
    hour_ago, minute_ago = (f"{time.time_ns() - seconds * 10**9:016x}-{'0' * 32}" for seconds in (3700, 60))
    for name in (hour_ago, minute_ago, "a file of somebody's"):
        any_lake.put_if_absent(f"{PROBE_FOLDER}/{name}", b"probe")
    any_lake.check(write=True)
    assert paths(any_lake) == sorted(f"{PROBE_FOLDER}/{name}" for name in (minute_ago, "a file of somebody's"))


def test_a_file_that_is_written_again_with_the_same_size_is_told_from_the_first(any_lake: Lake) -> None:
    any_lake.put_if_absent("t/a", b"first")
    first, again = any_lake.find("t/a"), any_lake.find("t/a")
    assert first is not None and again is not None
    assert first.version == again.version != ""
    any_lake.delete(["t/a"])
    any_lake.put_if_absent("t/a", b"other")
    other = any_lake.find("t/a")
    assert other is not None
    assert (other.size_bytes, other.version == first.version) == (first.size_bytes, False)


def test_stored_file_is_listed_found_read_and_fetched(any_lake: Lake) -> None:
    content = bytes(range(256)) * 100
    put_file(any_lake, "flights/year=2013/a.parquet", content)

    assert list(any_lake.list("flights")) == [Entry("flights/year=2013/a.parquet", len(content))]
    assert any_lake.find("flights/year=2013/a.parquet") == Entry("flights/year=2013/a.parquet", len(content))
    assert any_lake.read("flights/year=2013/a.parquet") == content
    with any_lake.scratch() as scratch:
        assert any_lake.fetch("flights/year=2013/a.parquet", scratch).read_bytes() == content


def test_store_moves_the_file_from_any_folder(any_lake: Lake, tmp_path: Path) -> None:
    local = tmp_path / "elsewhere"
    local.write_bytes(b"x")
    any_lake.store(local, "a")
    assert not local.exists()
    assert any_lake.read("a") == b"x"


def test_store_of_a_large_file_comes_back_equal(any_lake: Lake, tmp_path: Path) -> None:
    # More than two parts, the last one odd: the upload and the download both go in pieces.
    content = b"".join(bytes([number]) * 2**20 for number in range(21)) + b"tail"
    put_file(any_lake, "large", content)
    assert any_lake.find("large") == Entry("large", len(content))
    assert any_lake.fetch("large", tmp_path).read_bytes() == content


def test_store_of_an_empty_file(any_lake: Lake) -> None:
    put_file(any_lake, "empty", b"")
    assert any_lake.find("empty") == Entry("empty", 0)
    assert any_lake.read("empty") == b""


@pytest.mark.parametrize("size_bytes", [10, 17 * 2**20], ids=["small", "large"])
def test_store_refuses_a_taken_path_and_keeps_both_files(any_lake: Lake, size_bytes: int, tmp_path: Path) -> None:
    put_file(any_lake, "taken", b"first")
    local = tmp_path / "second"
    local.write_bytes(b"2" * size_bytes)
    with pytest.raises(LakeError, match="taken") as caught:
        any_lake.store(local, "taken")
    assert caught.value.retry is Retry.TERMINAL
    assert caught.value.next_step
    assert any_lake.read("taken") == b"first"
    assert local.stat().st_size == size_bytes


def test_put_if_absent_tells_whether_it_created_the_file(any_lake: Lake) -> None:
    assert any_lake.put_if_absent("m/1.json", b"first") is True
    assert any_lake.put_if_absent("m/1.json", b"first") is False
    assert any_lake.put_if_absent("m/1.json", b"other") is False
    assert any_lake.read("m/1.json") == b"first"


@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "different bytes"])
def test_twenty_writers_race_and_exactly_one_wins(any_lake: Lake, same: bool) -> None:
    start = threading.Barrier(20)

    def write(number: int) -> bool:
        start.wait()
        return any_lake.put_if_absent("race", b"same" if same else f"writer {number}".encode())

    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(write, range(20)))
    assert won.count(True) == 1
    assert any_lake.read("race") == (b"same" if same else f"writer {won.index(True)}".encode())


def test_twenty_stores_race_and_exactly_one_wins(any_lake: Lake) -> None:
    start = threading.Barrier(20)

    def store(number: int) -> bool:
        with any_lake.scratch() as scratch:
            local = scratch / "file"
            local.write_bytes(f"writer {number}".encode())
            start.wait()
            try:
                any_lake.store(local, "race")
            except LakeError as error:
                assert "taken" in error.what
                return False
            return True

    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(store, range(20)))
    assert won.count(True) == 1
    assert any_lake.read("race") == f"writer {won.index(True)}".encode()


def test_hostile_names_come_back_through_every_door(any_lake: Lake, tmp_path: Path) -> None:
    names = [f"t/{name}/{name}.parquet" for name in HOSTILE]
    connection = duckdb.connect()
    any_lake.attach(connection)
    for number, name in enumerate(names):
        with any_lake.scratch() as scratch:
            pq.write_table(pa.table({"number": [number]}), scratch / "file")
            any_lake.store(scratch / "file", name)

    assert paths(any_lake, "t") == sorted(names)
    for number, name in enumerate(names):
        assert any_lake.find(name) is not None
        assert pq.read_table(pa.BufferReader(any_lake.read(name)))["number"].to_pylist() == [number]
        assert pq.read_table(pa.BufferReader(any_lake.fetch(name, tmp_path).read_bytes())).num_rows == 1
        rows = connection.execute(
            "SELECT number FROM read_parquet(?, hive_partitioning = false)", [any_lake.duckdb_path(name)]
        ).fetchall()
        assert rows == [(number,)]
    assert any_lake.put_if_absent(names[0], b"") is False
    any_lake.delete(names)
    assert paths(any_lake) == []


@pytest.mark.parametrize("path", BAD)
def test_path_that_could_leave_the_lake_is_refused(any_lake: Lake, path: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"x")
    for call in (
        lambda: any_lake.put_if_absent(path, b"x"),
        lambda: any_lake.store(tmp_path / "local", path),
        lambda: any_lake.read(path),
        lambda: any_lake.read_many([path]),
        lambda: any_lake.fetch(path, tmp_path),
        lambda: any_lake.find(path),
        lambda: any_lake.delete([path]),
        lambda: any_lake.duckdb_path(path),
    ):
        with pytest.raises(LakeError, match="cannot be a path"):
            call()
    assert (tmp_path / "local").exists()


def test_name_that_is_too_long_is_a_clear_error(any_lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"too long|longer than"):
        any_lake.put_if_absent("/".join(["x" * 300] * 4), b"")


def test_list_is_in_the_order_of_paths_and_flat(any_lake: Lake) -> None:
    names = ["a/b/c", "a-b", "a.b", "a/b-c", "a0", "a/b/a", "A", "ä", "z/z", "a/b.c", "\U0001f600", "\uffee"]
    for name in names:
        any_lake.put_if_absent(name, b"x")
    assert paths(any_lake) == sorted(names)
    assert paths(any_lake, "a") == paths(any_lake, "a/") == sorted(n for n in names if n.startswith("a/"))
    assert paths(any_lake, "a/b") == ["a/b/a", "a/b/c"]


def test_list_of_nothing(any_lake: Lake) -> None:
    assert paths(any_lake) == []
    any_lake.put_if_absent("file", b"x")
    assert paths(any_lake, "missing") == paths(any_lake, "missing/deeper") == paths(any_lake, "file") == []


def test_list_goes_beyond_one_page_and_delete_beyond_one_request(any_lake: Lake) -> None:
    names = sorted([f"many/x/{number:04}" for number in range(1_050)] + ["many/x-y", "many/x.y", "many/x0", "many/z/0"])
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: any_lake.put_if_absent(name, b"x"), names))
    assert paths(any_lake, "many") == names
    assert any_lake.read_many(names[:40]) == [b"x"] * 40
    any_lake.delete(iter(names[1:]))
    assert paths(any_lake) == names[:1]


def test_list_sees_at_once_what_another_process_wrote_and_deleted(any_lake: Lake) -> None:
    any_lake.put_if_absent("t/1", b"x")
    assert paths(any_lake, "t") == ["t/1"]
    any_lake.put_if_absent("t/2", b"x")
    assert paths(any_lake, "t") == ["t/1", "t/2"]
    any_lake.delete(["t/1", "t/2", "t/never there"])
    assert paths(any_lake, "t") == []
    assert any_lake.find("t/1") is None
    assert any_lake.put_if_absent("t/1", b"again") is True


def test_missing_file_is_file_not_found(any_lake: Lake, tmp_path: Path) -> None:
    any_lake.put_if_absent("folder/file", b"x")
    for path in ("missing", "folder", "folder/missing", "folder/file/below"):
        assert any_lake.find(path) is None
        with pytest.raises(FileNotFoundError, match=path):
            any_lake.read(path)
        with pytest.raises(FileNotFoundError, match=path):
            any_lake.fetch(path, tmp_path)
    with pytest.raises(FileNotFoundError):
        any_lake.read_many(["folder/file", "missing"])


def test_read_many_keeps_the_order(any_lake: Lake) -> None:
    names = [f"n/{number}" for number in range(30)]
    for name in names:
        any_lake.put_if_absent(name, name.encode())
    assert any_lake.read_many(reversed(names)) == [name.encode() for name in reversed(names)]
    assert any_lake.read_many([]) == []


def test_scratch_is_removed_and_never_listed(any_lake: Lake) -> None:
    with any_lake.scratch() as scratch, any_lake.scratch() as other:
        assert scratch != other
        (scratch / "deep").mkdir()
        (scratch / "deep" / "file").write_bytes(b"x")
        assert paths(any_lake) == []
    assert not scratch.exists()
    with pytest.raises(ZeroDivisionError), any_lake.scratch() as scratch:
        raise ZeroDivisionError
    assert not scratch.exists()


def test_duckdb_reads_a_pattern_of_partitions(any_lake: Lake) -> None:
    connection = duckdb.connect()
    any_lake.attach(connection)
    any_lake.attach(connection)  # again does no harm
    for year in (2012, 2013):
        with any_lake.scratch() as scratch:
            pq.write_table(pa.table({"n": [1, 2]}), scratch / "file")
            any_lake.store(scratch / "file", f"t/year={year}/a.parquet")
    files = [any_lake.duckdb_path(path) for path in paths(any_lake, "t")]
    rows = connection.execute("SELECT year, sum(n) FROM read_parquet(?) GROUP BY 1 ORDER BY 1", [files]).fetchall()
    assert rows == [(2012, 3), (2013, 3)]
