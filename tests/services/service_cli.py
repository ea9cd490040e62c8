"""Runs the command line as its users do: as a process, with a project, and with the output kept apart."""

import json
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer

from tidegate.boundary import BoundedCommand
from tidegate.cli import COMMANDS
from tidegate.cli import FLOWS as FLOW_COMMANDS

FLOWS = Path(__file__).parents[2] / "flows"

# Runs all in one process, as each by itself would take seconds to import Prefect.
RUN_ALL = """
import json, sys
from tidegate.cli import main, run_flow
for words in json.loads(sys.argv[1]):
    print(words, file=sys.stderr)
    try:
        if words[0] == "tidegate":
            main(words[1:])
        else:
            sys.argv = words[1:]
            run_flow(words[1].removeprefix("flows/").removesuffix(".py").replace("_", "-"))
    except SystemExit as end:
        if end.code:
            sys.exit(f"{words}: {end.code}")
"""


@dataclass(frozen=True)
class Ran:
    """What a run of the command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output; fails if there is anything else."""
        body = json.loads(self.out)
        assert isinstance(body, dict)
        return body


@dataclass
class CommandLine:
    """Runs `python -m tidegate …` in a folder.

    Attributes:
        folder: The working directory: a project.
        environment: Added to this process's own, of which Prefect's settings are left out.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, program: tuple[str, ...] = ("-m", "tidegate")) -> Ran:
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=self.folder, env=self.all_variables, stdin=subprocess.DEVNULL, capture_output=True, timeout=200,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_a_terminal(self, *arguments: str, typed: str = "", exit_code: int = 0) -> str:
        """Return what a person would see who types this, control sequences included."""
        ours, theirs = pty.openpty()
        variables = {**self.all_variables, "TERM": "xterm-256color"}
        variables.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "tidegate", *arguments]
        seen = b""
        try:
            process = subprocess.Popen(
                command, cwd=self.folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs
            )
            os.close(theirs)
            os.write(ours, typed.encode())
            while select.select([ours], [], [], 100)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # EIO: the other side is closed
                    break
            assert process.wait(30) == exit_code, seen.decode()
        finally:
            os.close(ours)
        return seen.decode()

    @property
    def all_variables(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {**mine, **self.environment}


@pytest.fixture
def tidegate(bench: Bench) -> CommandLine:
    """The command line in the bench's project; no Prefect server is configured."""
    return CommandLine(bench.folder)


@pytest.fixture
def with_prefect(bench: Bench, prefect_server: PrefectServer) -> CommandLine:
    """The command line in the bench's project, with a Prefect server that runs already."""
    return CommandLine(bench.folder, prefect_server.environment)


@pytest.fixture
def archived(bench: Bench) -> Bench:
    """A bench with 400 orders in the lake, and none of them in the source."""
    bench.fill_orders(400)
    bench.run()
    return bench


def assert_calm_and_discreet(ran: Ran, bench: Bench) -> None:
    """No secret, no colours where there is no terminal, no traceback."""
    password = urlsplit(bench.url).password
    assert password
    for text in (ran.out, ran.err):
        assert password not in text
        assert "\x1b" not in text
        assert "Traceback" not in text


def processes_with(folder: Path) -> list[int]:
    """Return the processes in whose environment the folder is named."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and os.fsencode(folder) in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def wait_until_none_is_left_with(folder: Path) -> None:
    """Wait until no process names the folder, for at most 20 seconds."""
    until = time.monotonic() + 20
    while (left := processes_with(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left


def examples_of(*names: str) -> list[list[str]]:
    """Return the examples in the help texts of commands, as words."""
    places = {**FLOW_COMMANDS, **COMMANDS}
    found = []
    for name in names:
        module, _, attribute = places[name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, BoundedCommand)
        assert command.examples, f"{name} has no examples"
        found += [shlex.split(example.partition(" > ")[0]) for example in command.examples]
    return found
