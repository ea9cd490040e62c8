"""Programs out of Debian's packages, downloaded once and unpacked into the user's cache: no root, nothing installed."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """Return the folder into which the packages are unpacked; they are downloaded when it is not there.

    Args:
        name: Of the folder in the cache.
        packages: Names of Debian's packages, dependencies included.

    Raises:
        RuntimeError: They could not be downloaded; it says what apt-get says.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate-tests"
    known = cache / name
    if not known.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(Path(folder), packages)
            try:
                (Path(folder) / "root").rename(known)
            except OSError:
                if not known.is_dir():  # another run was faster
                    raise
    return known


def _download(folder: Path, packages: Sequence[str]) -> None:
    """Fetch the packages with lists of our own, which needs no rights, and unpack them below `root`."""
    for name in ("state/lists/partial", "cache/archives/partial", "root"):
        (folder / name).mkdir(parents=True)
    apt = ["apt-get", "-q", "-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"]
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    _run([*apt, *sandbox, "update"], folder)
    _run([*apt, *sandbox, "download", *packages], folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(folder / "root")], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
