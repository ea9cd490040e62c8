"""The effects of a run on the source and on the lake, recorded in order, and a process that dies at one of them.

An effect is a call that may change something that outlives the process: a statement that is not known to read only,
a COMMIT of such statements, an archiver's lock, and what stores, puts or deletes in the lake. The run log's records
go through the lake. Which calls of a driver these are, `recorded_sources` and `recorded_lakes` know.
"""

import functools
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from blocks.lake_paths import PROBE_FOLDER

Moment = Literal["before", "middle", "after"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
LOCKING = frozenset({"lock", "unlock"})

_READS = re.compile(
    r"(SELECT|WITH|SET|RESET|SHOW|BEGIN|START|ROLLBACK"
    r"|PRAGMA (main\.)?(table_x?info|table_list|index_list|index_info|foreign_key_list|foreign_keys|encoding"
    r"|schema_version)(?! ?=)"
    r"|PRAGMA (foreign_keys|query_only|busy_timeout) =)(?!\w)",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(r"EXPLAIN (?!ANALYZE|\()", re.IGNORECASE)  # and does it not, whatever it is
_LOCKS = re.compile(r"\bpg_(try_)?advisory_(xact_)?lock|\bGET_LOCK\(", re.IGNORECASE)
_CHANGES = re.compile(
    r"\bFOR (NO KEY )?(UPDATE|KEY SHARE|SHARE)\b|\b(INSERT INTO|DELETE FROM|UPDATE \S+ SET|MERGE INTO)\b"
    r"|\b(next|set)val\b|\bSET (GLOBAL|PERSIST)",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"(BEGIN|START TRANSACTION|ROLLBACK(?! TO))\b", re.IGNORECASE)  # or ends without a COMMIT


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect.

    Attributes:
        place: `source` or `lake`.
        what: What was done: the first word of a statement, `lock`, or the lake's method.
        on: What it was done to: the rest of the statement, or paths.
        halves: Whether it can be cut in the middle: a file is written but has no name yet, or some paths are deleted.
    """

    place: str
    what: str
    on: str
    halves: bool = False

    @property
    def mutates(self) -> bool:
        """Whether something is different afterwards: not by a lock, nor by the probe that a writable lake gets."""
        return self.what not in LOCKING and not self.on.startswith(PROBE_FOLDER)


@dataclass(frozen=True, slots=True)
class Kill:
    """When to die: at which effect (from 0; of its kind, if `what` names one), and before, in the middle, or after."""

    number: int
    moment: Moment
    what: str | None = None


def effects_in(file: Path) -> list[Effect]:
    """Return the effects that a process recorded, a killed one too."""
    effects: list[Effect] = []
    for line in file.read_text().splitlines() if file.exists() else []:
        effect = Effect(**json.loads(line))
        if effect.halves:  # said once more, when its middle was reached
            effects.pop()
        effects.append(effect)
    return effects


class Recorder:
    """Records the effects of this process in a file, from here on, and kills it where told.

    Args:
        file: Where to, a line an effect.
        kill: Where to die.

    Attributes:
        current: The effect that is being made.
    """

    def __init__(self, file: Path, kill: Kill | None) -> None:
        self._out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill = kill
        self._number: Counter[str | None] = Counter()
        self._changed: set[int] = set()  # connections with a transaction that changed something
        self.current: Effect | None = None

    @contextmanager
    def effect(self, place: str, what: str, on: str) -> Iterator[None]:
        """Be about to make an effect in the block, and die before or after it if so told."""
        self._number.update([None, what])
        self.current = Effect(place, what, on)
        self._say(self.current)
        try:
            self._reach("before")
            yield
            self._reach("after")
        finally:
            self.current = None

    def middle(self) -> None:
        """Be in the middle of the present effect."""
        assert self.current is not None
        self._say(Effect(self.current.place, self.current.what, self.current.on, halves=True))
        self._reach("middle")

    def statement(self, connection: object, text: str) -> AbstractContextManager[None] | None:
        """Return the effect that a statement is, if it is one; that a connection has one to commit is remembered."""
        text = " ".join(text.split())
        if _LOCKS.search(text):
            return self.effect("source", "lock", text)
        if text.upper() == "COMMIT":
            return self.committing(connection)
        if _BEGINS.match(text):
            self.begins(connection)
        if all(map(_only_reads, text.split("; "))):
            return None
        self._changed.add(id(connection))
        what, _, on = text.partition(" ")
        return self.effect("source", what.upper(), on[:120])

    def begins(self, connection: object) -> None:
        """Forget what a connection has changed: another transaction begins."""
        self._changed.discard(id(connection))

    def committing(self, connection: object) -> AbstractContextManager[None] | None:
        """Return the effect that a COMMIT is, if there is something to commit."""
        if id(connection) not in self._changed:
            return None
        self._changed.discard(id(connection))
        return self.effect("source", "COMMIT", "")

    def _reach(self, moment: Moment) -> None:
        kill, current = self._kill, self.current
        if kill is None or current is None or kill.moment != moment or kill.what not in (None, current.what):
            return
        if kill.number == self._number[kill.what] - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, effect: Effect) -> None:
        os.write(self._out, (json.dumps(asdict(effect)) + "\n").encode())


def _only_reads(statement: str) -> bool:
    return bool(_EXPLAINS.match(statement) or (_READS.match(statement) and not _CHANGES.search(statement)))


# Of a call: the effect that it is, if it is one, and the arguments to call it with.
EffectOf: TypeAlias = Callable[..., tuple[AbstractContextManager[None] | None, Any]]


def wrap(owner: Any, name: str, effect_of: EffectOf) -> None:
    """Have a function, or a method of a class, be called inside of the effect that it is, if it is one.

    For good: to be done in a process of its own.
    """
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        effect, arguments = effect_of(*arguments)
        with effect or nothing():
            return original(*arguments, **options)

    setattr(owner, name, call)


@contextmanager
def nothing() -> Iterator[None]:
    """Be no effect."""
    yield
