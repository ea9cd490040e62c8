"""How commands speak: one JSON object for machines; text, and on a terminal colours, for people."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console

_NEVER_WRAPPED = 100_000


def styled_console(stream: TextIO) -> Console:
    """Return a console: colours and the width of the window on a terminal; elsewhere neither colours nor wrapping.

    Text is shown as it is: no markup, no emoji codes and no highlighting in what came out of a database.
    """
    width = None if stream.isatty() else _NEVER_WRAPPED
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def print_json(body: dict[str, Any]) -> None:
    """Write the one JSON object, in ASCII, so that no locale can spoil it."""
    stream = sys.__stdout__ or sys.stdout
    stream.write(json.dumps(body) + "\n")
    stream.flush()


@dataclass(frozen=True, slots=True)
class Output:
    """What the options of a command say about its output.

    Attributes:
        as_json: One JSON object on standard output, and nothing else there.
        verbose: Log lines also on a terminal, tracebacks, and what Prefect has to say.
        config: As it was given, to be repeated in what to run next.
    """

    as_json: bool
    verbose: bool
    config: str

    @property
    def console(self) -> Console:
        """Standard output."""
        return styled_console(sys.stdout)

    @property
    def messages(self) -> Console:
        """Standard error: progress, hints, log lines."""
        return styled_console(sys.stderr)

    @property
    def log_lines(self) -> bool:
        """Whether log lines are shown: there is nobody to look at bars, or somebody asked for them."""
        return self.verbose or not sys.stderr.isatty()

    def give(self, body: dict[str, Any], show: Callable[[Console], None]) -> None:
        """Give the result: as JSON, or as `show` shows it."""
        if self.as_json:
            print_json(body)
        else:
            show(self.console)

    def command(self, *words: str) -> str:
        """Return a command of Tidegate as it would be typed here."""
        import shlex

        config = [] if self.config == DEFAULT_CONFIG else ["--config", self.config]
        return shlex.join(["tidegate", *words, *config])


DEFAULT_CONFIG = "./config"
