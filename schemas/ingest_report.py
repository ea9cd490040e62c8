"""What an ingestion did, table by table: the form that people and `--json` get."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.errors import TidegateError
from schemas.exit_codes import gravest


class TableState(StrEnum):
    """What became of a table in a run."""

    PLANNED = "planned"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class FileState(StrEnum):
    """What became of a file in a run."""

    PLANNED = "planned"
    DONE = "done"
    FAILED = "failed"
    DUPLICATE = "duplicate"  # the same content is in the lake already, under another name
    UNFINISHED = "unfinished"  # it is still being written


class FileReport(BaseModel):
    """What a run did with one file.

    Attributes:
        path: Relative to where the source looks for files.
        read: Records in it.
        rows: Rows of it that are new in the lake.
        bytes: Of the files in the lake; of a file that was not read, its own.
        known: Whether it failed in an earlier run, and was left alone in this one.
        note: What there is to say of it that is no error: whose duplicate it is, what it was moved to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    state: FileState
    read: int = 0
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None
    exit_code: int = 0
    known: bool = False
    note: str = ""


class TableReport(BaseModel):
    """What a run did with one table; counts are of this run.

    Attributes:
        source: The source's name.
        table: The table's folder in the source's.
        dataset: Where it lies in the lake.
        mode: `full` or `incremental`.
        since: From where on rows were read, or None if from the beginning.
        read: Rows that were read.
        rows: Rows of these that are new in the lake.
        watermark: Where the next incremental run goes on.
        quarantined: Rows that the gate put aside.
        drift: What changed in the table's columns, in words.
        files: Of a table that is made of files: those that this run looked at closer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    table: str
    dataset: str
    state: TableState
    mode: str = ""
    since: str | None = None
    read: int = 0
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    watermark: str | None = None
    schema_version: int = 0
    drift: tuple[str, ...] = ()
    manifest: str | None = None
    files: tuple[FileReport, ...] = ()
    error: str | None = None
    exit_code: int = 0


class IngestReport(BaseModel):
    """What a run did.

    Attributes:
        state: `done`, `failed` if a table failed, or `planned` after a dry run.
        disabled: Sources that were left out, as they are not enabled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    run_id: str
    tables: tuple[TableReport, ...] = ()
    disabled: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command line exits with: that of the gravest error, 0 without any."""
        return gravest(table.exit_code for table in self.tables)

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all tables."""
        return {
            name: sum(getattr(table, name) for table in self.tables)
            for name in ("read", "rows", "quarantined", "bytes")
        }

    def as_json(self) -> dict[str, Any]:
        """Return the documented form, `totals` included."""
        body = self.model_dump(mode="json")
        tables = body.pop("tables")
        return {**body, "exit_code": self.exit_code, "totals": self.totals, "tables": tables}


class IngestFailed(TidegateError):
    """Some tables of a run failed; the others are done. Carries the report of all of them."""

    def __init__(self, report: IngestReport) -> None:
        failed = [table for table in report.tables if table.state is TableState.FAILED]
        super().__init__(
            "\n".join(f"{table.source}, {table.table}: {table.error}" for table in failed),
            state=f"{len(failed)} of {len(report.tables)} tables failed; what the others read is in the lake.",
            next_step="The same command reads them again; what is in the lake is not stored twice.",
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return IngestFailed, (self.report,)
