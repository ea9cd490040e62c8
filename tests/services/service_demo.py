"""A folder for a demo, and the processes that belong to it."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("tidegate")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, for the demo and its temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def environment(place: Path) -> dict[str, str]:
    # Not the temporary folders of the test session: whatever mentions this one is the demo's own.
    return {**os.environ, "TMPDIR": str(place), "COLUMNS": "100"}


def processes_of(place: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(place) in command or os.fsencode(place) in (process / "environ").read_bytes():
                found.append(command)
        except OSError:
            pass
    return found


def wait_until_gone(place: Path) -> list[str]:
    until = time.monotonic() + 15
    while (left := processes_of(place)) and time.monotonic() < until:
        time.sleep(0.2)
    return left
