"""A lake in a folder, when the disk is full, read-only, denied, or the process is killed in the middle."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service_disks import another_disk, let_others_in, mounted, without_root

from blocks.lake_paths import SCRATCH_FOLDER
from blocks.local_lake import LocalLake
from blocks.scratch import scratch_folder, sweep
from schemas.errors import LakeError, Retry

ROOT = Path(__file__).parents[2]


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    local = tmp_path / "big"
    local.write_bytes(b"x" * 2 * 2**20)
    with mounted(tmp_path / "disk", "size=1m") as disk:
        lake = LocalLake(disk / "lake")
        assert lake.put_if_absent("before", b"kept")
        for write in (lambda: lake.store(local, "t/big"), lambda: lake.put_if_absent("t/big", b"x" * 2 * 2**20)):
            with pytest.raises(LakeError, match="disk is full") as caught:
                write()
            assert caught.value.retry is Retry.TERMINAL
            assert caught.value.state
            assert "df -h" in caught.value.next_step
        assert local.exists()
        assert [entry.path for entry in lake.list("")] == ["before"]
        assert files_below(disk) == [disk / "lake" / "before"]
        assert lake.put_if_absent("after", b"there is room again")


def test_full_device_is_a_clear_error_and_leaves_nothing(
    local_lake: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above where no disk can be mounted: the write goes to the kernel's own full device."""

    @contextmanager
    def full_scratch(parent: Path) -> Iterator[Path]:
        with scratch_folder(parent) as folder:
            (folder / "put").symlink_to("/dev/full")
            yield folder

    local_lake.put_if_absent("before", b"kept")
    with monkeypatch.context() as patch:
        patch.setattr("blocks.local_lake.scratch_folder", full_scratch)
        with pytest.raises(LakeError, match="disk is full"):
            local_lake.put_if_absent("manifest", b"x")
    assert files_below(local_lake.folder) == [local_lake.folder / "before"]
    assert local_lake.put_if_absent("manifest", b"x")


def test_file_size_limit_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_python(
        """
        import resource, sys
        from pathlib import Path
        from blocks.local_lake import LocalLake
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        lake = LocalLake(Path(sys.argv[1]))
        lake.put_if_absent("small", b"kept")
        try:
            lake.put_if_absent("big", b"x" * 20_000)
        except Exception as error:
            print(type(error).__name__, error)
        """,
        str(tmp_path / "lake"),
    )
    assert done.stdout.startswith("LakeError Cannot write big"), done.stderr
    assert "ulimit -f" in done.stdout
    assert files_below(tmp_path) == [tmp_path / "lake" / "small"]


