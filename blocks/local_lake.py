"""A lake in a folder: a file appears whole, under a name that was free, or not at all.

A file is written to a scratch folder in the lake, flushed to the disk, and hard-linked to its final name:
`link` is atomic and, unlike `rename`, refuses a name that is taken.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.lake import Entry
from blocks.lake_paths import SCRATCH_FOLDER, check_folder, check_path, escape_glob
from blocks.local_errors import local_lake_error
from blocks.probe import keeps_what_was_written
from blocks.scratch import scratch_folder, sweep, temporary_folder
from schemas.errors import LakeError

if TYPE_CHECKING:
    import duckdb

_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalLake:
    """A lake in a folder of a local disk, or of a network file system that has hard links.

    Args:
        folder: Where it is; created when it is first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self._flushed: set[Path] = set()  # folders whose own entry is known to be on the disk

    @property
    def url(self) -> str:
        """The absolute path of the folder."""
        return str(self.folder)

    def check(self, *, write: bool) -> None:
        """See `Lake.check`. With `write`, the folder is created, and a probe file is written and removed."""
        with self._errors("Cannot open the lake"):
            if write:
                self._make_folder(self.folder)
            with os.scandir(self.folder) as entries:
                next(entries, None)
        if write and not keeps_what_was_written(self):
            raise LakeError(
                f"The file system of {self.folder} does not keep a file that was written once.",
                state="Nothing was archived or deleted.",
                next_step="Put the lake on a file system with hard links (ext4, xfs, NFS).",
            )
        if write:
            sweep(self._scratch_parent())

    def scratch(self) -> AbstractContextManager[Path]:
        """See `Lake.scratch`. It lies in the lake; in the system's temporary folder if the lake is read-only."""
        return self._scratch()

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with ExitStack() as stack:
            try:
                parent = self._scratch_parent()
                sweep(parent)
                folder = stack.enter_context(scratch_folder(parent))
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                    raise local_lake_error(error, self.folder, "Cannot make a scratch folder") from error
                folder = stack.enter_context(temporary_folder())
            yield folder

    def store(self, local: Path, path: str) -> None:
        """See `Lake.store`. Costs one `link` if the file is in the lake's scratch folder, else a copy."""
        target = self.folder / check_path(path)
        with self._errors(f"Cannot store {path}"):
            _flush(local)
            try:
                self._link(local, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with scratch_folder(self._scratch_parent()) as folder:
                    copy = Path(shutil.copyfile(local, folder / "copy"))
                    _flush(copy)
                    self._link(copy, target)
            local.unlink()

    def fetch(self, path: str, scratch: Path) -> Path:
        """See `Lake.fetch`. The file itself, not a copy: read it, do not change it."""
        if self.find(path) is None:
            raise FileNotFoundError(f"{path} is not in the lake {self.url}")
        return self.folder / path

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """See `Lake.put_if_absent`. When it returns, whoever created the file, it survives a power cut."""
        target = self.folder / check_path(path)
        with self._errors(f"Cannot write {path}"), scratch_folder(self._scratch_parent()) as folder:
            whole = folder / "put"
            whole.write_bytes(data)
            _flush(whole)
            try:
                self._link(whole, target)
            except FileExistsError:
                if not target.is_file():
                    raise
                _flush(target.parent)
                return False
        return True

    def read(self, path: str) -> bytes:
        """See `Lake.read`."""
        with self._errors(f"Cannot read {path}", path):
            return (self.folder / check_path(path)).read_bytes()

    def read_many(self, paths: Iterable[str]) -> "list[bytes]":
        """See `Lake.read_many`. One after the other: a disk gains nothing from threads here."""
        return [self.read(path) for path in paths]

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Lake.list`. Scratch files are not listed."""
        folder = check_folder(prefix)
        with self._errors(f"Cannot list {prefix}"):
            yield from self._walk(self.folder / folder, f"{folder}/" if folder else "")

    def _walk(self, folder: Path, path: str) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as scan:
                # Ordered as full paths are, and as S3 does: "a-b" comes before what is in "a", as "-" before "/".
                entries = sorted(scan, key=lambda entry: f"{entry.name}/" if entry.is_dir() else entry.name)
        except _MISSING:
            return
        for entry in entries:
            if entry.is_dir():
                if f"{path}{entry.name}" != SCRATCH_FOLDER:
                    yield from self._walk(folder / entry.name, f"{path}{entry.name}/")
            else:
                with suppress(*_MISSING):  # deleted meanwhile
                    yield Entry(f"{path}{entry.name}", entry.stat().st_size)

    def find(self, path: str) -> Entry | None:
        """See `Lake.find`."""
        with self._errors(f"Cannot look for {path}"):
            try:
                status = (self.folder / check_path(path)).stat()
            except _MISSING:
                return None
        version = f"{status.st_ino} {status.st_mtime_ns}"
        return Entry(path, status.st_size, version) if stat.S_ISREG(status.st_mode) else None

    def delete(self, paths: Iterable[str]) -> None:
        """See `Lake.delete`. Folders that become empty stay: removing one could race with a new file."""
        touched: set[Path] = set()
        for path in paths:
            file = self.folder / check_path(path)
            with self._errors(f"Cannot delete {path}"), suppress(*_MISSING):
                file.unlink()
                touched.add(file.parent)
        for folder in touched:
            with self._errors("Cannot delete"), suppress(*_MISSING):
                _flush(folder)

    def duckdb_path(self, path: str) -> str:
        """See `Lake.duckdb_path`. Characters that DuckDB would take for a pattern are escaped."""
        return escape_glob(str(self.folder / check_path(path)))

    def attach(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """See `Lake.attach`. DuckDB reads local files as it is."""

    def _scratch_parent(self) -> Path:
        parent = self.folder / SCRATCH_FOLDER
        self._make_folder(parent)
        return parent

    def _link(self, source: Path, target: Path) -> None:
        """Give `source` its final name, durably.

        Raises:
            FileExistsError: The name is taken.
        """
        self._make_folder(target.parent)
        try:
            os.link(source, target)
        except FileNotFoundError:
            # Somebody removed the folder since we made it.
            self._flushed.clear()
            self._make_folder(target.parent)
            os.link(source, target)
        _flush(target.parent)

    def _make_folder(self, folder: Path) -> None:
        """Create `folder` and its parents so that they survive a power cut, also when another process made them."""
        if folder in self._flushed and folder.is_dir():
            return
        if folder in (self.folder, *self.folder.parents) and folder.is_dir():
            return  # not ours to flush: we may not even be allowed to open its parent
        self._make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        _flush(folder.parent)
        self._flushed.add(folder)

    @contextmanager
    def _errors(self, doing: str, path: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if path is not None and isinstance(error, _MISSING):
                raise FileNotFoundError(f"{path} is not in the lake {self.url}") from error
            raise local_lake_error(error, self.folder, doing) from error


def _flush(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; they order its changes by themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
