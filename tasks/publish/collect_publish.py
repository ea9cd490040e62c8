"""Puts the results of publishing together, table by table: one that fails does not keep the others from it."""

from collections.abc import Iterable
from typing import Protocol

from schemas.errors import Interrupted, TidegateError
from schemas.publish_report import PublishedReport, PublishReport, PublishState
from tasks.publish.plan_publications import Placement


class Publishing(Protocol):
    """A future of a table's publishing."""

    def result(self) -> PublishedReport:
        """Return what was done, or raise its error."""
        ...


def collect_publish(
    placements: Iterable[Placement], publishing: Iterable[Publishing], run_id: str, *, dry_run: bool
) -> PublishReport:
    """Wait for the tables, which come in their order, and report what became of each."""
    reports = [_outcome(placement, one) for placement, one in zip(placements, publishing, strict=True)]
    failed = any(report.state is PublishState.FAILED for report in reports)
    return PublishReport(
        state="failed" if failed else "planned" if dry_run else "done", run_id=run_id, tables=tuple(reports)
    )


def _outcome(placement: Placement, one: Publishing) -> PublishedReport:
    try:
        return one.result()
    except Interrupted:
        raise
    except TidegateError as error:
        return placement.report(PublishState.FAILED, error=str(error), exit_code=error.exit_code)