def test_read_only_disk_is_a_clear_error_before_any_work(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro") as disk:
        lake = LocalLake(disk)
        lake.check(write=False)
        with pytest.raises(LakeError, match="read-only") as caught:
            lake.check(write=True)
        assert caught.value.next_step
        with pytest.raises(LakeError, match="read-only"):
            lake.put_if_absent("a", b"x")
        with lake.scratch() as scratch:  # a lake that can only be read is still worth auditing
            assert (scratch / "file").write_bytes(b"x")


def test_denied_folder_is_a_clear_error_before_any_work(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    denied = tmp_path / "denied"
    denied.mkdir()
    denied.chmod(0o555)
    lake = LocalLake(denied)
    with without_root():
        lake.check(write=False)
        for write in (lambda: lake.check(write=True), lambda: lake.put_if_absent("a", b"x")):
            with pytest.raises(LakeError, match="permission denied") as caught:
                write()
            assert caught.value.retry is Retry.TERMINAL
            assert str(denied) in caught.value.next_step
    denied.chmod(0o755)
    (denied / "secret").mkdir(mode=0o000)
    with without_root(), pytest.raises(LakeError, match="permission denied"):
        list(lake.list(""))


def test_lake_below_a_file_or_in_proc_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for folder in (tmp_path / "file", tmp_path / "file" / "lake", Path("/proc/lake")):
        for write in (True, False):
            with pytest.raises(LakeError, match="Cannot open the lake"):
                LocalLake(folder).check(write=write)


def test_missing_lake_is_a_clear_error_for_readers_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="does not exist"):
        LocalLake(tmp_path / "lake").check(write=False)
    assert not (tmp_path / "lake").exists()


def test_folder_where_a_file_should_be_is_not_taken_for_the_file(local_lake: LocalLake) -> None:
    local_lake.put_if_absent("a/b", b"x")
    with pytest.raises(LakeError, match="taken"):
        local_lake.put_if_absent("a", b"x")
    with pytest.raises(LakeError, match="a file stands where"):
        local_lake.put_if_absent("a/b/c", b"x")


@pytest.mark.parametrize("moment", ["write", "link"], ids=["while it is written", "before it gets its name"])
def test_writer_killed_in_the_middle_leaves_nothing_visible(tmp_path: Path, moment: str) -> None:
    done = run_python(
        """
        import os, signal, sys
        from pathlib import Path
        from blocks.local_lake import LocalLake
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        def write_half_and_die(path, data):
            with open(path, "wb") as file:
                file.write(data[: len(data) // 2])
            die()
        if sys.argv[2] == "link":
            os.link = die
        else:
            Path.write_bytes = write_half_and_die
        LocalLake(Path(sys.argv[1])).put_if_absent("manifest", b"x" * 1000)
        """,
        str(tmp_path),
        moment,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert files_below(tmp_path), "the dead writer should have left its scratch file"
    lake = LocalLake(tmp_path)
    assert lake.find("manifest") is None
    assert list(lake.list("")) == []
    with lake.scratch():
        pass
    assert files_below(tmp_path) == []
    assert lake.put_if_absent("manifest", b"whole")


def test_reader_sees_all_of_a_file_or_nothing(local_lake: LocalLake) -> None:
    size_bytes, done = 2_000_000, threading.Event()

    def write() -> None:
        for number in range(20):
            local_lake.put_if_absent(f"f/{number}", b"x" * size_bytes)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[int] = set()
    while not done.is_set():
        seen.update(entry.size_bytes for entry in local_lake.list("f"))
    writer.join()
    assert seen <= {size_bytes}


def test_sweep_leaves_the_scratch_of_the_living(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as alive:
        sweep(tmp_path)
        assert alive.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_lake_survives_that_its_folders_are_removed_under_it(local_lake: LocalLake) -> None:
    assert local_lake.put_if_absent("t/a", b"x")
    (local_lake.folder / "t" / "a").unlink()
    (local_lake.folder / "t").rmdir()
    assert local_lake.put_if_absent("t/a", b"x")


def test_store_from_another_disk(local_lake: LocalLake, tmp_path: Path) -> None:
    with another_disk(tmp_path) as disk, tempfile.TemporaryDirectory(dir=disk) as folder:
        local = Path(folder) / "file"
        local.write_bytes(b"from afar")
        local_lake.store(local, "a")
        assert not local.exists()
    assert local_lake.read("a") == b"from afar"
    assert files_below(local_lake.folder) == [local_lake.folder / "a"]


def test_every_new_folder_and_file_is_flushed(local_lake: LocalLake, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    local_lake.put_if_absent("t/year=2013/a", b"x")
    lake = str(local_lake.folder)
    for folder in (str(local_lake.folder.parent), lake, f"{lake}/t", f"{lake}/t/year=2013"):
        assert folder in flushed, f"the entries of {folder} could be lost in a power cut"
    assert any(path.endswith("/put") for path in flushed)
    # The content is safe before the name exists.
    assert flushed.index(next(p for p in flushed if p.endswith("/put"))) < flushed.index(f"{lake}/t/year=2013")


def test_the_write_check_removes_what_a_killed_put_left(local_lake: LocalLake) -> None:
    local_lake.check(write=True)
    parent = local_lake.folder / SCRATCH_FOLDER
    code = (
        "import os, signal, sys; from pathlib import Path; from blocks.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(parent)], check=False)
    assert len(list(parent.iterdir())) == 2
    local_lake.check(write=True)
    assert list(parent.iterdir()) == []
