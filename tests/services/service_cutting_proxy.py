"""A TCP proxy that cuts connections off once the server has sent so many bytes over one of them.

In a process of its own: connectorx holds Python's lock while it connects, and a proxy in a thread would never answer.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cutting_proxy(target_port: int, cut_after_bytes: int) -> Iterator[int]:
    """Forward a port, which is yielded, to 127.0.0.1:`target_port`; cut each connection after so many bytes."""
    command = [sys.executable, __file__, str(target_port), str(cut_after_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _forward(target_port: int, cut_after_bytes: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", target_port))
            for source, sink, limit in ((client, server, sys.maxsize), (server, client, cut_after_bytes)):
                threading.Thread(target=_pump, args=(source, sink, limit), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, limit: int) -> None:
    with suppress(OSError):
        while limit > 0 and (data := source.recv(4096)):
            sink.sendall(data)
            limit -= len(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    _forward(int(sys.argv[1]), int(sys.argv[2]))
