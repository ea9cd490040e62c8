"""What the catalog says of the tables of a lake: the form that people and `--json` get."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from schemas.errors import ProofFailed
from schemas.run_record import CheckResult, JobKind, RunState

Layer = Literal["archive", "raw", "staging", "consume"]
Quality = Literal["none", "passed", "warned", "quarantined", "refused"]
NodeKind = Literal["source", "table", "publication"]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableSummary(_Said):
    """A table of the lake.

    Attributes:
        source: What it is made from, in words: `shop: mysql table customers`.
        rows: Rows that readers see now; with `rows_are: at_most` they may be fewer, as some of these may be older
            versions of others, which only reading their keys can tell.
        bytes: Size of the files of these rows.
        generations: Committed generations, those that do not count any more included.
        newest_data_at: The moment of the newest data: when it was read at its source, or built.
        checked_at: When a run last found that there was nothing newer, or stored it.
        last_run_state: How the last run ended. Archives have no run log: theirs is `done`.
        last_error: Why the last run failed.
        quality: The gravest of what the last checks found, and of whether rows that count now are quarantined.
        warned: Checks that warned.
        refused: Checks that refused the last build.
        quarantined: Rows put aside, of the generations that count now.
        damaged: What is wrong with its records; then nothing is known of its rows.
    """

    dataset: str
    layer: Layer
    source: str = ""
    rows: int = 0
    rows_are: Literal["exact", "at_most"] = "exact"
    bytes: int = 0
    generations: int = 0
    newest_data_at: datetime | None = None
    checked_at: datetime | None = None
    last_run_at: datetime | None = None
    last_run_state: RunState | None = None
    last_error: str | None = None
    quality: Quality = "none"
    warned: int = 0
    refused: int = 0
    quarantined: int = 0
    damaged: str | None = None


class OtherRuns(_Said):
    """The last run of something that is no table of the lake, such as a publication."""

    job: JobKind
    name: str
    last_run_at: datetime
    last_run_state: RunState
    rows: int
    last_error: str | None = None


class Catalog(_Said):
    """All tables of a lake.

    Attributes:
        damaged: What is wrong with records; what they said is missing from the rest.
    """

    lake: str
    tables: tuple[TableSummary, ...] = ()
    others: tuple[OtherRuns, ...] = ()
    damaged: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the documented form."""
        return self.model_dump(mode="json")


class ColumnSummary(_Said):
    """A column, and what the last build that looked found in it; None where nobody looked.

    Attributes:
        type: DuckDB's type, as which it is read.
        distinct: An estimate.
    """

    name: str
    type: str
    nulls: int | None = None
    null_share: float | None = None
    distinct: int | None = None
    minimum: str | None = None
    maximum: str | None = None


class SchemaVersion(_Said):
    """The columns that a table had from some generation on.

    Attributes:
        generations: How many generations have them, one after the other.
        columns: Type by name, in their order.
        changes: What is different from the version before, in words.
    """

    version: int
    since: datetime
    generations: int
    columns: Mapping[str, str]
    changes: tuple[str, ...] = ()


class RunSummary(_Said):
    """What a run did with a table."""

    run_id: str
    job: JobKind
    name: str
    file: str | None
    state: RunState
    started_at: datetime
    seconds: float
    read: int
    rows: int
    bytes: int
    quarantined: int
    error: str | None


class Node(_Said):
    """Something that rows come from or go to.

    Attributes:
        id: A dataset, `source:NAME:TABLE`, or `publication:NAME`.
        label: In words, for people.
        in_lake: Of a table: whether it is there.
    """

    id: str
    kind: NodeKind
    label: str
    in_lake: bool = True


class ColumnOrigin(_Said):
    """Columns that a column of a table is made of."""

    table: str
    column: str
    made_of: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the documented form."""
        made_of = [{"table": table, "column": column} for table, column in self.made_of]
        return {"table": self.table, "column": self.column, "made_of": made_of}


class TableDetails(_Said):
    """All that the records say of a table.

    Attributes:
        table: The summary; its rows were counted, where that was to be done.
        statistics_at: When the build ran that found the columns' statistics.
        statistics_rows: Rows that it built.
        checks_at: When the run was that made the checks.
        runs: The last ones, the newest first.
        upstream: Ids of what it is made from, directly.
        downstream: Ids of what is made from it, directly.
    """

    lake: str
    table: TableSummary
    key: tuple[str, ...]
    partition_by: tuple[str, ...]
    columns: tuple[ColumnSummary, ...]
    statistics_at: datetime | None
    statistics_rows: int | None
    schema_versions: tuple[SchemaVersion, ...]
    runs: tuple[RunSummary, ...]
    checks_at: datetime | None
    checks: tuple[CheckResult, ...]
    upstream: tuple[Node, ...]
    downstream: tuple[Node, ...]
    damaged: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the documented form: the summary's fields beside the others."""
        body = self.model_dump(mode="json")
        table = body.pop("table")
        return {"lake": body.pop("lake"), **table, **body}


class RecordsDamaged(ProofFailed):
    """Some records of the lake are damaged; the rest was shown. Carries the JSON form of that."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        damaged = body["damaged"]
        more = f"\nand {len(damaged) - 5} more" if len(damaged) > 5 else ""
        super().__init__(
            "\n".join(damaged[:5]) + more,
            state="All the rest is shown. What these records said is missing from it; no row is touched.",
            next_step="Restore these files from a backup or an older object version; tidegate verify reads the rows.",
        )

    @property
    def report(self) -> "RecordsDamaged":
        """What to print with `--json`."""
        return self

    def as_json(self) -> dict[str, Any]:
        """Return what could be shown."""
        return self.body

    def __reduce__(self) -> tuple[object, ...]:
        return RecordsDamaged, (self.body,)
