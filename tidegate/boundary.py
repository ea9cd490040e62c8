"""Where errors become exit codes: the edge between the house and whoever called it.

0 done, 2 bad usage or configuration, 3 proof failed and nothing deleted, 1 anything else. With `--json` an error is
the one JSON object on standard output. No secret and, without `--verbose`, no traceback leaves here.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from tidegate.redaction import redacted
from tidegate.show.output import print_json, styled_console

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


class BoundedCommand(click.Command):
    """A command with examples, whose errors end as exit codes also when it is run by itself."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are to be typed."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")

    def main(  # type: ignore[override]  # it always exits: whoever wants the value calls the function
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run it and exit."""
        sys.exit(_exit_code(super().main, args, prog_name))


class BoundedGroup(click.Group):
    """A group whose errors, and those of its commands, end as exit codes."""

    def main(  # type: ignore[override]  # it always exits: whoever wants the value calls the function
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command and exit."""
        sys.exit(_exit_code(super().main, args, prog_name))


@dataclass(frozen=True, slots=True)
class _Failure:
    """What went wrong, in the form in which it is told; `body` is what was done nevertheless."""

    exit_code: int
    kind: str
    what: str
    state: str = ""
    next_step: str = ""
    body: dict[str, Any] | None = None


def _exit_code(run: Callable[..., Any], args: Sequence[str] | None, prog_name: str | None) -> int:
    given = list(sys.argv[1:] if args is None else args)
    as_json, verbose = "--json" in given, bool({"-v", "--verbose"} & set(given))
    try:
        return int(run(given, prog_name=prog_name, standalone_mode=False) or 0)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; Python would complain about it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.ClickException as error:
        if not as_json:
            error.show()
            return error.exit_code
        context = getattr(error, "ctx", None)
        help_command = f"{context.command_path} --help" if context else ""
        failure = _Failure(error.exit_code, "UsageError", error.format_message(), next_step=help_command)
    except (KeyboardInterrupt, click.Abort):
        failure = _Failure(
            INTERRUPTED,
            "Interrupted",
            "Stopped by SIGINT.",
            "What was committed and deleted so far is recorded; readers see nothing half-done.",
            "Run the same command again; it goes on from there.",
        )
    except Exception as error:  # noqa: BLE001 (the last place where it can be told without a traceback)
        failure = _failure_of(error)
        if verbose:
            sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    _tell(failure, as_json)
    return failure.exit_code


def _failure_of(error: Exception) -> _Failure:
    from schemas.errors import TidegateError

    if not isinstance(error, TidegateError):
        again = "Run it again with --verbose to see where this comes from."
        return _Failure(1, "Unexpected", f"{type(error).__name__}: {error}", next_step=again)
    report = getattr(error, "report", None)
    return _Failure(
        getattr(report, "exit_code", 0) or error.exit_code,
        type(error).__name__,
        error.what,
        error.state,
        error.next_step,
        report.as_json() if report is not None else None,
    )


def _tell(failure: _Failure, as_json: bool) -> None:
    what, state, next_step = (redacted(text) for text in (failure.what, failure.state, failure.next_step))
    if as_json:
        error = {"type": failure.kind, "what": what, "state": state, "next": next_step, "exit_code": failure.exit_code}
        print_json({**(failure.body or {}), "error": error})
        return
    console = styled_console(sys.stderr)
    console.print(what, style="bold red")
    for label, text in (("State: ", state), ("Next: ", next_step)):
        if text:
            console.print(label, style="bold", end="")
            console.print(text)
