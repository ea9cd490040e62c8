"""The long version of the fault tests, for `make torture`: runs killed at random moments, and thousands of schedules.

    python tests/faults/torture.py --kills 500 --schedules 2000 --steps 60 --minutes 60

It uses all cores, tells how far it is, and ends with one line for the README. The first violation ends it with exit
code 1, after what was violated and the options that repeat it.
"""

import argparse
import logging
import multiprocessing
import os
import random
import secrets
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

import psycopg

from tidegate.demo.postgres import EmbeddedPostgres

sys.path.append(str(Path(__file__).parents[1] / "services"))

KILLS, SCHEDULES = 10, 5  # of one seed, before everything is made anew
TOLD_EVERY_S = 15.0
# Where there is a file system in memory, on that: a power cut is not tested here, and disks are slow.
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class Part:
    """A piece of work of one seed: so many kills, or so many schedules of so many steps."""

    seed: int
    kills: int = 0
    schedules: int = 0
    steps: int = 0

    def __str__(self) -> str:
        return f"--seed {self.seed} --kills {self.kills} --schedules {self.schedules} --steps {self.steps}"


@dataclass
class Tally:
    """What was done: by one part, or by all."""

    kills: int = 0
    schedules: int = 0
    steps: int = 0
    rows_written: int = 0
    rows_archived: int = 0
    violation: str = ""

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def main() -> int:
    """Do what the command line says and return the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("torture: terminated"))
    started = time.monotonic()
    parts = parts_of(options.seed, options.kills, options.schedules, options.steps)
    print(f"torture: {len(parts)} parts on {options.jobs} cores, at most {options.minutes} min; {options.seed=}")
    tempfile.tempdir = FOLDER
    with EmbeddedPostgres() as postgres, tempfile.TemporaryDirectory(prefix="tidegate-torture-") as folder:
        total = _all(parts, options, postgres, Path(folder))
    if total.violation:
        print(total.violation, file=sys.stderr)
    print(result(total, options.steps, (time.monotonic() - started) / 60, options.jobs))
    return 1 if total.violation else 0


def result(total: Tally, steps: int, minutes: float, jobs: int) -> str:
    """Return the line for the README."""
    end = "FAILED" if total.violation else "0 lost, 0 duplicated, 0 deleted out of scope"
    return (
        f"torture: {total.kills:,} kills, {total.schedules:,} schedules × {steps} steps ({total.steps:,} steps), "
        f"{total.rows_written:,} row versions written, {total.rows_archived:,} archived, {end}; "
        f"{minutes:.0f} min on {jobs} cores, {date.today()}"
    )


def parts_of(seed: int, kills: int, schedules: int, steps: int) -> list[Part]:
    """Return the parts: kills and schedules in turns, so that a run out of time has done its share of both."""
    if kills <= KILLS and schedules <= SCHEDULES and not (kills and schedules):
        return [Part(seed, kills, schedules, steps)]
    seeds = random.Random(seed)
    killing = [Part(seeds.getrandbits(32), kills=min(KILLS, kills - n)) for n in range(0, kills, KILLS)]
    scheduling = [
        Part(seeds.getrandbits(32), schedules=min(SCHEDULES, schedules - n), steps=steps)
        for n in range(0, schedules, SCHEDULES)
    ]
    placed = [((n + 0.5) / len(parts), part) for parts in (killing, scheduling) for n, part in enumerate(parts)]
    return [part for _, part in sorted(placed, key=lambda place: place[0])]


def _all(parts: list[Part], options: argparse.Namespace, postgres: EmbeddedPostgres, folder: Path) -> Tally:
    """Have workers do the parts, tell how far they are, and return what was done."""
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    for part in [*parts, *([None] * options.jobs)]:
        todo.put(part)
    until = time.time() + options.minutes * 60
    workers = []
    for number in range(options.jobs):
        urls = []
        for name in (f"kills_{number}", f"schedules_{number}"):
            with psycopg.connect(postgres.url(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {name}".encode())
            urls.append(postgres.url(name))
        arguments = (urls, folder / str(number), todo, done, until)
        workers.append(context.Process(target=work, args=arguments, daemon=True))
        workers[-1].start()
    total, told = Tally(), time.monotonic()
    try:
        while any(worker.is_alive() for worker in workers) or not done.empty():
            with suppress(Empty):
                total.add(done.get(timeout=1))
            dead = [worker for worker in workers if worker.exitcode]
            if dead and not total.violation:
                total.violation = f"A worker ended with {dead[0].exitcode}."
            if total.violation:
                break
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{time.strftime('%H:%M:%S')}  {total.kills:,} kills, {total.schedules:,} schedules, "
                      f"{total.steps:,} steps", flush=True)  # fmt: skip
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    return total


def work(urls: list[str], folder: Path, todo: "Queue[Part | None]", done: "Queue[Tally]", until: float) -> None:
    """Do parts until there are none left, or no time."""
    logging.disable(logging.WARNING)
    tempfile.tempdir = str(folder.parent)
    from any_schedule import AnySchedule, run_schedules
    from random_kills import Forks, KilledRuns
    from service_bench import Bench
    from service_shortcuts import shortcuts

    limits = {"from": "2024-01-01", "to": "2024-04-01", "where": "shop IS DISTINCT FROM 'shop 2'"}
    killed = Bench(urls[0], folder / "kills", {**limits, "purge": {"mode": "delete", "batch_rows": 20}})
    AnySchedule.bench = Bench(urls[1], folder / "schedules")
    with Forks(killed) as forks:
        while (part := todo.get()) is not None and time.time() < until:
            tally = Tally()
            try:
                if part.kills:
                    runs = KilledRuns(killed, forks, part.seed)
                    runs.act(part.kills)
                    tally.kills, tally.rows_written, tally.rows_archived = (
                        runs.kills,
                        runs.rows_written,
                        runs.rows_archived,
                    )
                if part.schedules:
                    with shortcuts():
                        figures = run_schedules(part.schedules, part.steps, seed=part.seed)
                    tally.schedules, tally.steps = figures.schedules, figures.steps
                    tally.rows_written, tally.rows_archived = figures.rows_written, figures.rows_archived
            except BaseException:  # noqa: BLE001 - whatever it is, it ends the torture
                tally.violation = f"{traceback.format_exc()}\nTo repeat it: python {__file__} {part}"
            done.put(tally)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=120, help="begin nothing new after that")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
