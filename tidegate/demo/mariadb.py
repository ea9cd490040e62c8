"""A private MariaDB from Debian's packages, downloaded once and unpacked: no Docker, no root."""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import pymysql

from tidegate.demo.debian_packages import unpacked
from tidegate.demo.postgres import free_port

_PACKAGES = (
    "mariadb-server-core", "mariadb-client-core", "mariadb-common", "libmariadb3", "liburing2", "libpmem1",
    "libsnappy1v5", "libncurses6", "libaio1",
)  # fmt: skip
_START_S, _STOP_S = 60.0, 20.0
_LIBC = ctypes.CDLL(None)


@dataclass
class MariaDB:
    """A MariaDB server on 127.0.0.1 that lives as long as the `with` block.

    Attributes:
        settings: Options of the server; None as a value is an option without one.
        user: The name of a user who may do everything.
        password: The user's password.
    """

    settings: Mapping[str, str | None] = field(default_factory=lambda: {"log-bin": "binlog"})
    user: str = "tidegate"
    password: str = field(default_factory=lambda: "s/p@ce " + secrets.token_hex(8), repr=False)

    def __enter__(self) -> Self:
        self._root = unpacked("mariadb", _PACKAGES)
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-mariadb-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        try:
            self._install()
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

    def url(self, database: str = "mysql", user: str | None = None, password: str | None = None) -> str:
        """Return a connection URL for `database`, as the user who may do everything unless another one is named."""
        name, secret = user or self.user, self.password if password is None else password
        return (
            f"mysql://{quote(name, safe='')}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{quote(database, safe='')}"
        )

    def sql(self, query: str, *parameters: Any, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement in a transaction of its own and return its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def connect(self, database: str | None = None) -> "pymysql.connections.Connection[Any]":
        """Return a connection as an application has it, in autocommit mode."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password, database=database,
            autocommit=True, charset="utf8mb4", ssl_disabled=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: It did not; the error has the end of its log.
        """
        options = {
            "port": str(self.port), "bind-address": "127.0.0.1", "socket": str(self.folder / "socket"),
            "pid-file": str(self.folder / "pid"), "init-file": str(self.folder / "users.sql"), "server-id": "1",
            "innodb-flush-log-at-trx-commit": "0", "innodb-buffer-pool-size": "64M", "innodb-log-file-size": "16M",
            **self.settings,
        }  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._root / "usr/sbin/mariadbd"), *self._common(), *_as_arguments(options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(),
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while True:
            try:
                self.sql("SELECT 1")
            except pymysql.Error:
                if self._process.poll() is not None or time.monotonic() > until:
                    tail = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"MariaDB did not start.\n{tail}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop the server; by default as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _install(self) -> None:
        command = [
            str(self._root / "usr/bin/mariadb-install-db"), *self._common(),
            "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M",
        ]  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=self._environment()
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")
        (self.folder / "users.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
        )

    def _common(self) -> list[str]:
        # A folder of its own for temporary files: a server that starts removes those that it finds there, anybody's.
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        known = {"basedir": str(self._root / "usr"), "datadir": str(self.folder / "data"), "tmpdir": str(temporary)}
        if os.geteuid() == 0:
            known["user"] = "root"  # to be said aloud; a server for tests owns nothing
        return ["--no-defaults", *_as_arguments(known)]

    def _environment(self) -> dict[str, str]:
        libraries = next((self._root / "usr/lib").glob("*-linux-gnu"))
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_LIBRARY_PATH": str(libraries)}


def _as_arguments(options: Mapping[str, str | None]) -> list[str]:
    return [f"--{name}" if value is None else f"--{name}={value}" for name, value in options.items()]


def _die_with_parent() -> None:
    """Have the kernel end the server when the test run is killed and can clean up nothing (Linux)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
