"""The partitions of a table, and how one is taken out and dropped; a database without them refuses."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.column_plan import Column
from schemas.window import Window


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a table.

    Attributes:
        name: Its quoted name, as a table of its own.
        window: The times that it holds; None if they have no beginning or no end.
        bound: What makes it this partition, in the words of the database.
    """

    name: str
    window: Window | None
    bound: str


class TakenOut(Protocol):
    """A partition that is a table of its own for the moment."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold it against everybody: what is counted in this block is what `drop` drops. Commits at the end."""
        ...

    def drop(self) -> None:
        """Drop it, to be called in a `locked` block."""
        ...


class Partitions(Protocol):
    """The partitions of a job's table."""

    def listed(self) -> list[Partition]:
        """Return all of them, by name."""
        ...

    def holding(self, window: Window) -> Partition | None:
        """Return the partition with exactly these bounds, or None if there is none any more."""
        ...

    def take_back(self) -> list[str]:
        """Attach again what a run that died had taken out of the table, and return its names."""
        ...

    def write_digests(self, partition: Partition, columns: tuple[Column, ...], target: Path) -> int:
        """Write the first 16 hex digits of each row's MD5, a line each, and return how many rows were counted."""
        ...

    def taken_out(self, partition: Partition) -> AbstractContextManager[TakenOut]:
        """Take a partition out of its table for as long as the block lives; unless it was dropped, it goes back."""
        ...
