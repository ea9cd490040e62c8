"""Create a virtual environment with a pinned uv in it, on machines that have little more than Python.

python3 .ci/create_venv.py .venv

Needs the standard library only. Debian and Ubuntu ship a python3 without pip and without ensurepip: there, pip's
own wheel is fetched from the package index, checked against its known SHA-256, and run from the archive once.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

UV = "uv==0.13.9"
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
OLDEST = (3, 11)


def create(folder: Path) -> None:
    """Create the environment, or keep one that works, and install uv into it."""
    python = str(folder / "bin" / "python")
    if not _works(python, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})"):
        shutil.rmtree(folder, ignore_errors=True)
        without = [] if importlib.util.find_spec("ensurepip") else ["--without-pip"]
        subprocess.run([sys.executable, "-m", "venv", *without, str(folder)], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        if _works(python, "-m", "pip", "--version"):
            pip = [python, "-m", "pip"]
        elif _works(sys.executable, "-m", "pip", "--python", python, "--version"):
            pip = [sys.executable, "-m", "pip", "--python", python]
        else:
            pip = [python, str(fetch_pip(Path(scratch)) / "pip")]
        subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", UV], check=True)


def fetch_pip(folder: Path) -> Path:
    """Fetch pip's wheel from the package index (PIP_INDEX_URL, by default PyPI) into `folder` and return its path."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    link = re.search(r'href="([^"]*/' + re.escape(PIP_WHEEL) + r')[#"]', _get(index).decode())
    if link is None:
        sys.exit(f"{index} does not offer {PIP_WHEEL}. Install pip or python3-venv, then run make again.")
    content = _get(urllib.parse.urljoin(index, link.group(1)))
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        sys.exit(f"{PIP_WHEEL} from {index} is not the file that was expected (SHA-256). Nothing was installed.")
    wheel = folder / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 (the index is the user's own choice)
        content: bytes = answer.read()
    return content


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    # No newer syntax in this file: an old Python has to get as far as this line.
    if sys.version_info < OLDEST:
        found = "{}.{}".format(*sys.version_info)
        sys.exit(
            f"Tidegate needs Python {OLDEST[0]}.{OLDEST[1]} or later; {sys.executable} is {found}.\n"
            "Name another one: make PYTHON=/path/to/python3.12 ..."
        )
    try:
        create(Path(sys.argv[1]))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"The virtual environment {sys.argv[1]} could not be made: {error}\n"
            "It needs Python's venv module and a package index (network; PIP_INDEX_URL for another than PyPI)."
        )
