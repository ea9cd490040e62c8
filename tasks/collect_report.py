"""Puts the results of a run's exports and purges together, window by window."""

from collections.abc import Iterable
from typing import Protocol

from schemas.errors import Interrupted, TidegateError
from schemas.exit_codes import gravest
from schemas.exported import Exported
from schemas.job import Job
from schemas.plan import Plan, PlannedWindow
from schemas.purge_outcome import PurgeOutcome
from schemas.report import RunReport, WindowReport, WindowState
from schemas.sealed_plan import Decision, SealedPlan
from tasks.seal_plan import Sealed


class Export(Protocol):
    """A future of an export."""

    def result(self) -> Exported:
        """Return what was exported, or raise its error."""
        ...


class ReportInProgress:
    """The report of a run whose windows are exported and not yet purged.

    Attributes:
        to_purge: Manifests of the generations that the purge is to look at, oldest window first.
        plan: What waits, or waited, for an approval.
    """

    def __init__(self, job: Job, plan: Plan, run_id: str) -> None:
        self._job, self._plan, self._run_id = job, plan, run_id
        self._windows: dict[PlannedWindow, WindowReport] = {}
        self._window_of: dict[str, PlannedWindow] = {}
        self._exit_codes = {0}
        self.to_purge: list[str] = []
        self.plan: SealedPlan | None = None
        self._decision: Decision | None = None

    def exported(self, planned: PlannedWindow, exported: Exported | TidegateError) -> None:
        """Note what the export of a window gave."""
        if isinstance(exported, TidegateError):
            self._exit_codes.add(exported.exit_code)
            self._windows[planned] = WindowReport.of(planned.window, WindowState.FAILED, error=str(exported))
            return
        new = [*exported.of_children, *([exported.manifest] if exported.manifest else [])]
        manifests = list(dict.fromkeys([*planned.unpurged, *exported.held_by, *new]))
        self._windows[planned] = WindowReport.of(
            planned.window,
            WindowState.ARCHIVED if planned.rows or manifests else WindowState.EMPTY,
            generation=exported.generation,
            archived=exported.rows,
            quarantined=exported.quarantined,
            bytes=exported.size_bytes,
            seconds=exported.seconds,
        )
        self.to_purge += manifests
        self._window_of.update(dict.fromkeys(manifests, planned))

    def sealed(self, sealed: Sealed) -> None:
        """Note what is to be approved before it is purged, and what cannot be, as its proof has failed."""
        self.plan = sealed.plan
        self.purged(sealed.failed)
        for manifest in sealed.plan.manifests if sealed.plan else ():
            self._set_state(manifest, WindowState.WAITING)

    def decided(self, decision: Decision | None) -> None:
        """Note what was decided about the plan, or that it goes on waiting."""
        self._decision = decision
        for manifest in self.plan.manifests if self.plan and decision else ():
            self._set_state(manifest, WindowState.ARCHIVED)

    def _set_state(self, manifest: str, state: WindowState) -> None:
        planned = self._window_of[manifest]
        if self._windows[planned].state is not WindowState.FAILED:
            self._windows[planned] = self._windows[planned].model_copy(update={"state": state})

    def purged(self, outcomes: Iterable[PurgeOutcome]) -> None:
        """Note what verifying and purging gave."""
        for outcome in outcomes:
            self._exit_codes.add(outcome.exit_code)
            planned = self._window_of[outcome.manifest]
            report = self._windows[planned]
            state = WindowState.FAILED if outcome.error is not None else WindowState.PURGED
            if report.state in (WindowState.FAILED, WindowState.WAITING) and outcome.error is None:
                state = report.state
            self._windows[planned] = report.model_copy(
                update={
                    "state": state,
                    "deleted": report.deleted + outcome.deleted,
                    "changed_since": report.changed_since + outcome.changed_since,
                    "already_gone": report.already_gone + outcome.already_gone,
                    "held": report.held + outcome.held,
                    "seconds": round(report.seconds + outcome.seconds, 3),
                    "error": report.error or outcome.error,
                }
            )

    def finished(self) -> RunReport:
        """Return the report."""
        failed = any(window.state is WindowState.FAILED for window in self._windows.values())
        waits = self.plan is not None and self._decision is None
        return RunReport(
            archive=self._job.archive.name,
            state="failed" if failed else "waiting" if waits else "done",
            run_id=self._run_id,
            # A failed proof is what must be looked at first.
            exit_code=gravest(self._exit_codes),
            windows=tuple(self._windows[planned] for planned in self._plan.windows),
            rows_without_time=self._plan.rows_without_time,
            rows_beyond_time=self._plan.rows_beyond_time,
            plan=self.plan,
            decision=self._decision,
        )


def collect_report(job: Job, plan: Plan, exports: Iterable[Export], run_id: str) -> ReportInProgress:
    """Wait for the exports, which come in the order of the windows that are to be exported."""
    report = ReportInProgress(job, plan, run_id)
    futures = iter(exports)
    for planned in plan.windows:
        if not planned.export:
            report.exported(planned, Exported(manifest=None))
            continue
        try:
            report.exported(planned, next(futures).result())
        except Interrupted:
            raise
        except TidegateError as error:
            report.exported(planned, error)
    return report


def planned_report(job: Job, plan: Plan, run_id: str) -> RunReport:
    """Return what a dry run has to say: the windows, and the rows that are to be looked at in each."""
    return RunReport(
        archive=job.archive.name,
        state="planned",
        run_id=run_id,
        windows=tuple(
            WindowReport.of(
                planned.window,
                WindowState.PLANNED if planned.export or planned.unpurged else WindowState.EMPTY,
                archived=planned.rows if planned.export else 0,
            )
            for planned in plan.windows
        ),
        rows_without_time=plan.rows_without_time,
        rows_beyond_time=plan.rows_beyond_time,
    )
