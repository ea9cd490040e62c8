"""What was tried, and what came of it: one line of `tidegate check`."""

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from schemas.errors import ConfigError, TidegateError


@dataclass(frozen=True, slots=True)
class Checked:
    """A thing that the configuration names, and whether it is as it should be.

    Attributes:
        subject: What: `source shop`, `pipeline orders`.
        found: What there is; or what is wrong, and where.
        ok: Whether it is as it should be.
        next_step: What to do about it.
        in_config: Whether what is wrong is the configuration, or what it names.
        seconds: How long it took to find out.
        trace: Where in the program it went wrong, if that was not foreseen.
    """

    subject: str
    found: str
    ok: bool = True
    next_step: str = ""
    in_config: bool = False
    seconds: float = 0.0
    trace: str = ""

    def redacted(self, redacted: Callable[[str], str]) -> "Checked":
        """Return it with its texts as `redacted` makes them, for people to see."""
        return replace(self, found=redacted(self.found), next_step=redacted(self.next_step), trace=redacted(self.trace))

    def as_json(self) -> dict[str, Any]:
        """Return it as the values of a JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "trace"}


@dataclass(frozen=True, slots=True)
class Check:
    """Something to be tried.

    Attributes:
        subject: What.
        work: Tries it, and returns what there is in a few words; raises a `TidegateError` if it is not as it should be.
        connects: Whether it asks something outside of this machine's configuration.
    """

    subject: str
    work: Callable[[], str]
    connects: bool = False

    def run(self) -> Checked:
        """Try it. Whatever goes wrong is what was found: one that fails keeps no other from being tried."""
        began = time.monotonic()
        try:
            result = Checked(self.subject, self.work())
        except TidegateError as error:
            result = Checked(self.subject, error.what, False, error.next_step, isinstance(error, ConfigError))
        except Exception as error:  # noqa: BLE001 - a fault of ours, or of a library; it is told, and fails the command
            again = "This is not foreseen: run it again with --verbose, and report it."
            told = f"{type(error).__name__}: {error}"
            result = Checked(self.subject, told, False, again, trace="".join(traceback.format_exception(error)))
        seconds = round(time.monotonic() - began, 3)
        return replace(result, seconds=seconds)
