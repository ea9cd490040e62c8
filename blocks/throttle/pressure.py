"""What a database can say of the load that work puts on it. Each dialect has its own; one that can say nothing, this.

For other dialects: `unsupported` refuses the limits that they cannot keep, before anything is read.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from blocks.throttle.brake import Brake, Stopped
from blocks.throttle.lock_watch import CountWaiting
from schemas.errors import ConfigError
from schemas.throttle_options import ThrottleOptions

# The limits that a database has to be asked for.
ASKED_OF_THE_DATABASE = (
    "max_replica_lag_s",
    "max_unarchived_wal_files",
    "max_lock_waits",
    "max_active_sessions",
    "max_dead_tuples",
    "vacuum",
)


class Pressure(Protocol):
    """The load on the database of one session and one table, as its options limit it."""

    def brakes(self) -> Sequence[Brake]:
        """Return the brakes that the options ask for."""
        ...

    def lock_waits(self) -> AbstractContextManager[CountWaiting]:
        """Open a connection of its own, and give what counts the sessions that wait for the session's locks."""
        ...

    def vacuum(self, stopped: Stopped) -> None:
        """Clean up after what was deleted, until it is done or the work is stopped."""
        ...


class NoPressure:
    """A database that can say nothing of its load."""

    def brakes(self) -> Sequence[Brake]:
        """Return none."""
        return ()

    def lock_waits(self) -> AbstractContextManager[CountWaiting]:
        """Refuse: there is nobody to ask. `unsupported` has said so before any work began.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "purge.max_lock_waits: this kind of database cannot say who waits for locks.",
            next_step="Leave max_lock_waits out of archives.yaml.",
        )

    def vacuum(self, stopped: Stopped) -> None:
        """There is nothing to clean up."""


def unsupported(
    options: ThrottleOptions, database: str, where: str, *, supported: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the limits that the options ask for and that this kind of database cannot keep, and what to do.

    Args:
        options: The options.
        database: Such as `SQLite`.
        where: The options' place in the configuration.
        supported: The limits that it can keep.
    """
    for name in ASKED_OF_THE_DATABASE:
        if name not in supported and getattr(options, name) not in (None, "none"):
            yield f"{where}.{name}: {database} cannot say that.", f"Leave {name} out of archives.yaml."
