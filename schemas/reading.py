"""What reading a table needs: which one, which columns of it, and what tells its rows apart."""

from abc import ABC, abstractmethod
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from schemas.column_plan import Column
from schemas.config import Settings
from schemas.table import Table

BATCH_BYTES = 16 * 2**20


class Reading(BaseModel, ABC):
    """A table that is to be read into the lake, checked against its database; one window of it, or all of it.

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
    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    average_row_bytes: int = 0
    gate_digest: str | None = None

    def rows_at_once(self, most: int) -> int:
        """Return how many rows travel at once: as many as are some megabytes, and not more than `most`."""
        return max(64, min(most, BATCH_BYTES // max(1, self.average_row_bytes)))

    @property
    @abstractmethod
    def label(self) -> str:
        """Where the configuration says it, for errors."""

    @property
    @abstractmethod
    def source_name(self) -> str:
        """The source's name in `sources.yaml`."""

    @property
    def where(self) -> str | None:
        """The operator's predicate of the rows in scope, or None."""
        return None

    @property
    def with_children(self) -> bool:
        """Whether rows of other tables are to be read in the same snapshot."""
        return False

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of window and partition boundaries."""
        return self.settings.zone

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns, in the key's order."""
        return tuple(next(c for c in self.columns if c.name == name) for name in self.key)
