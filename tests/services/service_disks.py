"""Real disks that are small or read-only, and a user who is denied things, for as long as a `with` block lives."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount a file system of memory on a new folder; skip the test, loudly, where that is not permitted."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder.mkdir()
    mount = [*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if (sudo and not shutil.which("sudo")) or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(f"NOT TESTED HERE: a real disk ({options}); mounting one needs root or sudo, and CAP_SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run([*sudo, "umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Change the options of a file system that `mounted` has mounted: `ro`, `rw`, `size=…`."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "mount", "-o", f"remount,{options}", str(folder)], check=True)


@contextmanager
def another_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder on another disk than `folder` is on: shared memory, or else a mounted one."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and memory.stat().st_dev != folder.stat().st_dev:
        yield memory
        return
    with mounted(folder / "another-disk", "size=1m") as disk:
        yield disk


@contextmanager
def without_root() -> Iterator[None]:
    """Be nobody: root is denied nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def let_others_in(folder: Path) -> None:
    """Open a folder of a test to other users, and those above it that pytest keeps to itself."""
    for above in (folder, *folder.parents):
        if above == Path(tempfile.gettempdir()) or above.parent == above:
            return
        above.chmod(0o755)
