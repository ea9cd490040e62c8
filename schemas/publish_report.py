"""What a run of publishing did, table by table: the form that people and `--json` get."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.errors import TidegateError
from schemas.exit_codes import gravest


class PublishState(StrEnum):
    """What became of a table in a run."""

    PLANNED = "planned"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class PublishedReport(BaseModel):
    """What a run did with one table, or with one DuckDB file.

    Attributes:
        publication: The publication's name.
        target: Where it is published: `schema.table`, or the path of a file.
        dataset: What is published; "" if the target shows many datasets.
        action: `create`, `replace` or `upsert`: what was done, or would be.
        rows: Rows that the lake has; of a file, the number of its views.
        inserted: Rows that were new, with upsert.
        updated: Rows that were different, with upsert.
        equal: Rows that were there already as they are, with upsert.
        inputs: The datasets that it is made of.
        note: What else there is to know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication: str
    target: str
    dataset: str
    state: PublishState
    action: str = ""
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    equal: int = 0
    seconds: float = 0.0
    inputs: tuple[str, ...] = ()
    note: str = ""
    error: str | None = None
    exit_code: int = 0


class PublishReport(BaseModel):
    """What a run did.

    Attributes:
        state: `done`, `failed` if a table failed, or `planned` after a dry run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    run_id: str
    tables: tuple[PublishedReport, ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command line exits with: that of the gravest error, 0 without any."""
        return gravest(table.exit_code for table in self.tables)

    @property
    def totals(self) -> dict[str, int]:
        """How many tables there were, in all and of each state."""
        found = {state.value: sum(table.state is state for table in self.tables) for state in PublishState}
        return {"tables": len(self.tables), **found}

    def as_json(self) -> dict[str, Any]:
        """Return the documented form, `totals` included."""
        body = self.model_dump(mode="json")
        tables = body.pop("tables")
        return {**body, "exit_code": self.exit_code, "totals": self.totals, "tables": tables}


class PublishFailed(TidegateError):
    """Some tables of a run were not published; the others are. Carries the report of all of them."""

    def __init__(self, report: PublishReport) -> None:
        failed = [table for table in report.tables if table.state is PublishState.FAILED]
        super().__init__(
            "\n".join(f"{table.publication}, {table.target or table.dataset}: {table.error}" for table in failed),
            state=f"{len(failed)} of {len(report.tables)} tables failed and are as they were; the lake is untouched.",
            next_step="The same command publishes them again; what is published already is left as it is.",
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return PublishFailed, (self.report,)
