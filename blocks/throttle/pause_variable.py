"""Holds work back while a Prefect Variable says so: what an operator can set from the UI, for all runs at once.

A thread of its own asks Prefect, so that a server that does not answer delays no stop request. As long as Prefect
cannot be asked, the work waits: the variable may say "pause".
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from blocks.throttle.brake import Wait

EVERY_S = 5.0
FIRST_ANSWER_S = 0.5  # for which the first look waits, so that a run in order has nothing to report
_GO = frozenset({"", "0", "false", "go", "no", "none", "off", "run"})

Read = Callable[[], Any]


class PauseVariable:
    """The newest value of the variable; None and words like "false", "no", "off" and "go" let the work go on."""

    every_s = 1.0  # between two looks at what the thread has read

    def __init__(self, name: str, read: Read, ask_every_s: float = EVERY_S) -> None:
        self._name, self._read, self._ask_every_s = name, read, ask_every_s
        self._ended, self._answered = threading.Event(), threading.Event()
        self._wait: Wait | None = Wait(
            "pause_variable_unread", f"Prefect has not said yet what the variable {name} is", {"variable": name}
        )

    def ask(self) -> None:
        """Ask Prefect once, and remember the answer."""
        name = self._name
        try:
            value = self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the work must neither crash nor go on unasked
            kind = type(error).__name__
            self._wait = Wait(
                "pause_variable_unread",
                f"Prefect cannot say what the variable {name} is ({kind})",
                {"variable": name, "error": kind},
            )
        else:
            held = str(value).strip().casefold() not in _GO
            self._wait = (
                Wait("pause_variable", f"the Prefect variable {name} is {value!r}", {"variable": name, "value": value})
                if held
                else None
            )
        self._answered.set()

    def look(self) -> Wait | None:
        """Return a wait if the variable holds the work back, or what it says is not known."""
        self._answered.wait(FIRST_ANSWER_S)
        return self._wait

    @contextmanager
    def watched(self) -> Iterator["PauseVariable"]:
        """Ask every few seconds for as long as the block lives."""

        def watch() -> None:
            while not self._ended.is_set():
                self.ask()
                self._ended.wait(self._ask_every_s)

        # A run's settings (which server to ask) are in the context of the thread that does the run.
        context = contextvars.copy_context()
        threading.Thread(target=lambda: context.run(watch), name=f"variable {self._name}", daemon=True).start()
        try:
            yield self
        finally:
            self._ended.set()  # not joined: it may be waiting for an answer of Prefect's


def prefect_variable(name: str) -> Read:
    """Return what reads a Prefect Variable; Prefect is imported when it is first read."""

    def read() -> Any:
        from prefect.variables import Variable

        return Variable.get(name)

    return read
