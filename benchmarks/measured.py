"""What the operating system says of a contestant: a process of its own, imports included."""

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass
class Measured:
    """What the operating system says of finished processes, and what each of them printed as JSON."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    said: list[dict[str, float]] = field(default_factory=list)

    def row(self) -> tuple[float, float, float]:
        return median(self.wall_s), median(self.cpu_s), max(self.peak_mb)


def measure(into: Measured, command: list[str], **environment: str) -> None:
    """Run a command and add its figures."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    into.wall_s.append(time.monotonic() - started)
    into.cpu_s.append(usage.ru_utime + usage.ru_stime)
    into.peak_mb.append(usage.ru_maxrss / 1024)
    into.said.append(json.loads(output.splitlines()[-1]) if output.strip() else {})


def aim(what: str, measured: str, met: bool) -> str:
    return f"| {what} | {measured} | {'met' if met else '**missed**'} |"


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "CPU")
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}, Python {platform.python_version()}"
