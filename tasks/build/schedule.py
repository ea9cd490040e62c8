"""Runs the pipelines of a plan: each as soon as what it needs is built, some at a time. One that fails stops no other.

Pipelines that need one that failed are skipped, and say so.
"""

from collections.abc import Callable
from queue import Queue
from typing import Any, Protocol

from blocks.progress import report_progress
from schemas.build_report import BuildReport, ChecksRefused, PipelineReport, PipelineState
from schemas.errors import ConfigError, Interrupted, TidegateError
from schemas.pipelines.pipeline import Pipeline
from schemas.window import ALWAYS
from tasks.build.order import BuildPlan


class Building(Protocol):
    """A future of a pipeline's build."""

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call a function when it is done."""
        ...

    def result(self) -> PipelineReport:
        """Return what was done, or raise its error."""
        ...


Submit = Callable[[Pipeline, tuple[str, ...]], Building]


def run_plan(plan: BuildPlan, submit: Submit, at_once: int) -> list[PipelineReport]:
    """Run the pipelines of a plan and return what became of each, in the plan's order.

    Args:
        plan: What to run.
        submit: Starts a pipeline; it is given the datasets that the run has planned to build before it, in a dry run.
        at_once: How many run side by side.
    """
    waiting = list(plan.pipelines)
    reports: dict[str, PipelineReport] = {}
    finished: Queue[tuple[Pipeline, Building]] = Queue()
    running = 0
    while waiting or running:
        for pipeline in list(waiting):
            needed = plan.needs[pipeline.name]
            if any(name not in reports for name in needed):
                continue
            ended = _ended(pipeline, plan, reports)
            if ended is not None:
                reports[pipeline.name] = ended
            elif running < at_once:
                planned = [reports[name] for name in needed if reports[name].state is PipelineState.PLANNED]
                report_progress("build", ALWAYS, 0, 1, what=pipeline.dataset, unit="pipeline")
                future = submit(pipeline, tuple(report.dataset for report in planned))
                running += 1
                future.add_done_callback(lambda done, one=pipeline: finished.put((one, done)))  # type: ignore[misc]
            else:
                continue
            waiting.remove(pipeline)
        if running:
            done, future = finished.get()
            running -= 1
            reports[done.name] = _outcome(done, future)
            report_progress("build", ALWAYS, 1, 1, what=done.dataset, unit="pipeline")
    return [reports[pipeline.name] for pipeline in plan.pipelines]


def collect_build(
    reports: list[PipelineReport], run_id: str, *, dry_run: bool, disabled: tuple[str, ...] = ()
) -> BuildReport:
    """Return the report of a run."""
    failed = any(report.state is PipelineState.FAILED for report in reports)
    return BuildReport(
        state="failed" if failed else "planned" if dry_run else "done",
        run_id=run_id,
        pipelines=tuple(reports),
        disabled=disabled,
    )


def _ended(pipeline: Pipeline, plan: BuildPlan, reports: dict[str, PipelineReport]) -> PipelineReport | None:
    """Return the report of a pipeline that is not run: it is wrong, or something that it needs was not built."""
    if pipeline.name in plan.errors:
        return _failed(pipeline, plan.errors[pipeline.name])
    lost = (PipelineState.FAILED, PipelineState.SKIPPED)
    missing = [name for name in plan.needs[pipeline.name] if reports[name].state in lost]
    if not missing:
        return None
    return PipelineReport(
        pipeline=pipeline.name,
        dataset=pipeline.dataset,
        state=PipelineState.SKIPPED,
        mode=pipeline.mode,
        note=f"not run, as it needs {', '.join(missing)}, which was not built",
    )


def _outcome(pipeline: Pipeline, building: Building) -> PipelineReport:
    try:
        return building.result()
    except Interrupted:
        raise
    except TidegateError as error:
        return _failed(pipeline, error)


def _failed(pipeline: Pipeline, error: TidegateError | ConfigError) -> PipelineReport:
    return PipelineReport(
        pipeline=pipeline.name,
        dataset=pipeline.dataset,
        state=PipelineState.FAILED,
        mode=pipeline.mode,
        checks=error.checks if isinstance(error, ChecksRefused) else (),
        error=str(error),
        exit_code=error.exit_code,
    )
