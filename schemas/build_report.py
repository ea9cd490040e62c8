"""What a build did, pipeline by pipeline: the form that people and `--json` get."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.errors import GateFailed, TidegateError
from schemas.exit_codes import gravest
from schemas.run_record import CheckResult, ColumnStatistics


class PipelineState(StrEnum):
    """What became of a pipeline in a run."""

    PLANNED = "planned"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"  # what it reads could not be built


class PipelineReport(BaseModel):
    """What a run did with one pipeline; counts are of this run.

    Attributes:
        pipeline: Its name.
        dataset: What it builds.
        mode: `replace`, `merge` or `append`.
        inputs: Datasets that it reads.
        read: Rows that its inputs have, or of those that are new with mode append.
        rows: Rows that were stored.
        quarantined: Rows that its checks put aside.
        checks: What its checks found.
        sql: The query, after a dry run.
        manifest: Path of the manifest that was committed.
        note: What there is to say of it that is no error: why it was skipped, or built as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    dataset: str
    state: PipelineState
    mode: str = ""
    inputs: tuple[str, ...] = ()
    read: int = 0
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0
    seconds: float = 0.0
    checks: tuple[CheckResult, ...] = ()
    statistics: tuple[ColumnStatistics, ...] = ()
    lineage: dict[str, tuple[str, ...]] = {}
    sql: str | None = None
    manifest: str | None = None
    note: str = ""
    error: str | None = None
    exit_code: int = 0


class BuildReport(BaseModel):
    """What a run did.

    Attributes:
        state: `done`, `failed` if a pipeline failed, or `planned` after a dry run.
        disabled: Pipelines that were left out, as they are not enabled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    run_id: str
    pipelines: tuple[PipelineReport, ...] = ()
    disabled: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command line exits with: that of the gravest error, 0 without any."""
        return gravest(pipeline.exit_code for pipeline in self.pipelines)

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all pipelines."""
        return {
            name: sum(getattr(pipeline, name) for pipeline in self.pipelines)
            for name in ("read", "rows", "quarantined", "bytes")
        }

    def as_json(self) -> dict[str, Any]:
        """Return the documented form, `totals` included."""
        body = self.model_dump(mode="json")
        pipelines = body.pop("pipelines")
        return {**body, "exit_code": self.exit_code, "totals": self.totals, "pipelines": pipelines}


class ChecksRefused(GateFailed):
    """Quality checks refuse what a pipeline built; its table is as it was. Carries what all checks found."""

    def __init__(self, what: str, checks: tuple[CheckResult, ...], *, state: str = "", next_step: str = "") -> None:
        super().__init__(what, state=state, next_step=next_step)
        self.checks = checks

    def __reduce__(self) -> tuple[object, ...]:
        return _refused, (self.what, self.checks, self.state, self.next_step)


def _refused(what: str, checks: tuple[CheckResult, ...], state: str, next_step: str) -> ChecksRefused:
    return ChecksRefused(what, checks, state=state, next_step=next_step)


class BuildFailed(TidegateError):
    """Some pipelines of a run failed; the others are done. Carries the report of all of them."""

    def __init__(self, report: BuildReport) -> None:
        failed = [one for one in report.pipelines if one.state is PipelineState.FAILED]
        skipped = [one for one in report.pipelines if one.state is PipelineState.SKIPPED]
        also = f", and {len(skipped)} that need them were skipped" if skipped else ""
        super().__init__(
            "\n".join(f"{one.pipeline}: {one.error}" for one in failed),
            state=f"{len(failed)} of {len(report.pipelines)} pipelines failed{also}; "
            "the tables of these are as they were, and what the others built is in the lake.",
            next_step="Correct what is named above, then run the same command again; what is built is not built twice.",
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return BuildFailed, (self.report,)
