"""Scratch files outside of the lake: private, and gone also after a kill."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.scratch import temporary_folder

DIE_WITH_A_FOLDER = """
import os, signal, sys
from pathlib import Path
from blocks.scratch import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "rows.parquet").write_bytes(b"rows")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", DIE_WITH_A_FOLDER, str(tmp_path)], capture_output=True, text=True)
    left = Path(died.stdout.strip())
    assert died.returncode == -9, died.stderr
    assert (left / "rows.parquet").exists()
    with temporary_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert not left.exists()
    assert list(left.parent.iterdir()) == []


def test_the_folder_of_a_living_run_stays(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert first != second


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_that_somebody_has_put_there_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"tidegate-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="Not a folder of this user"), temporary_folder(tmp_path):
        raise AssertionError("it was used")
    assert list(elsewhere.iterdir()) == []
