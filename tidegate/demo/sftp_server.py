"""A private SFTP server: OpenSSH out of Debian's packages, downloaded once and unpacked. No Docker, no root.

Its only user is one that this machine does not know (`libnss-wrapper` tells the server of it), so that a login by
password works without the system's accounts. For the demo and the tests.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko

from tidegate.demo.debian_packages import unpacked
from tidegate.demo.postgres import free_port

_PACKAGES = ("openssh-server", "openssh-sftp-server", "libwrap0", "libnss-wrapper")
_START_S, _STOP_S = 20.0, 10.0
_LIBC = ctypes.CDLL(None)
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PidFile none
LogLevel VERBOSE
MaxStartups 100:30:200
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {files}
"""


@dataclass
class SftpServer:
    """An SFTP server on 127.0.0.1 that lives as long as the `with` block.

    Attributes:
        user: The only user.
        password: The user's password.
        port: Where it listens; a free port by default.
        files: The folder in which a login ends up.
        client_key: A private key that it accepts as well.
    """

    user: str = "partner"
    password: str = field(default_factory=lambda: "s/p@ce " + secrets.token_hex(8), repr=False)
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self._root = unpacked("openssh", _PACKAGES)
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-sftp-"))
        self.folder.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._prepare()
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

    @property
    def host_key(self) -> str:
        """The public key by which it is known: `ecdsa-sha2-nistp256 AAAA…`."""
        return f"{self._host_key.get_name()} {self._host_key.get_base64()}"

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def connection(self, **changes: Any) -> dict[str, Any]:
        """Return what `sources.yaml` says of it (`connection`), with changes; None removes a key."""
        known = {
            "host": "127.0.0.1", "port": self.port, "user": self.user, "password": self.password,
            "host_key": self.host_key, **changes,
        }  # fmt: skip
        return {key: value for key, value in known.items() if value is not None}

    def new_folder(self, name: str) -> Path:
        """Make a folder in `files` that its user may write, and return it."""
        folder = self.files / name
        folder.mkdir()
        self._hand_over(folder)
        return folder

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: It did not; the error has the end of its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "-D", "-e", "-f", str(self._home / "config")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(),
                start_new_session=True, preexec_fn=_die_with_parent, **self._as_whom(),
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The SFTP server did not start.\n{self.log[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server, and the logins that are open. Does nothing if it is not running."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _prepare(self) -> None:
        self._home, self.files = self.folder / "home", self.folder / "files"
        self._home.mkdir()
        self.files.mkdir()
        self._log = self._home / "server.log"
        self._host_key = paramiko.ECDSAKey.generate()
        host_key = self._home / "host_key"
        self._host_key.write_private_key_file(str(host_key))
        client_key = paramiko.RSAKey.generate(2048)
        self.client_key = self.folder / "client_key"
        client_key.write_private_key_file(str(self.client_key))
        self._write("authorized_keys", f"{client_key.get_name()} {client_key.get_base64()}\n")
        self._write("config", _CONFIG.format(port=self.port, home=self._home, files=self.files))
        who = self._who()
        account = f"{who.pw_uid}:{who.pw_gid}::{self.files}:/bin/sh"
        self._write("passwd", f"{self.user}:{_hashed(self.password)}:{account}\nsshd:x:{account}\n")
        self._write("group", f"{self.user}:x:{who.pw_gid}:\n")
        for path in (self._home, host_key, self.files):
            self._hand_over(path)
        self._program = self._root / "usr/sbin/sshd"
        self._libraries = next((self._root / "usr/lib").glob("*-linux-gnu"))
        if os.geteuid() == 0:  # what lies in the home of root, nobody else can run
            self._program = Path(shutil.copy(self._program, self.folder))
            self._libraries = Path(shutil.copytree(self._libraries, self.folder / "lib", symlinks=True))
            subprocess.run(["chmod", "-R", "a+rX", str(self._libraries), str(self._program)], check=True)

    def _write(self, name: str, text: str) -> None:
        (self._home / name).write_text(text)

    def _hand_over(self, path: Path) -> None:
        who = self._who()
        if os.geteuid() == 0:
            os.chown(path, who.pw_uid, who.pw_gid)

    def _who(self) -> pwd.struct_passwd:
        # As root it would ask for an account and a folder of the system.
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())

    def _as_whom(self) -> dict[str, Any]:
        who = self._who()
        return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C",
            "LD_LIBRARY_PATH": str(self._libraries),
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(self._home / "passwd"),
            "NSS_WRAPPER_GROUP": str(self._home / "group"),
        }


def _hashed(password: str) -> str:
    """Return a password as `/etc/passwd` has it (SHA-512)."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(password.encode(), b"$6$tidegate$")
    return hashed.decode()


def _die_with_parent() -> None:
    """Have the kernel end the server when its parent is killed and can clean up nothing (Linux)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
