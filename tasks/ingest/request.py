"""What one ingestion is asked to do: which table of which source, and how."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.any_source import AnySource, AnyTable
from schemas.project import Project

S = TypeVar("S", bound=AnySource)
T = TypeVar("T", bound=AnyTable)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest(Generic[S, T]):
    """A table of a source on its way into the raw layer.

    Attributes:
        run_id: Recorded in every row and in the manifest.
        full: Read it as a whole, whatever the configuration says.
        dry_run: Only find out what would be read.
    """

    project: Project
    source: S
    entry: T
    run_id: str
    full: bool = False
    dry_run: bool = False

    @property
    def dataset(self) -> str:
        """Where the table lies in the lake."""
        return self.source.raw_dataset(self.entry)  # type: ignore[arg-type]  # a source's own table

    @property
    def label(self) -> str:
        """Where the configuration says it, for errors."""
        return f"sources[{self.source.name}].tables[{self.entry.folder}]"
