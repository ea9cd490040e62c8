"""Files in a folder of an SFTP server. What the server says of itself is checked, and what it says of files, too."""

import errno
import posixpath
import stat
import time
import uuid
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import paramiko

from blocks.file_places.free_name import names_for
from blocks.file_places.names import Pattern, by_path, fault_of, harmless, has_magic, left_out
from blocks.file_places.no_room import room_for
from blocks.file_places.place import FileChanged, LeftOut, Listing, PlacedFile
from blocks.file_places.read_ahead import EndOfFile, read_ahead
from blocks.file_places.ssh import SftpSession, connected
from blocks.run_log import log_event
from schemas.errors import SourceError, SourceUnavailable
from schemas.sources.files import SftpConnection

_CUTS_IN_A_ROW = 4  # with not a byte in between
_PAUSE_S = 0.25
_LEFT_ALONE = "It was left alone."
_TROUBLE = (EOFError, paramiko.SSHException, ConnectionError, TimeoutError)


class SftpPlace:
    """A folder of an SFTP server. The server follows links; links to folders are left out, as they can lead in a ring.

    Args:
        connection: The server, and how it is known that it is the right one.
        folder: Absolute, or relative to where a login ends up.
    """

    def __init__(self, connection: SftpConnection, folder: str) -> None:
        self._connection, self._folder = connection, folder.rstrip("/") or "/"
        self._session: SftpSession | None = None

    def __enter__(self) -> Self:
        self._session = connected(self._connection)
        return self

    def __exit__(self, *error: object) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    @property
    def url(self) -> str:
        """`sftp://user@host:port/folder`."""
        c = self._connection
        port = "" if c.port == 22 else f":{c.port}"
        return f"sftp://{c.user}@{c.host}{port}/{self._folder.removeprefix('/')}"

    def list(self, pattern: str) -> Listing:
        """See `FilePlace.list`."""
        wanted = Pattern(pattern)
        files: MutableSequence[PlacedFile] = []
        refused: MutableSequence[LeftOut] = []
        with self._errors("cannot be listed"):
            self._walk("", wanted, files, refused)
            if not files and not has_magic(pattern):
                with suppress(FileNotFoundError):
                    if stat.S_ISDIR(self._sftp.stat(self._remote(pattern)).st_mode or 0):
                        raise SourceError(
                            f"{self.url}/{pattern} is a folder, and no file.",
                            state="Nothing was read.",
                            next_step=f"Say which files in it: {pattern}/*",
                        )
        return Listing(by_path(files), refused)

    def _walk(
        self,
        path: str,
        wanted: Pattern,
        files: MutableSequence[PlacedFile],
        refused: MutableSequence[LeftOut],
    ) -> None:
        for entry in self._sftp.listdir_attr(self._remote(path) if path else self._folder):
            name, mode = entry.filename, entry.st_mode or 0
            inside = f"{path}/{name}" if path else name
            fault = fault_of(name)
            if name.startswith(".") and not fault:
                continue
            is_folder = stat.S_ISDIR(mode)
            if fault:  # before it is taken for a path in any way
                if not is_folder and wanted.fits(f"{path}/{harmless(name)}" if path else harmless(name)):
                    refused.append(left_out(inside, fault))
            elif is_folder and wanted.may_hold(inside):
                self._walk(inside, wanted, files, refused)
            elif not is_folder and wanted.fits(inside):
                found = self._look(inside) if stat.S_ISLNK(mode) else _placed(inside, entry)
                if found is not None:
                    files.append(found)

    def look(self, path: str) -> PlacedFile | None:
        """See `FilePlace.look`."""
        with self._errors(f"cannot be looked at: {path}"):
            return self._look(path)

    @contextmanager
    def fetch(self, file: PlacedFile, scratch: Path) -> Iterator[Path]:
        """See `FilePlace.fetch`. Goes on where it was cut, over a new connection, as long as it comes forward."""
        local = scratch / uuid.uuid4().hex
        try:
            self._download(file, local)
            if self.look(file.path) != file:
                raise _changed(file)
            yield local
        finally:
            local.unlink(missing_ok=True)

    def below(self, folder: str) -> str | None:
        """See `FilePlace.below`."""
        target = posixpath.normpath(posixpath.join(self._folder, folder))
        inside = (
            posixpath.relpath(target, self._folder) if target.startswith("/") == self._folder.startswith("/") else ""
        )
        return inside if inside and not inside.startswith("..") else None

    def move(self, file: PlacedFile, target: str) -> str:
        """See `FilePlace.move`. By SFTP's own rename, which fails if the name is taken; never by OpenSSH's."""
        folder = posixpath.join(self._folder, target)
        with self._errors(f"{file.path} cannot be moved to {folder}"):
            self._same(file)
            for name in names_for(file):
                place = posixpath.join(folder, name)
                if self._is_there(place):
                    continue
                self._make_folders(posixpath.dirname(place))
                try:
                    self._sftp.rename(self._remote(file.path), place)
                except OSError:
                    if self._is_there(place):  # somebody was quicker
                        continue
                    raise
                return place
        raise SourceError(f"{self.url}: {file.path} cannot be moved: all names are taken.", state=_LEFT_ALONE)

    def delete(self, file: PlacedFile, sha256: str = "") -> None:
        """See `FilePlace.delete`. By size and time; the server would have to send the file again for more."""
        with self._errors(f"{file.path} cannot be deleted"):
            self._same(file)
            self._sftp.remove(self._remote(file.path))

    def _download(self, file: PlacedFile, local: Path) -> None:
        """Fetch a file, going on where the connection was cut.

        Raises:
            FileChanged: It is another one by now.
            SourceUnavailable: The connection was cut several times without a byte in between.
        """
        done, cuts = 0, 0
        with local.open("wb") as target:
            while done < file.size_bytes:
                before = done
                try:
                    with self._sftp.open(self._remote(file.path), "rb") as remote:
                        if _placed(file.path, remote.stat()) != file:
                            raise _changed(file)
                        for data in read_ahead(remote, done, file.size_bytes):
                            with room_for(file.path):
                                target.write(data)
                            done += len(data)
                except (FileNotFoundError, EndOfFile) as error:
                    raise _changed(file) from error
                except _TROUBLE as error:
                    cuts = 1 if done > before else cuts + 1
                    self._take_up_again(file, done, cuts, error)
                except OSError as error:
                    if str(error) != "Socket is closed":  # paramiko's only word for it
                        raise self._as_ours(error, f"{file.path} cannot be fetched") from error
                    cuts = 1 if done > before else cuts + 1
                    self._take_up_again(file, done, cuts, error)

    def _take_up_again(self, file: PlacedFile, done: int, cuts: int, error: Exception) -> None:
        log_event(
            "download_cut", source=self.url, file=file.path, bytes=done, of=file.size_bytes, error=type(error).__name__
        )
        while True:
            if cuts >= _CUTS_IN_A_ROW:
                raise SourceUnavailable(
                    f"{self.url}: {file.path}: the connection was cut again and again, the last time after {done} of "
                    f"{file.size_bytes} bytes ({type(error).__name__}).",
                    next_step="Run the same again when the network is well.",
                ) from error
            time.sleep(_PAUSE_S * 2**cuts)
            self.__exit__()
            try:
                self.__enter__()
            except SourceUnavailable:
                cuts += 1
            else:
                return

    @property
    def _sftp(self) -> paramiko.SFTPClient:
        if self._session is None or not self._session.is_alive:
            self.__exit__()
            self.__enter__()
        assert self._session is not None
        return self._session.sftp

    def _remote(self, path: str) -> str:
        return posixpath.join(self._folder, path)

    def _look(self, path: str) -> PlacedFile | None:
        try:
            status = self._sftp.stat(self._remote(path))
        except FileNotFoundError:
            return None
        return _placed(path, status) if stat.S_ISREG(status.st_mode or 0) else None

    def _same(self, file: PlacedFile) -> None:
        if self._look(file.path) != file:
            raise _changed(file)

    def _is_there(self, place: str) -> bool:
        try:
            self._sftp.lstat(place)
        except FileNotFoundError:
            return False
        return True

    def _make_folders(self, folder: str) -> None:
        if not folder or self._is_there(folder):
            return
        self._make_folders(posixpath.dirname(folder))
        with suppress(OSError):  # another run made it; if nobody did, the rename says so
            self._sftp.mkdir(folder)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _TROUBLE as error:
            raise SourceUnavailable(
                f"{self.url}: {doing}: the connection was lost ({type(error).__name__}: {error}).",
                next_step="Run the same again when the network is well.",
            ) from error
        except OSError as error:
            raise self._as_ours(error, doing) from error

    def _as_ours(self, error: OSError, doing: str) -> SourceError:
        if str(error) == "Socket is closed":
            return SourceUnavailable(f"{self.url}: {doing}: the connection was lost.", next_step="Run the same again.")
        known = {
            errno.ENOENT: ("it is not there", "Correct the source's `path` in sources.yaml, or have it made."),
            errno.EACCES: ("permission denied", "Have the user given the right to it on the server."),
        }
        meaning, next_step = known.get(error.errno or 0, (str(error), "Look at the server's log."))
        return SourceError(f"{self.url}: {doing}: {meaning}.", next_step=next_step)


def _placed(path: str, status: paramiko.SFTPAttributes) -> PlacedFile | None:
    if not stat.S_ISREG(status.st_mode or stat.S_IFREG):
        return None
    return PlacedFile(path, status.st_size or 0, datetime.fromtimestamp(status.st_mtime or 0, UTC))


def _changed(file: PlacedFile) -> FileChanged:
    return FileChanged(
        f"{file.path} is not the file any more that was listed: it has changed, or is gone.", state=_LEFT_ALONE
    )
