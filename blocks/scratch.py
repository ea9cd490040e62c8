"""Temporary folders that are removed at the end, or after a crash by whoever comes next.

Each folder NAME has a file NAME.lock beside it, which its owner holds locked. The lock dies with the
process, so a lock that can be taken belongs to a folder that nobody needs any more.
"""

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# On some network file systems a lock is not seen by other hosts: their folders are left alone this long.
_FOREIGN_AGE_S = 7 * 24 * 3600


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a fresh folder below the existing folder `parent`, for this process alone; removed at the end.

    Raises:
        OSError: `parent` cannot be written.
    """
    lock, folder = _lease(parent)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.with_name(f"{folder.name}.lock").unlink()
        os.close(lock)


@contextmanager
def temporary_folder(temp_dir: Path | None = None) -> Iterator[Path]:
    """Yield a fresh folder outside of the lake, and remove those that killed runs of this user left there.

    Args:
        temp_dir: Where; by default the system's temporary folder. What is below `tidegate-<uid>` there is Tidegate's.

    Raises:
        OSError: `temp_dir` is missing or cannot be written, or somebody else has put something under that name.
    """
    parent = (temp_dir or Path(tempfile.gettempdir())) / f"tidegate-{os.getuid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "Not a folder of this user, and scratch files hold rows", str(parent))
    sweep(parent)
    with scratch_folder(parent) as folder:
        yield folder


def sweep(parent: Path) -> None:
    """Remove the folders below `parent` whose owners died. Never fails: it only tidies up."""
    own = f"{_host()}-"
    for path in parent.glob("*.lock"):
        with suppress(OSError):
            if not path.name.startswith(own) and time.time() - path.stat().st_mtime < _FOREIGN_AGE_S:
                continue
            lock = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()
            finally:
                os.close(lock)


def _lease(parent: Path) -> tuple[int, Path]:
    while True:
        folder = parent / f"{_host()}-{uuid.uuid4().hex}"
        lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):  # no locks on this file system: then nobody can sweep either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return lock, folder
        os.close(lock)  # swept between creating and locking it


def _host() -> str:
    return socket.gethostname().replace("/", "_").replace(".", "_")[:64] or "host"
