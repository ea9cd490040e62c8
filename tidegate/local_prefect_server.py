"""The process of a temporary Prefect server: it serves the socket it is given, until its parent is gone.

python -m tidegate.local_prefect_server FILE_DESCRIPTOR
"""

import os
import signal
import socket
import sys
import threading
import time


def serve(listener: int) -> None:
    """Serve Prefect's API on a listening socket."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    import uvicorn

    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        lifespan="on",
        log_level="error",
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listener)])


def _end_with_the_parent() -> None:
    """Standard input is a pipe from the parent: its end is the parent's, also after a `kill -9`."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
