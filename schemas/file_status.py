"""What became of the files of sources: the state of each, and the record that takes failures back."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from schemas.record import Record


class FileStatus(StrEnum):
    """Whether a file is in the lake."""

    PENDING = "pending"  # the next run reads it
    DONE = "done"
    FAILED = "failed"  # it is not tried again until it, or the configuration, changes, or somebody says so


class StatusOfFile(BaseModel):
    """What is known of a file, as it is now or was last.

    Attributes:
        source: Name of the source.
        table: The table's folder in the source's.
        path: Relative to where the source looks for files.
        rows: Rows of it that are in the lake.
        size_bytes: Of the file.
        seconds: How long reading it took, the last time.
        attempts: How often it was read, in this version of it.
        at: When it was read last, or when it was written if it is pending.
        error: Why it failed; of a file that is done, why it could not be moved or deleted.
        note: What there is to say besides: that it is tried again anyway, whose duplicate it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    table: str
    path: str
    status: FileStatus
    rows: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    attempts: int = 0
    at: datetime | None = None
    error: str | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return self.model_dump(mode="json")


class FileVersion(BaseModel):
    """A version of a file that failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    version: str


class FileRetry(Record):
    """Somebody wants files tried again that failed: failures of these versions before that moment do not count."""

    kind: ClassVar[str] = "file-retry"

    id: str
    dataset: str
    at: datetime
    files: tuple[FileVersion, ...]
