"""The options that all commands have, and how a command is made."""

import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from tidegate.boundary import BoundedCommand
from tidegate.show.output import DEFAULT_CONFIG, Output


def command(name: str, summary: str, *, examples: Sequence[str]) -> Callable[[Callable[..., None]], BoundedCommand]:
    """Make a command of a function that takes `Output`, the configuration's folder, and its own parameters."""

    def make(function: Callable[..., None]) -> BoundedCommand:
        @functools.wraps(function)
        def run(*, config: str, as_json: bool, verbose: bool, **parameters: Any) -> None:
            # Whatever else may print, a gate's module say: standard output belongs to the JSON object.
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
                function(Output(as_json, verbose, config), Path(config), **parameters)

        for option in _COMMON:
            run = option(run)
        return click.command(
            name,
            cls=BoundedCommand,
            short_help=summary,
            examples=examples,
            context_settings={"help_option_names": ["-h", "--help"]},
        )(run)

    return make


_COMMON = (
    click.option("-v", "--verbose", is_flag=True, help="Show log lines, and tracebacks of errors."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines."),
    click.option(
        "--config",
        metavar="DIR",
        default=DEFAULT_CONFIG,
        show_default=True,
        help="Folder of the project's configuration.",
    ),
)
