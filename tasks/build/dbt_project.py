"""A dbt project in a run: its models see the lake's tables as views, and what its tests let pass is stored."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from blocks.scratch import temporary_folder
from schemas.build_report import PipelineReport, PipelineState
from schemas.errors import Interrupted, TidegateError
from schemas.pipelines.dbt import PIPELINE
from schemas.project import Project
from tasks.build.dbt_database import make_workspace, open_database
from tasks.build.dbt_graph import Graph
from tasks.build.dbt_installed import LABEL, check_dbt
from tasks.build.dbt_invoke import Results, build_project, close_connections, compile_project
from tasks.build.dbt_plan import DbtPlan, PlannedModel, inputs_of, plan_models
from tasks.build.dbt_results import is_bad, message_of
from tasks.build.dbt_store import DbtStore

_LOST = (PipelineState.FAILED, PipelineState.SKIPPED)


class Running(Protocol):
    """A run of dbt that is under way somewhere else."""

    def result(self) -> Sequence[PipelineReport]:
        """Wait for the reports; raise what it raised."""


def build_dbt(
    config_dir: Path,
    run_id: str,
    *,
    full: bool = False,
    dry_run: bool = False,
    lost: Collection[str] = (),
    planned: Collection[str] = (),
) -> list[PipelineReport]:
    """Build the models of the dbt project that are tables of the lake, or say what there would be to build.

    Args:
        config_dir: The project's configuration.
        run_id: Recorded in manifests.
        full: Build all though nothing has changed.
        dry_run: Only say what would be done.
        lost: Datasets that pipelines of this run should have built, and could not: what reads them is not run.
        planned: Of a dry run: datasets that its pipelines would build.

    Raises:
        ConfigError: dbt is not installed, or refuses the project as a whole; nothing was built.
        LakeError: There is no room for dbt's database.
    """
    project = Project.load(config_dir)
    check_dbt(project)
    settings = project.settings
    lake = open_lake(settings.lake, settings.temp_dir)
    with ExitStack() as stack:
        stack.enter_context(machine_errors(f"{LABEL}: cannot be run", "Its tables are as they were."))
        workspace = make_workspace(project, lake, stack.enter_context(temporary_folder(settings.temp_dir)))
        stack.callback(close_connections)
        compiled = compile_project(project, workspace)
        assert project.dbt is not None
        graph = Graph(compiled.manifest, project.dbt.project)
        graph.check(project)
        plan = plan_models(graph, workspace, lake, full=full, lost=lost, planned=planned, sweep=not dry_run)
        if dry_run:
            return [_planned(plan, one, compiled.results) for one in plan.models.values()]
        results: Results = {}
        if plan.changed:
            selected = sorted({graph.selector(name) for name in graph.to_run(plan.changed) if name not in graph.tests})
            results = build_project(project, workspace, selected).results
            close_connections()
        scratch = stack.enter_context(lake.scratch())
        connection = stack.enter_context(open_database(workspace, settings, lake))
        return DbtStore(project, lake, plan, results, run_id, connection, scratch).run()


def run_dbt(
    reports: Sequence[PipelineReport], submit: Callable[[list[str], list[str]], Running]
) -> list[PipelineReport]:
    """Run the dbt project after the pipelines of a run; if it cannot be run at all, that is the only report.

    Args:
        reports: What became of the pipelines.
        submit: Starts it, given the datasets that could not be built, and those that a dry run would build.
    """
    lost = [report.dataset for report in reports if report.state in _LOST]
    planned = [report.dataset for report in reports if report.state is PipelineState.PLANNED]
    try:
        return list(submit(lost, planned).result())
    except Interrupted:
        raise
    except TidegateError as error:
        return [
            PipelineReport(
                pipeline=PIPELINE,
                dataset="",
                state=PipelineState.FAILED,
                error=str(error),
                exit_code=error.exit_code,
            )
        ]


def _planned(plan: DbtPlan, one: PlannedModel, results: Results) -> PipelineReport:
    name = one.model.id
    result = results.get(name, {"status": "success"})
    note = f"its SQL is only known when it is built: {message_of(result)}" if is_bad(result) else ""
    if one.lost:
        note = f"not run, as it needs {', '.join(one.lost)}, which was not built"
    work = PipelineState.PLANNED if one.changed else PipelineState.UNCHANGED
    return PipelineReport(
        pipeline=one.model.name,
        dataset=one.model.dataset,
        state=PipelineState.SKIPPED if one.lost else work,
        mode="replace",
        inputs=tuple(inputs_of(one, plan.models)),
        read=one.rows if one.changed else 0,
        sql=plan.graph.code(name) or str(plan.graph.nodes[name].get("raw_code") or "").strip(),
        note=note,
    )
