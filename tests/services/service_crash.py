"""An archiver that dies at one of its effects, without a process of its own: quick enough for thousands of schedules.

What a killed process can no longer do is refused from that moment on: nothing is stored, put, deleted or committed,
and its connections are closed, upon which the server rolls back. Only its scratch folders are cleaned up, which a
real SIGKILL leaves behind: `test_kill_at_every_effect.py` sends those.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import psycopg

from blocks.local_lake import LocalLake

_CHANGES = ("DELETE", "INSERT", "UPDATE", "COPY")


class Crash(BaseException):
    """The process is dead. No `except Exception` of the code under test sees it."""


class Effects:
    """Counts effects and lets no more happen than it was given.

    Attributes:
        done: Effects that have happened.
        crashed: Whether one was refused: from then on, all are.
    """

    def __init__(self, allowed: int | None) -> None:
        self._allowed = float("inf") if allowed is None else allowed
        self.done = 0
        self.crashed = False

    def _have(self) -> None:
        if self.crashed or self.done >= self._allowed:
            self.crashed = True
            raise Crash
        self.done += 1

    def counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as one effect."""

        def method(*arguments: Any, **options: Any) -> Any:
            self._have()
            return original(*arguments, **options)

        return method

    def statement(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return `Cursor.execute` or `Cursor.copy`, an effect if it changes rows."""

        def execute(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any, **options: Any) -> Any:
            text = query.as_string() if hasattr(query, "as_string") else str(query)
            if text.lstrip().upper().startswith(_CHANGES):
                self._have()
            return original(cursor, query, *arguments, **options)

        return execute

    def transaction(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return `Connection.transaction`, of which the COMMIT is an effect."""

        @contextmanager
        def begin(connection: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Iterator[Any]:
            with original(connection, *arguments, **options) as opened:
                yield opened
                self._have()

        return begin


@contextmanager
def dying_after(effects: int | None) -> Iterator[Effects]:
    """Let so many effects on source and lake happen (all, if None), and end the block at the next one."""
    counter = Effects(effects)
    with (
        suppress(Crash),
        patch.object(psycopg.Cursor, "execute", counter.statement(psycopg.Cursor.execute)),
        patch.object(psycopg.Cursor, "copy", counter.statement(psycopg.Cursor.copy)),
        patch.object(psycopg.Connection, "transaction", counter.transaction(psycopg.Connection.transaction)),
        patch.object(LocalLake, "store", counter.counted(LocalLake.store)),
        patch.object(LocalLake, "put_if_absent", counter.counted(LocalLake.put_if_absent)),
        patch.object(LocalLake, "delete", counter.counted(LocalLake.delete)),
    ):
        yield counter
