"""SFTP as fixtures: a real OpenSSH server for the session, and one that lies, which no real server does."""

import socket
import stat
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko
import pytest

from tidegate.demo.sftp_server import SftpServer


@pytest.fixture(scope="session")
def sftp_server() -> Iterator[SftpServer]:
    """An SFTP server."""
    with SftpServer() as server:
        yield server


@pytest.fixture
def sftp_folder(sftp_server: SftpServer) -> Path:
    """An empty folder of `sftp_server`, which its user may write."""
    return sftp_server.new_folder(uuid.uuid4().hex[:12])


class _Lies(paramiko.SFTPServerInterface):
    """Lists names that no file system has, and answers every one of them with the same file."""

    def __init__(self, server: paramiko.ServerInterface, *, names: Mapping[bytes, bytes], asked: list[str]) -> None:
        super().__init__(server)
        self._names, self._asked = names, asked

    def list_folder(self, path: str) -> Any:
        found = []
        for name, content in self._names.items():
            attributes = self._attributes(content)
            attributes.filename = name.decode("latin-1")
            found.append(attributes)
        return found

    def stat(self, path: str) -> Any:
        self._asked.append(path)
        content = self._names.get(path.rpartition("/")[2].encode("latin-1"))
        return paramiko.SFTP_NO_SUCH_FILE if content is None else self._attributes(content)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        import io

        self._asked.append(path)
        content = self._names.get(path.rpartition("/")[2].encode("latin-1"))
        if content is None:
            return paramiko.SFTP_NO_SUCH_FILE
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = io.BytesIO(content)  # type: ignore[attr-defined]
        handle.stat = lambda: self._attributes(content)  # type: ignore[method-assign]
        return handle

    @staticmethod
    def _attributes(content: bytes) -> paramiko.SFTPAttributes:
        attributes = paramiko.SFTPAttributes()
        attributes.st_size, attributes.st_mode, attributes.st_mtime = len(content), stat.S_IFREG | 0o644, 1_700_000_000
        attributes.st_atime = attributes.st_mtime
        return attributes


class _Everybody(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == "hunter2" else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


@dataclass
class LyingServer:
    """An SFTP server that lists whatever names it is told to.

    Attributes:
        names: Names as bytes, and the content of each.
        asked: Paths that a client asked for.
    """

    names: Mapping[bytes, bytes]
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._key = paramiko.ECDSAKey.generate()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._transports: list[paramiko.Transport] = []
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        for transport in self._transports:
            transport.close()

    def connection(self) -> dict[str, Any]:
        """Return what `sources.yaml` says of it."""
        return {
            "host": "127.0.0.1", "port": self._socket.getsockname()[1], "user": "ann", "password": "hunter2",
            "host_key": f"{self._key.get_name()} {self._key.get_base64()}",
        }  # fmt: skip

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(self._key)
            lies = {"names": self.names, "asked": self.asked}
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Lies, **lies)
            self._transports.append(transport)
            transport.start_server(server=_Everybody())
