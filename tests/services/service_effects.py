"""Records the effects of a run on the source and on the lake, in order, and kills the process at one of them.

An effect is a call that may change something that outlives the process: a statement that is not known to read only,
a COMMIT of such statements, an archiver's lock, and what stores, puts or deletes in the lake. The run log's records
go through the lake. To be installed in a process of its own: the classes stay as they are changed here.
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
from typing import Any, Literal, get_args

import psycopg

from blocks.lake_paths import PROBE_FOLDER
from blocks.local_lake import LocalLake

Moment = Literal["before", "middle", "after"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)

# Everything that a lake does is one or the other; a test finds what is new.
LAKE_EFFECTS = frozenset({"store", "put_if_absent", "delete"})
LAKE_READS = frozenset(
    {"attach", "check", "duckdb_path", "fetch", "find", "folder", "list", "read", "read_many", "scratch", "url"}
)
_READS = re.compile(r"(SELECT|WITH|SET|RESET|SHOW|BEGIN|START|ROLLBACK|EXPLAIN(?! ANALYZE|\s*\())\b", re.IGNORECASE)
_LOCKS = re.compile(r"\bpg_(try_)?advisory_(xact_)?lock", re.IGNORECASE)
_CHANGES = re.compile(
    r"\bFOR (NO KEY )?(UPDATE|KEY SHARE|SHARE)\b|\b(INSERT INTO|DELETE FROM|UPDATE \S+ SET|MERGE INTO)\b"
    r"|\b(next|set)val\b",
    re.IGNORECASE,
)


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
        return self.what != "lock" and not self.on.startswith(PROBE_FOLDER)


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


def record_effects(file: Path, kill: Kill | None = None) -> None:
    """Record the effects of this process in a file, from here on, and die where told."""
    _Recorder(file, kill).install()


class _Recorder:
    def __init__(self, file: Path, kill: Kill | None) -> None:
        self._out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill = kill
        self._number: Counter[str | None] = Counter()
        self._current: Effect | None = None
        self._halved = 0
        self._changed: set[int] = set()  # connections with a transaction that changed something

    def install(self) -> None:
        for name in LAKE_EFFECTS:
            _wrap(LocalLake, name, functools.partial(self._in_lake, name))
        # psycopg.RawCursor, of which Tidegate's cursors are, inherits these.
        _wrap(psycopg.Cursor, "execute", self._statement)
        _wrap(psycopg.Cursor, "executemany", self._statement)
        _wrap(psycopg.Connection, "commit", self._commit)
        self._wrap_copy()
        self._wrap_transaction()
        for name in ("link", "unlink"):
            self._wrap_halves(name)

    @contextmanager
    def _effect(self, place: str, what: str, on: str) -> Iterator[None]:
        self._number.update([None, what])
        self._current, self._halved = Effect(place, what, on), 0
        self._say(self._current)
        self._reach("before")
        yield
        self._reach("after")
        self._current = None

    def _reach(self, moment: Moment) -> None:
        kill, current = self._kill, self._current
        if kill is None or current is None or kill.moment != moment or kill.what not in (None, current.what):
            return
        if kill.number == self._number[kill.what] - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, effect: Effect) -> None:
        os.write(self._out, (json.dumps(asdict(effect)) + "\n").encode())

    def _in_lake(self, what: str, lake: LocalLake, *arguments: Any) -> tuple[AbstractContextManager[None] | None, Any]:
        if what != "delete":
            return self._effect("lake", what, arguments[1 if what == "store" else 0]), arguments
        paths = list(arguments[0])
        return self._effect("lake", what, ", ".join(paths)) if paths else None, (paths,)

    def _statement(
        self, cursor: psycopg.Cursor[Any], query: Any, *arguments: Any
    ) -> tuple[AbstractContextManager[None] | None, Any]:
        text = query.as_string() if hasattr(query, "as_string") else query
        text = " ".join((text.decode() if isinstance(text, bytes) else text).split())
        arguments = (query, *arguments)
        if _LOCKS.search(text):
            return self._effect("source", "lock", text), arguments
        if all(_READS.match(part) and not _CHANGES.search(part) for part in text.split("; ")):
            return None, arguments
        self._changed.add(id(cursor.connection))
        what, _, on = text.partition(" ")
        return self._effect("source", what.upper(), on[:120]), arguments

    def _commit(self, connection: psycopg.Connection[Any]) -> tuple[AbstractContextManager[None] | None, Any]:
        return self._committing(connection), ()

    def _committing(self, connection: psycopg.Connection[Any]) -> AbstractContextManager[None] | None:
        if id(connection) not in self._changed:
            return None
        self._changed.discard(id(connection))
        return self._effect("source", "COMMIT", "")

    def _wrap_copy(self) -> None:
        original = psycopg.Cursor.copy

        @contextmanager
        def copy(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
            effect, _ = self._statement(cursor, query)
            with effect or _nothing(), original(cursor, query, *arguments, **options) as copied:
                yield copied

        psycopg.Cursor.copy = copy  # type: ignore[method-assign, assignment]

    def _wrap_transaction(self) -> None:
        original = psycopg.Connection.transaction

        @contextmanager
        def transaction(
            connection: psycopg.Connection[Any], *arguments: Any, **options: Any
        ) -> Iterator[psycopg.Transaction]:
            self._changed.discard(id(connection))
            opened = original(connection, *arguments, **options)
            inner = opened.__enter__()
            try:
                yield inner
            except BaseException as error:
                if not opened.__exit__(type(error), error, error.__traceback__):
                    raise
            else:
                with self._committing(connection) or _nothing():
                    opened.__exit__(None, None, None)

        psycopg.Connection.transaction = transaction  # type: ignore[method-assign]

    def _wrap_halves(self, name: str) -> None:
        """A file is about to get its name, or the second of several paths is about to be deleted."""
        original = getattr(os, name)
        first = {"link": 1, "unlink": 2}[name]

        @functools.wraps(original)
        def call(*arguments: Any, **options: Any) -> None:
            current = self._current
            if current is not None and (current.what == "delete") == (name == "unlink"):
                self._halved += 1
                if self._halved == first:
                    self._say(Effect(current.place, current.what, current.on, halves=True))
                    self._reach("middle")
            original(*arguments, **options)

        setattr(os, name, call)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _wrap(owner: type, name: str, effect_of: Callable[..., tuple[AbstractContextManager[None] | None, Any]]) -> None:
    """Have a method be called inside of the effect that it is, if it is one."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        effect, arguments = effect_of(self, *arguments)
        with effect or _nothing():
            return original(self, *arguments, **options)

    setattr(owner, name, call)
