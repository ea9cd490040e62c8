"""`tidegate demo`, as `make demo` runs it: what it prints is true, what it suggests works, and no process is left."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service_demo import PROGRAM, environment, processes_of, wait_until_gone

pytestmark = pytest.mark.slow


def test_demo_archives_restores_and_suggests_commands_that_work_afterwards(place: Path) -> None:
    demo = subprocess.run(
        [PROGRAM, "demo"], cwd=place, env=environment(place), capture_output=True, text=True, check=False, timeout=240
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert not processes_of(place)
    assert not list(place.glob("tidegate-*/*"))
    said = demo.stdout
    assert re.search(r"total +336,776 +336,773 +3 ", said)
    assert len(re.findall(r"2013-\d\d +purged", said)) == 12
    assert len(re.findall(r"^  2013-12-24 05:\d\d  ", said, re.MULTILINE)) == 3
    assert "24,951 rows of flights are back in public.flights_february" in said
    assert "as before archiving" in said

    suggested = [line for line in said.splitlines() if line.startswith("  ") and "--config" in line]
    assert [shlex.split(line)[1] for line in suggested] == ["status", "verify", "query"]
    for line in suggested:
        tried = subprocess.run(
            shlex.split(line), cwd=place, env=environment(place), capture_output=True, text=True, check=False
        )
        assert tried.returncode == 0, line + tried.stdout + tried.stderr
    assert "HNL" in tried.stdout


def test_demo_leaves_a_folder_alone_that_no_demo_made(place: Path) -> None:
    (place / "demo").mkdir()
    (place / "demo/thesis.txt").write_text("ten years of work")
    demo = subprocess.run([PROGRAM, "demo"], cwd=place, capture_output=True, text=True, check=False)
    assert demo.returncode == 2
    assert "no demo made it" in demo.stderr
    assert [path.name for path in (place / "demo").iterdir()] == ["thesis.txt"]


@contextmanager
def heeding_sigint() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_demo_that_is_stopped_leaves_no_process(place: Path, number: signal.Signals) -> None:
    # A shell starts background jobs, this test run perhaps among them, with SIGINT ignored, and children inherit that.
    with heeding_sigint():
        demo = subprocess.Popen(
            [PROGRAM, "demo"],
            cwd=place,
            env=environment(place),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    assert demo.stdout is not None
    with demo:
        assert any("2013-02 archived" in line for line in demo.stdout)
        # As the terminal does it: Ctrl-C reaches all processes of the group.
        os.killpg(demo.pid, number)
        demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert not wait_until_gone(place)
