"""Reads a file of an SFTP server with many requests under way at a time, so that latency costs nothing.

paramiko's own `prefetch` does the same with a second thread, but takes itself for done whenever answers come faster
than that thread asks: then it fetches the rest twice. Here one thread does both.
"""

from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.sftp import CMD_DATA, CMD_READ, int64

REQUEST_BYTES = 32 * 1024  # what every server answers at once
REQUESTS_AT_ONCE = 64


class _Window:
    """Requests that are under way, and answers that came before their turn."""

    def __init__(self, remote: paramiko.SFTPFile) -> None:
        self._sftp: Any = remote.sftp
        self._handle = remote.handle
        self.asked: dict[int, tuple[int, int]] = {}
        self.arrived: dict[int, bytes] = {}

    def ask(self, start: int, size: int) -> None:
        number = self._sftp._async_request(self, CMD_READ, self._handle, int64(start), size)
        self.asked[number] = (start, size)

    def wait(self) -> None:
        """Take in one answer."""
        self._sftp._read_response()

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        start, size = self.asked.pop(number)
        if kind != CMD_DATA:
            self._sftp._convert_status(message)  # raises: EOFError at the end of the file
            raise paramiko.SFTPError("Expected data")
        data: bytes = message.get_string()
        self.arrived[start] = data
        if 0 < len(data) < size:  # a server may answer with less
            self.ask(start + len(data), size - len(data))


class EndOfFile(Exception):
    """The file is shorter than it should be."""


def read_ahead(remote: paramiko.SFTPFile, start: int, size_bytes: int) -> Iterator[bytes]:
    """Yield the content of an open file from a place on, in pieces, in order.

    Args:
        remote: The file.
        start: Where to begin.
        size_bytes: Where it ends.

    Raises:
        EndOfFile: It ends before that.
        OSError, EOFError, paramiko.SSHException: The connection was lost, or the server refuses.
    """
    window = _Window(remote)
    done = ahead = start
    while done < size_bytes:
        while ahead < size_bytes and len(window.asked) + len(window.arrived) < REQUESTS_AT_ONCE:
            size = min(REQUEST_BYTES, size_bytes - ahead)
            window.ask(ahead, size)
            ahead += size
        data = window.arrived.pop(done, None)
        if data is None:
            try:
                window.wait()
            except EOFError as error:
                raise EndOfFile from error
        elif not data:
            raise EndOfFile
        else:
            done += len(data)
            yield data
