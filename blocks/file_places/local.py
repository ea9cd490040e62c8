"""Files in a folder of this machine."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from blocks.file_places.free_name import names_for
from blocks.file_places.names import Pattern, by_path, fault_of, has_magic, left_out
from blocks.file_places.place import FileChanged, LeftOut, Listing, PlacedFile
from schemas.errors import SourceError, SourceUnavailable

_TRANSIENT = {
    errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE, errno.ENFILE,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET, errno.ENOTCONN, errno.EIO,
}  # fmt: skip
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_LEFT_ALONE = "It was left alone."


class LocalPlace:
    """A folder. Links are followed as long as they lead to a file in it.

    Args:
        folder: The folder; it need not exist as long as nothing is asked of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def url(self) -> str:
        """The folder."""
        return str(self.folder)

    def list(self, pattern: str) -> Listing:
        """See `FilePlace.list`."""
        wanted = Pattern(pattern)
        files: MutableSequence[PlacedFile] = []
        refused: MutableSequence[LeftOut] = []
        with self._errors("cannot be listed"):
            if not self.folder.is_dir():
                kind = "is a file, and no folder" if self.folder.exists() else "is not there"
                raise SourceError(
                    f"The folder {self.url} {kind}.",
                    state="Nothing was read.",
                    next_step="Create or mount it, or correct the source's `path` in sources.yaml.",
                )
            self._walk(self.folder, "", wanted, files, refused)
            if not files and not has_magic(pattern) and (self.folder / pattern).is_dir():
                raise SourceError(
                    f"{self.folder / pattern} is a folder, and no file.",
                    state="Nothing was read.",
                    next_step=f"Say which files in it: {pattern}/*",
                )
        return Listing(by_path(files), refused)

    def _walk(
        self,
        folder: Path,
        path: str,
        wanted: Pattern,
        files: MutableSequence[PlacedFile],
        refused: MutableSequence[LeftOut],
    ) -> None:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            inside = f"{path}{entry.name}"
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (wanted.may_hold(inside) if is_folder else wanted.fits(inside)):
                continue
            if reason := fault_of(entry.name):
                refused.append(left_out(inside, reason))
            elif is_folder:
                self._walk(folder / entry.name, f"{inside}/", wanted, files, refused)
            elif entry.is_symlink() and self._leads_out(folder / entry.name):
                refused.append(left_out(inside, "it is a link that leads out of the folder"))
            elif found := self._look(inside):
                files.append(found)

    def look(self, path: str) -> PlacedFile | None:
        """See `FilePlace.look`."""
        with self._errors(f"cannot be looked at: {path}"):
            return self._look(path)

    @contextmanager
    def fetch(self, file: PlacedFile, scratch: Path) -> Iterator[Path]:
        """See `FilePlace.fetch`. The file itself: whether it has changed is looked at before and afterwards."""
        self._same(file)
        with self._errors(f"{file.path} cannot be read"):
            (self.folder / file.path).open("rb").close()
        try:
            yield self.folder / file.path
        except Exception as error:
            if self.look(file.path) != file:  # which may be why
                raise _changed(file) from error
            raise
        self._same(file)

    def below(self, folder: str) -> str | None:
        """See `FilePlace.below`."""
        target = Path(os.path.normpath(self.folder / Path(folder).expanduser()))
        return str(target.relative_to(self.folder)) if target.is_relative_to(self.folder) else None

    def move(self, file: PlacedFile, target: str) -> str:
        """See `FilePlace.move`. One `link` within a disk; onto another one, a copy that appears whole."""
        self._same(file)
        folder = self.folder / Path(target).expanduser()
        source = self.folder / file.path
        with self._errors(f"{file.path} cannot be moved to {folder}"):
            for name in names_for(file):
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _put(source, place)
                except FileExistsError:
                    # Of a run that died in between, when both names are the same file.
                    if not (place.exists() and place.samefile(source)) or place == source:
                        continue
                self._same(file)  # copying takes its time: what has come since was not read
                source.unlink()
                return str(place)
        raise SourceError(f"{file.path} cannot be moved to {folder}: all names are taken.", state=_LEFT_ALONE)

    def delete(self, file: PlacedFile, sha256: str = "") -> None:
        """See `FilePlace.delete`. With a SHA-256 the file is read once more."""
        path = self.folder / file.path
        with self._errors(f"{file.path} cannot be deleted"):
            if sha256:
                self._same(file)
                with path.open("rb") as content:
                    found = hashlib.file_digest(content, "sha256").hexdigest()
                if found != sha256:
                    raise _changed(file)
            self._same(file)
            path.unlink()

    def _look(self, path: str) -> PlacedFile | None:
        try:
            status = (self.folder / path).stat()
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        modified = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
        return PlacedFile(path, status.st_size, modified, f"{status.st_ino}.{nanoseconds % 1000:03d}")

    def _same(self, file: PlacedFile) -> None:
        if self.look(file.path) != file:
            raise _changed(file)

    def _leads_out(self, path: Path) -> bool:
        try:
            return not path.resolve(strict=True).is_relative_to(self.folder.resolve())
        except (OSError, RuntimeError):  # it leads nowhere, or to itself
            return False

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kind = SourceUnavailable if error.errno in _TRANSIENT else SourceError
            where = f" ({error.filename})" if error.filename else ""
            raise kind(
                f"The folder {self.url}: {doing}: {error.strerror or error}{where}.",
                next_step="Give this user the right to it, or look after the disk; then run the same again.",
            ) from error


def _put(source: Path, place: Path) -> None:
    """Give a file another name, or put a copy there.

    Raises:
        FileExistsError: The name is taken.
    """
    if not source.is_symlink():
        try:
            os.link(source, place)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
        else:
            return
    if place.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    copy = place.with_name(f".{place.name[:200]}.tidegate")  # hidden from whoever reads there
    shutil.copy2(source, copy)
    with copy.open("rb") as written:
        os.fsync(written.fileno())
    try:
        os.link(copy, place)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        copy.rename(place)  # a file system without links: its name was free a moment ago
    else:
        copy.unlink()


def _changed(file: PlacedFile) -> FileChanged:
    return FileChanged(
        f"{file.path} is not the file any more that was listed: it has changed, or is gone.", state=_LEFT_ALONE
    )
