"""A flow that is killed at each of its effects, on several stages at a time."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TypeAlias

from service_effects import Effect, Kill
from service_stage import MakeStage, Stage, State, stages
from service_zygote import Zygote

EACH = bool(os.environ.get("TIDEGATE_TORTURE"))
WORKERS = 2  # a run and the database that serves it take turns

Prepare: TypeAlias = Callable[[Stage], None]


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
        self._each, self._seen, self._lock = each, dict[Kill, State](), Lock()

    def __len__(self) -> int:
        return len(set(self._seen.values()))

    def is_done(self, kill: Kill, state: State) -> bool:
        """Note the state that a kill left, and return whether another one has left it before."""
        with self._lock:
            known = state in self._seen.values()
            self._seen[kill] = state
        return known and not self._each

    def check_recorder(self, begun: State, effects: list[Effect], ended: State) -> None:
        """Find that what comes before an effect is what the one before it left: a run does nothing in between.

        Args:
            begun: What was there at the beginning of a run that was not killed.
            effects: Its effects.
            ended: What was there at its end.

        Raises:
            AssertionError: Something changes rows or files that is not recorded, where no run was ever killed.
        """
        last, place = begun, "before the first effect"
        for number, effect in enumerate(effects):
            assert self._seen[Kill(number, "before")][:2] == last[:2], f"something is not recorded {place}"
            last, place = self._seen[Kill(number, "after")], f"after {effect}"
        assert ended[:2] == last[:2], f"something is not recorded {place}"


Survive: TypeAlias = Callable[[Stage, Kill, States], int]


@contextmanager
def zygotes_in(folder: Path) -> Iterator[list[Zygote]]:
    """Start processes that run flows in children, one a worker."""
    with ExitStack() as stack:
        yield [stack.enter_context(Zygote(folder / str(n))) for n in range(WORKERS)]


@dataclass(frozen=True)
class Killing:
    """Kills flows at each of their effects.

    Attributes:
        zygotes: One a stage.
        folder: Of the stages.
    """

    zygotes: list[Zygote]
    folder: Path

    def __call__(
        self,
        make: MakeStage,
        prepare: Prepare,
        survive: Survive,
        flow: str = "archive",
        *,
        after: bool = True,
        every: int = 1,
    ) -> Figures:
        """Prepare stages, find the effects of a flow there, and call `survive` for each moment at which it can die.

        Args:
            make: Makes a stage.
            prepare: What is done on it first.
            survive: Kills a run, and returns how many rows it has checked.
            flow: Which.
            after: Whether to kill after each effect; otherwise after the last one only.
            every: Which part of the moments to take: 3 for each third one.
        """
        figures, states = Figures(), States(each=EACH)
        with (
            stages(make, self.zygotes, self.folder, prepare) as made,
            ThreadPoolExecutor(len(made)) as threads,
        ):
            begun = made[0].left()
            effects = made[0].run(flow).effects
            ended = made[0].left()
            kills = list(every_moment(effects, after=after or EACH))[:: 1 if EACH else every]
            free: SimpleQueue[Stage] = SimpleQueue()
            for stage in made:
                free.put(stage)

            def killed(kill: Kill) -> int:
                stage = free.get()
                try:
                    stage.reset()
                    return survive(stage, kill, states)
                except Exception as error:
                    threads.shutdown(wait=False, cancel_futures=True)  # the others would take a minute
                    error.add_note(f"after a kill {kill.moment} {effects[kill.number]}")
                    raise
                finally:
                    free.put(stage)

            figures.effects, figures.kills = len(effects), len(kills)
            figures.rows = sum(threads.map(killed, kills))
            figures.states = len(states)
        if after or EACH:
            states.check_recorder(begun, effects, ended)
        print(f"\n{flow}: {figures}")
        return figures


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
