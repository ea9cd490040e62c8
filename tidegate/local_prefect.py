"""Prefect without a server of its own: a temporary one, started while the flow's own modules are still loading.

Prefect would start such a server by itself, but only when the first flow is called, after importing the server's
code into this process as well, and with its shutdown's complaints on the terminal. Started from here it is the same
server, on the same database, and a flow begins seconds earlier. Where a server is configured, nothing is started.
"""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import IO, Any

from schemas.errors import TidegateError

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
# Nothing is scheduled, late, or to be cleaned up on a server that lives as long as one run.
_NOT_NEEDED = (
    "CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "FOREMAN", "LATE_RUNS", "PAUSE_EXPIRATIONS", "REPOSSESSOR",
    "SCHEDULER", "TRIGGERS",
)  # fmt: skip


class LocalServer:
    """A temporary Prefect server; it ends with this process, whatever ends that."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the server is)
        self._port = 0

    @property
    def api_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}/api"

    def start(self, environment: dict[str, str]) -> None:
        """Start it, without waiting until it answers."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
            self._port = listener.getsockname()[1]
            # It is handed the socket, so that nobody can take the port, and a first request simply waits.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tidegate.local_prefect_server", str(listener.fileno())],
                env=environment, stdin=subprocess.PIPE, stdout=self._said, stderr=self._said,
                pass_fds=[listener.fileno()], start_new_session=True,
            )  # fmt: skip

    def wait(self, timeout_s: float) -> None:
        """Wait until it answers.

        Raises:
            TidegateError: It ended, or did not answer in time.
        """
        connection = HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        try:
            connection.request("GET", "/api/health")
            healthy = connection.getresponse().status == 200
        except (OSError, HTTPException):
            healthy = False
        finally:
            connection.close()
        if not healthy:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines()
            raise TidegateError(
                "Prefect's temporary server did not start." + "".join(f"\n  {line}" for line in said[-5:]),
                state="No source and no lake was touched.",
                next_step="Run it again; or run a server (prefect server start) and set PREFECT_API_URL.",
            )

    def stop(self) -> None:
        """Stop it; harmless if it never started."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(8)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def prefect(on_import: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Make Prefect ready; yields what waits until it is, to be called when there is nothing else left to do.

    Args:
        on_import: Called when Prefect is imported.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    server = LocalServer()
    # Before Prefect registers anything: it has things to send to the server when the process ends.
    atexit.register(server.stop)
    import prefect.main  # noqa: F401 (sets logging up, which on_import changes)
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        get_current_settings,
        temporary_settings,
    )

    on_import()
    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        yield _nothing
        return
    server.start({**os.environ, **settings.to_environment_variables(exclude_unset=True), **_server_environment()})
    # Heartbeats tell a server that stays of runs that died; their thread costs a second at each flow's end.
    changes: dict[Any, Any] = {PREFECT_API_URL: server.api_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(changes):
        yield lambda: server.wait(settings.server.ephemeral.startup_timeout_seconds)


def _server_environment() -> dict[str, str]:
    return {
        # What Prefect sets for its own temporary server: no page, and only the services that such a one needs.
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _NOT_NEEDED},
    }


def _nothing() -> None:
    return None
