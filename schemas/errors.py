"""Errors that say what happened, what state the data is in, and what to run next.

Every error also says whether a retry can help. The command line turns them into exit codes, Prefect's
retry conditions ask `is_transient`, and nothing else in the house needs to know more.
"""

from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """Whether doing the same thing again can help."""

    TRANSIENT = "transient"  # the world was unwell: connection lost, deadlock, 503
    TERMINAL = "terminal"  # it will fail again until somebody changes something
    UNKNOWN = "unknown"  # it may or may not have happened; look before repeating


class TidegateError(Exception):
    """Base of all errors that Tidegate raises on purpose.

    Args:
        what: What happened, naming file, key, column, table or row. Never a secret.
        state: What state the data is in now.
        next_step: What to run or change next.
    """

    exit_code: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry.TERMINAL

    def __init__(self, what: str, *, state: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.state = state
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        if self.state:
            lines.append(f"State: {self.state}")
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.state, self.next_step)


def _rebuild(kind: type[TidegateError], what: str, state: str, next_step: str) -> TidegateError:
    return kind(what, state=state, next_step=next_step)


class ConfigError(TidegateError):
    """The configuration, or what it names (table, column, block, right), is wrong. Nothing was touched."""

    exit_code = 2


class DriftRefused(ConfigError):
    """The columns of a table have changed, and the configuration says to refuse that."""


class ProofFailed(TidegateError):
    """The lake does not hold what the source attested. Nothing was deleted on its account."""

    exit_code = 3


class GateFailed(ProofFailed):
    """Rows failed the gate and the job says `on_gate_failure: refuse`."""


class UnsupportedValue(ProofFailed):
    """A value cannot be kept exactly in the type its column is stored as."""


class SourceError(TidegateError):
    """The source database refused or failed, and would again."""


class SourceUnavailable(SourceError):
    """The source could not be reached, or the connection was lost. Trying again can help."""

    retry = Retry.TRANSIENT


class LakeError(TidegateError):
    """The lake refused or failed, and would again: denied, missing bucket, disk full."""


class LakeUnavailable(LakeError):
    """The lake could not be reached or was overloaded (429, 5xx, time-out). Trying again can help."""

    retry = Retry.TRANSIENT


class Busy(TidegateError):
    """Another archiver holds the table."""


class Interrupted(TidegateError):
    """A signal or a stop file ended the work between two batches."""


def is_transient(error: BaseException) -> bool:
    """Return whether trying again can help, as far as `error` tells."""
    return isinstance(error, TidegateError) and error.retry is Retry.TRANSIENT
