"""What a pipeline reads: for each dataset the generations that make it up, looked at once for the whole build."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import duckdb

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from schemas.column_plan import quote_identifier
from tasks.build.shape import Shape
from tasks.build.sql_text import view_of
from tasks.current_state import current_state
from tasks.versions import Versions


@dataclass(frozen=True, slots=True)
class Input:
    """A dataset as it was when the build looked at it.

    Attributes:
        dataset: Its name in the lake.
        generations: All that exist, oldest first.
    """

    lake: Lake
    dataset: str
    generations: tuple[Generation, ...]

    @property
    def current(self) -> list[Generation]:
        """The generations that make it up now, oldest first. What is older says nothing of its columns."""
        return current_state(self.generations)

    @property
    def manifests(self) -> tuple[str, ...]:
        """What makes it up now, oldest first: paths of manifests, and what was removed of their files on purpose."""
        return tuple(_state(generation) for generation in self.current)

    @property
    def shape(self) -> Shape:
        """Its columns."""
        return Shape.of_dataset(self.dataset, Versions(self.lake, self.current).columns)

    def rows(self, only: Collection[str] | None = None) -> int:
        """Return how many rows are read of it, of some of `manifests` only if they are given."""
        return sum(g.manifest.attestation.rows for g in self.current if only is None or _state(g) in only)

    def sql(self, only: Collection[str] | None = None, *, every_version: bool = False) -> str:
        """Return SQL for its rows.

        Args:
            only: Some of `manifests`; by default all that make it up.
            every_version: Also rows whose key came again later, with their earlier values.
        """
        if only is None and not every_version:
            return Versions(self.lake, self.current).newest()
        chosen = [g for g in self.current if only is None or _state(g) in only]
        return Versions(self.lake, chosen).every()


def _state(generation: Generation) -> str:
    path = generation.manifest.path
    if not generation.removed:
        return path
    gone = hashlib.sha256("\n".join(sorted(generation.removed)).encode()).hexdigest()
    return f"{path} without {gone[:16]}"


def read_input(lake: Lake, dataset: str) -> Input | None:
    """Return a dataset as it is now, or None if the lake has none of that name.

    Raises:
        ProofFailed: A record of it is damaged.
    """
    found = tuple(g for g in Ledger(lake, dataset).generations() if g.manifest.dataset == dataset)
    return Input(lake, dataset, found) if found else None


def create_view(connection: duckdb.DuckDBPyConnection, dataset: str, sql: str) -> str:
    """Create a dataset's view, in the schema of its folders, and return its name."""
    folders = dataset.rpartition("/")[0]
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS memory.{quote_identifier(folders or 'main')}")
    connection.execute(f"CREATE OR REPLACE VIEW {view_of(dataset)} AS {sql}")
    return view_of(dataset)


def create_empty_views(connection: duckdb.DuckDBPyConnection, shapes: Iterable[tuple[str, Shape]]) -> None:
    """Create views of datasets that have their columns and no rows."""
    for dataset, shape in shapes:
        create_view(connection, dataset, shape.empty)
