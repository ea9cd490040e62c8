"""A stage on which a run is killed again and again: one beginning, put back before each kill."""

import copy
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import psycopg
from oracle import Oracle, Version
from psycopg import sql
from service_bench import Bench
from service_effects import Effect, Kill
from service_zygote import Outcome, Zygote

from blocks.lake_paths import SCRATCH_FOLDER
from tidegate.demo.postgres import EmbeddedPostgres

ARCHIVE = {
    "from": "2024-01-01", "to": "2024-04-01", "where": "shop IS DISTINCT FROM 'shop 2'",
    "purge": {"mode": "delete", "batch_rows": 40},
}  # fmt: skip
_DEFAULTS: dict[str, dict[str, Any]] = {
    "archive": {},
    "restore": {"from_": "2024-01-01", "to": "2024-04-01", "on_conflict": "skip"},
}
_ID = re.compile(r"[0-9a-f]{12,}")
SETTLE_S = 60.0  # for the database to notice that a client died

State: TypeAlias = tuple[frozenset[Version], tuple[str, ...], bool]  # see `Stage.left`


@dataclass
class Figures:
    """What was done, for whoever reads the log."""

    effects: int = 0
    kills: int = 0
    states: int = 0
    rows: int = 0
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        seconds = time.monotonic() - self.started
        return (
            f"{self.effects} effects, {self.kills} kills, {self.states} states to go on from, "
            f"{self.rows} rows checked, {seconds:.0f} s"
        )


class States:
    """The states that killed runs left, so that a run that goes on from one of them is tried once.

    Args:
        each: Whether to go on after every kill all the same.
    """

    def __init__(self, *, each: bool) -> None:
        self._each, self._seen, self._lock = each, set[State](), Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def is_done(self, state: State) -> bool:
        """Note a state, and return whether it was there before."""
        with self._lock:
            known = state in self._seen
            self._seen.add(state)
        return known and not self._each


class Stage:
    """A bench, its oracle, and a zygote; the database and the lake can be set back to where they were kept.

    The copy of the database gets its old name: to the snapshot fence it is the same one, row versions included.
    """

    def __init__(self, postgres: EmbeddedPostgres, zygote: Zygote, folder: Path, name: str) -> None:
        self._zygote, self._name = zygote, name
        self._connection = psycopg.connect(postgres.url(), autocommit=True)
        self._admin(f"CREATE DATABASE {name}")
        self.bench = Bench(postgres.url(name), folder / name, dict(ARCHIVE))
        self.oracle: Oracle
        self._kept: Oracle
        self._kept_lake = folder / f"{name} kept"

    def close(self) -> None:
        for database in (self._name, f"{self._name}_kept"):
            self._admin(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self._connection.close()

    def keep(self) -> None:
        """Make the present state the one to which `reset` goes back."""
        self.settle()
        self._admin(f"ALTER DATABASE {self._name} RENAME TO {self._name}_kept")
        self._kept_lake.mkdir()
        if self._lake.exists():
            shutil.copytree(self._lake, self._kept_lake, dirs_exist_ok=True)
        self._kept = self.oracle
        self.reset()

    def reset(self) -> None:
        """Go back to the state that was kept."""
        self._admin(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        self._admin(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_kept")
        shutil.rmtree(self._lake, ignore_errors=True)
        if any(self._kept_lake.iterdir()):
            shutil.copytree(self._kept_lake, self._lake)
        self.oracle = copy.copy(self._kept)
        self.oracle.live, self.oracle.written = set(self._kept.live), dict(self._kept.written)

    def run(self, flow: str = "archive", kill: Kill | None = None, **options: Any) -> Outcome:
        """Run a flow in a process of its own; a run that is to be killed has to be, any other has to succeed."""
        options = {"archive": "orders", "config_dir": str(self.bench.config_dir), **_DEFAULTS[flow], **options}
        outcome = self._zygote.run(flow, kill, **options)
        expected = -signal.SIGKILL if kill else 0
        assert outcome.exit_code == expected, f"{flow} with {kill}: {outcome.exit_code}\n{outcome.printed}"
        self.settle()
        return outcome

    def settle(self) -> None:
        """Wait until the database has noticed that nobody is connected any more."""
        until = time.monotonic() + SETTLE_S
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        while self._connection.execute(query, [self._name]).fetchone() != (0,):
            assert time.monotonic() < until, "a connection of a dead process is still there"
            time.sleep(0.005)

    def state(self) -> tuple[set[Version], set[Version]]:
        """Return the row versions in the source and in the lake."""
        archived = {version for versions in self.oracle.lake().values() for version in versions}
        return set(self.oracle.source()), archived

    def left(self) -> State:
        """Return what a killed run left: rows of the source, names in the lake (ids apart), whether scratch files."""
        names = tuple(sorted(_ID.sub("*", entry.path) for entry in self.bench.lake.list("")))
        scratch = any((self._lake / SCRATCH_FOLDER).glob("*"))
        return frozenset(self.oracle.source()), names, scratch

    @property
    def _lake(self) -> Path:
        return self.bench.folder / "lake"

    def _admin(self, statement: str) -> None:
        self._connection.execute(sql.SQL(statement))


def every_moment(effects: list[Effect], *, after: bool) -> Iterator[Kill]:
    """Yield the moments at which a run with these effects can be killed: before, in the middle of, and after each.

    Args:
        effects: Of a run to its end.
        after: Whether to kill after each effect; otherwise after the last one only.
    """
    for number, effect in enumerate(effects):
        yield Kill(number, "before")
        if effect.halves:
            yield Kill(number, "middle")
        if after or number == len(effects) - 1:
            yield Kill(number, "after")


def in_scope(bench: Bench) -> str:
    """Return the predicate of the rows that the bench's archive is to move, for an oracle."""
    return (
        f"placed_at >= '{bench.archive['from']}' AND placed_at < '{bench.archive['to']}' AND {bench.archive['where']}"
    )


@contextmanager
def stages(
    postgres: EmbeddedPostgres, zygotes: list[Zygote], folder: Path, prepare: Callable[[Stage], None]
) -> Iterator[list[Stage]]:
    """Yield equal stages, each with databases and a zygote of its own, set to the state that `prepare` makes."""
    with ExitStack() as stack:
        made = []
        for n, zygote in enumerate(zygotes):
            stage = Stage(postgres, zygote, folder, f"stage_{n}")
            stack.callback(stage.close)
            made.append(stage)
            prepare(stage)
            stage.keep()
        yield made
