"""A job: all that is needed to export, prove and purge the windows of one archive, on whatever machine."""

from pydantic import BaseModel, ConfigDict

from schemas.column_plan import Column
from schemas.config import Archive
from schemas.hold import ReadHold, holds_digest
from schemas.reading import Reading
from schemas.table import Table


class Parent(BaseModel):
    """What a child's rows belong to: a row of another table, whose time and scope are also theirs.

    Attributes:
        table: The parent's table.
        time: Its time column.
        key: Its key, in the order of `foreign_key`.
        foreign_key: The child's columns that name a row of the parent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Table
    time: Column
    key: tuple[str, ...]
    foreign_key: tuple[str, ...]


class Job(Reading):
    """An archive's configuration, checked against its table.

    Attributes:
        parent: Of a child's job: `where` of the archive is the parent's, and so are the windows.
        children: Jobs of the tables whose rows leave together with the rows that they belong to.
        holds: The archive's legal holds, which cover rows of its own table.
    """

    archive: Archive
    parent: Parent | None = None
    children: "tuple[Job, ...]" = ()
    holds: tuple[ReadHold, ...] = ()

    @property
    def label(self) -> str:
        """Where the configuration says it, for errors."""
        return f"archives[{self.archive.name}]"

    @property
    def source_name(self) -> str:
        """The source's name in `sources.yaml`."""
        return self.archive.source

    @property
    def where(self) -> str | None:
        """The operator's predicate; a child's is its parent's, and speaks of the parent's columns."""
        return None if self.parent else self.archive.where

    @property
    def with_children(self) -> bool:
        """Whether rows of other tables leave together with the rows that they belong to."""
        return bool(self.archive.children)

    @property
    def dataset(self) -> str:
        """The archive's folder in the lake."""
        return self.archive.resolved_folder

    @property
    def family(self) -> "tuple[Job, ...]":
        """This job and those of its children."""
        return (self, *self.children)

    def of_dataset(self, dataset: str) -> "Job":
        """Return the member of the family whose rows are in that dataset."""
        return next(member for member in self.family if member.dataset == dataset)

    @property
    def holds_digest(self) -> str | None:
        """What tells these holds from others, or None if there are none."""
        return holds_digest(self.archive.holds)

    @property
    def time(self) -> Column:
        """The column that windows slice."""
        return next(c for c in self.columns if c.name == self.archive.time_column)
