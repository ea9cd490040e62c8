"""A job: all that is needed to export, prove and purge the windows of one archive, on whatever machine."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from schemas.column_plan import Column
from schemas.config import Archive, Settings
from schemas.hold import ReadHold, holds_digest
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


class Job(BaseModel):
    """An archive's configuration, checked against its table.

    Holds no secret: the source is named, and its connection is looked up in `config_dir` where it is used.

    Attributes:
        columns: What is stored, in order: the table's columns without the excluded ones, then the derived ones.
        key: Names of the key's columns; () if there is none, and then nothing can be purged.
        average_row_bytes: A row's size as text, with out-of-line values, judged by a sample.
        gate_digest: SHA-256 of the gate's definition, or None without a gate.
        parent: Of a child's job: `where` of the archive is the parent's, and so are the windows.
        children: Jobs of the tables whose rows leave together with the rows that they belong to.
        holds: The archive's legal holds, which cover rows of its own table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config_dir: Path
    settings: Settings
    archive: Archive
    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    average_row_bytes: int = 0
    gate_digest: str | None = None
    parent: Parent | None = None
    children: "tuple[Job, ...]" = ()
    holds: tuple[ReadHold, ...] = ()

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
    def zone(self) -> ZoneInfo:
        """The time zone of window and partition boundaries."""
        return self.settings.zone

    @property
    def time(self) -> Column:
        """The column that windows slice."""
        return next(c for c in self.columns if c.name == self.archive.time_column)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns, in the key's order."""
        return tuple(next(c for c in self.columns if c.name == name) for name in self.key)
