"""A TCP proxy that cuts connections off, with a reset, once the server has sent so many bytes over one of them."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port` as long as the `with` block lives.

    Attributes:
        cut_after_bytes: A connection over which the server sends more than this is cut off there; None cuts none.
        cuts_left: How many connections are still to be cut.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_after_bytes: int | None = None
        self.cuts_left = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            for source, sink, downward in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, downward), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, downward: bool) -> None:
        sent_bytes = 0
        with suppress(OSError):
            while data := source.recv(4096):
                sent_bytes += len(data)
                if downward and self._is_to_be_cut(sent_bytes):
                    for end in (source, sink):  # no lingering: close() sends a reset
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        end.close()
                    return
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _is_to_be_cut(self, sent_bytes: int) -> bool:
        with self._lock:
            if self.cut_after_bytes is None or sent_bytes <= self.cut_after_bytes or not self.cuts_left:
                return False
            self.cuts_left -= 1
            return True
