"""The run log: one record for each table, file, pipeline or publication that a run worked on, whatever became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.record import Record

JobKind = Literal["ingest", "build", "publish"]
RunState = Literal["done", "unchanged", "failed"]
CheckState = Literal["passed", "warned", "quarantined", "refused"]


class CheckResult(BaseModel):
    """What a quality check found.

    Attributes:
        check: The check in words: `not_null(customer_id)`.
        checked: Rows that it looked at.
        failed: Rows of these that it found wrong.
        examples: Some of the values that it found wrong, as text.
        message: What it found, in words, if there was something.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    severity: Literal["error", "warn"]
    state: CheckState
    checked: int = Field(ge=0)
    failed: int = Field(ge=0)
    examples: tuple[str, ...] = ()
    message: str = ""


class ColumnStatistics(BaseModel):
    """What a build found in a column. `distinct` is an estimate; minimum and maximum are text, cut if it is long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    type: str
    nulls: int = Field(ge=0)
    distinct: int = Field(ge=0)
    minimum: str | None = None
    maximum: str | None = None


class RunRecord(Record):
    """What a run did with one thing. It is written once, at the end, also if it failed.

    Attributes:
        id: Of this record; compacted records keep it.
        run_id: Of the run, which may have worked on many things.
        name: What was worked on: `source.table`, a pipeline, a publication.
        dataset: Where it lies in the lake, if it lies there.
        read: Rows that were read.
        rows: Rows that are new there.
        file: The file that was read, relative to where its source looks for files; or None.
        file_version: What tells that file from a later one under its name.
        definition: Of a file that failed: SHA-256 of what the configuration said of its table. It is tried again if
            that changes. None if it is tried again anyway.
        manifest: Path of the manifest that was committed; of a file that brought nothing new, of the one that has it.
        inputs: Datasets that were read.
        lineage: For each column that was built, the columns (`dataset.column`) it was made of, where that is known.
    """

    kind: ClassVar[str] = "run"

    id: str
    run_id: str
    job: JobKind
    name: str
    dataset: str | None = None
    state: RunState
    started_at: datetime
    seconds: float = Field(ge=0)
    read: int = 0
    rows: int = 0
    bytes: int = 0
    quarantined: int = 0
    file: str | None = None
    file_version: str | None = None
    definition: str | None = None
    error: str | None = None
    manifest: str | None = None
    inputs: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    statistics: tuple[ColumnStatistics, ...] = ()
    lineage: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
