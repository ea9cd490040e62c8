"""A stage on which a run is killed again and again: one beginning, put back before each kill."""

import copy
import re
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from oracle import Oracle, Version
from service_bench import Bench
from service_effects import Kill
from service_zygote import Outcome, Zygote

from blocks.lake_paths import SCRATCH_FOLDER

_DEFAULTS: dict[str, dict[str, Any]] = {
    "archive": {},
    "restore": {"from_": "2024-01-01", "to": "2024-04-01", "on_conflict": "skip"},
}
_ID = re.compile(r"[0-9a-f]{12,}")

State: TypeAlias = tuple[frozenset[Version], tuple[str, ...], tuple[str, ...]]  # see `Stage.left`


class Stage(ABC):
    """A bench, its oracle, and a zygote; the source and the lake can be set back to where they were kept.

    Args:
        bench: The project; its lake is a local one, unless a subclass says another.
        zygote: Runs its flows.

    Attributes:
        oracle: Made by whoever fills the source.
        environment: What the flows find in theirs, to reach the lake.
    """

    bench: Bench
    oracle: Oracle

    def __init__(self, bench: Bench, zygote: Zygote) -> None:
        self.bench, self._zygote = bench, zygote
        self.environment: dict[str, str] = {}
        self._kept: Oracle

    @abstractmethod
    def fill(self) -> None:
        """Fill the source with rows of some windows, and with others that no run may touch; make an oracle of it."""

    @abstractmethod
    def keep_source(self) -> None:
        """Remember the source as it is."""

    @abstractmethod
    def reset_source(self) -> None:
        """Set the source back to what was remembered."""

    def keep_lake(self) -> None:
        """Remember the lake as it is."""
        self._kept_lake.mkdir()
        if self._lake.exists():
            shutil.copytree(self._lake, self._kept_lake, dirs_exist_ok=True)

    def reset_lake(self) -> None:
        """Set the lake back to what was remembered."""
        shutil.rmtree(self._lake, ignore_errors=True)
        if any(self._kept_lake.iterdir()):
            shutil.copytree(self._kept_lake, self._lake)

    @abstractmethod
    def settle(self) -> None:
        """Wait until nobody is connected to the source any more, dead processes neither."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""

    def litter(self) -> list[str]:
        """Return the names of files that runs have put beside the source."""
        return []

    def keep(self) -> None:
        """Make the present state the one to which `reset` goes back."""
        self.settle()
        self.keep_source()
        self.keep_lake()
        self._kept = self.oracle
        self.reset()

    def reset(self) -> None:
        """Go back to the state that was kept."""
        self.reset_source()
        self.reset_lake()
        self.oracle = copy.copy(self._kept)
        self.oracle.live, self.oracle.written = set(self._kept.live), dict(self._kept.written)

    def run(self, flow: str = "archive", kill: Kill | None = None, **options: Any) -> Outcome:
        """Run a flow in a process of its own; a run that is to be killed has to be, any other has to succeed."""
        options = {"archive": "orders", "config_dir": str(self.bench.config_dir), **_DEFAULTS[flow], **options}
        outcome = self._zygote.run(flow, kill, self.environment, **options)
        expected = -signal.SIGKILL if kill else 0
        assert outcome.exit_code == expected, f"{flow} with {kill}: {outcome.exit_code}\n{outcome.printed}"
        self.settle()
        return outcome

    def state(self) -> tuple[set[Version], set[Version]]:
        """Return the row versions in the source and in the lake."""
        archived = {version for versions in self.oracle.lake().values() for version in versions}
        return set(self.oracle.source()), archived

    def left(self) -> State:
        """Return what a killed run left: rows of the source, files of the lake (ids apart), and files besides."""
        files = tuple(sorted(_ID.sub("*", entry.path) for entry in self.bench.lake.list("")))
        scratch = ["scratch"] if any((self._lake / SCRATCH_FOLDER).glob("*")) else []
        return frozenset(self.oracle.source()), files, (*self.litter(), *scratch)

    @property
    def _lake(self) -> Path:
        return self.bench.folder / "lake"

    @property
    def _kept_lake(self) -> Path:
        return self.bench.folder / "kept lake"


def scope_of(archive: Mapping[str, Any]) -> str:
    """Return the predicate of the rows that an archive is to move, for an oracle."""
    return f"placed_at >= '{archive['from']}' AND placed_at < '{archive['to']}' AND {archive['where']}"


def fill(stage: Stage) -> None:
    """Prepare a stage by no more than that."""
    stage.fill()


MakeStage: TypeAlias = Callable[[Zygote, Path], Stage]


@contextmanager
def stages(
    make: MakeStage, zygotes: list[Zygote], folder: Path, prepare: Callable[[Stage], None]
) -> Iterator[list[Stage]]:
    """Yield equal stages, each with a source, a lake and a zygote of its own, set to the state that `prepare` makes.

    Args:
        make: Makes one, in a folder of its own.
        zygotes: One a stage.
        folder: Where.
        prepare: What is done on a stage before it is kept.
    """
    with ExitStack() as stack:
        made = []
        for n, zygote in enumerate(zygotes):
            stage = make(zygote, folder / f"stage_{n}")
            stack.callback(stage.close)
            made.append(stage)
            prepare(stage)
            stage.keep()
        yield made
