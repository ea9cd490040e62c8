"""A TCP proxy that can lose the answer to a request after the server has carried it out."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class LossyProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port` as long as the `with` block lives.

    Attributes:
        lose_answers_to: Requests whose first bytes these are get no answer: the connection closes instead.
        lost: How many answers were lost.
        losses_left: How many more to lose.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_answers_to = b""
        self.losses_left = 0
        self.lost = 0

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
            doomed = threading.Event()
            for source, sink, upward in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, upward, doomed), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, upward: bool, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if upward and self.lose_answers_to and data.startswith(self.lose_answers_to):
                    with self._lock:
                        if self.losses_left:
                            self.losses_left -= 1
                            doomed.set()
                # "100 Continue" only invites the body; the answer proper comes after the work is done.
                if not upward and doomed.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    with self._lock:
                        self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
