"""A job: all that is needed to export, prove and purge the windows of one archive, on whatever machine."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from schemas.column_plan import Column
from schemas.config import Archive, Settings
from schemas.table import Table


class Job(BaseModel):
    """An archive's configuration, checked against its table.

    Holds no secret: the source is named, and its connection is looked up in `config_dir` where it is used.

    Attributes:
        columns: What is stored, in order: the table's columns without the excluded ones, then the derived ones.
        key: Names of the key's columns; () if there is none, and then nothing can be purged.
        average_row_bytes: A row's size as text, with out-of-line values, judged by a sample.
        gate_digest: SHA-256 of the gate's definition, or None without a gate.
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

    @property
    def dataset(self) -> str:
        """The archive's folder in the lake."""
        return self.archive.resolved_folder

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
