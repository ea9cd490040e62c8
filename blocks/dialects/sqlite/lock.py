"""One archiver per table: a lock file beside the database, held by the process that holds the connection.

SQLite has no advisory locks, and a table for them would change the user's schema. The operating system's lock on the
database file itself is SQLite's own, and closing any handle on that file would drop it. So a file of its own is
locked (`flock`): it is let go when the process ends, however it ends, and holds between threads as well. A file
that is left behind by a crash locks nothing.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import Busy, ConfigError
from schemas.table import Table


def lock_path(database: Path, table: Table) -> Path:
    """Return the lock file of a table."""
    digits = hashlib.sha256(f"tidegate {table.quoted}".encode()).hexdigest()[:8]
    return database.with_name(f"{database.name}-tidegate-{digits}.lock")


@contextmanager
def archiver_lock(database: Path, table: Table) -> Iterator[None]:
    """Hold the table's archiver lock.

    Raises:
        Busy: Another archiver holds it.
        ConfigError: The folder cannot be written.
    """
    path = lock_path(database, table)
    handle = _acquired(path, database, table)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        # While it is still locked: whoever waits for the file that goes finds that it is no longer the one there.
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquired(path: Path, database: Path, table: Table) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(
                f"The lock file {path} cannot be opened: {error.strerror}.",
                state="Nothing in the source was changed.",
                next_step="This user must be able to write into the database's folder, as SQLite must for its journal.",
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(path, handle):
                return handle
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise Busy(
                f"Another archiver works on {table.quoted} in {database}: {holder}.",
                state="This run changed nothing in the source.",
                next_step="Wait for it to end and run the same command again.",
            ) from None
        os.close(handle)


def _is_there(path: Path, handle: int) -> bool:
    """Return whether the file that is locked is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
