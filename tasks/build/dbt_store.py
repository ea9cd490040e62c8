"""Stores what dbt made: each model whose tests let it pass becomes the next generation of its table, or nothing."""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import duckdb

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, select_list, stored_as
from blocks.machine_errors import machine_errors
from blocks.run_records import append_run_record
from blocks.table_log import Draft
from blocks.write_query import write_query
from schemas.build_report import ChecksRefused, PipelineReport, PipelineState
from schemas.built import Built
from schemas.errors import Busy, GateFailed, Interrupted, LakeError, TidegateError
from schemas.pipelines.dbt import PREFIX
from schemas.project import Project
from schemas.run_record import CheckResult, RunRecord
from tasks.build.compute import machine_error
from tasks.build.dbt_graph import Graph
from tasks.build.dbt_installed import LABEL
from tasks.build.dbt_invoke import Results
from tasks.build.dbt_plan import DbtPlan, PlannedModel, inputs_of, is_built
from tasks.build.dbt_results import check_of, checks_of, is_bad, message_of
from tasks.build.statistics import column_statistics

AS_IT_WAS = "The table of this model is as it was."
_NEXT = "Correct it, then run the same command again."
_MACHINE = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.HTTPException)


@dataclass
class DbtStore:
    """The models of a run, with what dbt made of them.

    Attributes:
        results: What became of the nodes that dbt worked on.
        connection: One to dbt's database.
        scratch: A local folder for files on their way into the lake.
    """

    project: Project
    lake: Lake
    plan: DbtPlan
    results: Results
    run_id: str
    connection: duckdb.DuckDBPyConnection
    scratch: Path
    _not_built: set[str] = field(default_factory=set)

    @property
    def _graph(self) -> Graph:
        return self.plan.graph

    def run(self) -> list[PipelineReport]:
        """Store what may be stored; say what became of each model, and of what else failed.

        What became of a model is kept in the run log, also if it failed.
        """
        reports = self._others()
        for name, planned in self.plan.models.items():
            started_at, began = datetime.now(UTC), time.monotonic()
            report = self._report(name, planned)
            if report.state in (PipelineState.FAILED, PipelineState.SKIPPED):
                self._not_built.add(name)
            dbt_s = float(self.results.get(name, {}).get("execution_time") or 0)
            report = report.model_copy(update={"seconds": round(time.monotonic() - began + dbt_s, 3)})
            self._record(report, started_at)
            reports.append(report)
        return reports

    def _report(self, name: str, planned: PlannedModel) -> PipelineReport:
        if planned.lost:
            return self._skipped(planned, planned.lost)
        try:
            with machine_errors(f"{_label(planned)}: cannot be stored", AS_IT_WAS):
                return self._outcome(name, planned)
        except Interrupted:
            raise
        except TidegateError as error:
            checks = error.checks if isinstance(error, ChecksRefused) else ()
            return _made(
                planned, PipelineState.FAILED, checks=checks, error=str(error), exit_code=error.exit_code
            )  # fmt: skip

    def _outcome(self, name: str, planned: PlannedModel) -> PipelineReport:
        result = self.results.get(name)
        checks: tuple[CheckResult, ...] = ()
        if result is not None:
            is_there = not is_bad(result) and result["status"] != "skipped"
            rows = self._count(planned.model.relation) if is_there else 0
            checks = checks_of(self._graph, name, self.results, self.connection, rows)
            if is_bad(result):
                raise TidegateError(f"{_label(planned)}: {message_of(result)}", state=AS_IT_WAS, next_step=_NEXT)
            refusing = [check for check in checks if check.state == "refused"]
            if refusing:
                raise _refusal(planned, checks)
            if not is_there:
                return self._skipped(planned, self._guilty(name))
        if not planned.changed:
            return _made(planned, PipelineState.UNCHANGED, checks=checks)
        if result is None:
            raise TidegateError(f"{_label(planned)}: dbt did not run it.", state=AS_IT_WAS, next_step=_NEXT)
        above = [n for n in self._graph.stored_parents(name) if n in self._not_built]
        if above:  # dbt could build them, and the lake could not take them
            return self._skipped(planned, [self.plan.models[one].model.name for one in above])
        return self._stored(planned, checks)

    def _stored(self, planned: PlannedModel, checks: tuple[CheckResult, ...]) -> PipelineReport:
        try:
            query = f"SELECT * FROM {planned.model.relation}"
            stored = stored_as(self.connection, query)
            files = write_query(self.connection, f"SELECT {select_list(stored)} FROM ({query})", self.scratch)
            columns = arrow_columns(stored)
            statistics = column_statistics(self.connection, [file.local for file in files], columns)
        except _MACHINE as error:
            raise machine_error(_label(planned), error) from error
        except duckdb.Error as error:  # of a view, whose rows nobody has looked at before
            raise GateFailed(
                f"{_label(planned)}: {error}", state=AS_IT_WAS, next_step="Correct the SQL, or the value at its source."
            ) from error
        inputs = inputs_of(planned, self.plan.models)
        draft = Draft(
            source=planned.model.name,
            table=planned.model.file,
            columns=columns,
            rows_read=sum(file.rows for file in files),
            files=files,
            timezone=self.project.settings.timezone,
            built=Built(pipeline=planned.model.name, mode="replace", definition=planned.definition, inputs=inputs),
        )
        try:
            manifest = planned.log.commit(draft, self.run_id)
        except Busy:
            planned.log.refresh()
            if is_built(planned, self.plan.models):  # the same, by another run
                return _made(planned, PipelineState.UNCHANGED, checks=checks)
            raise
        return _made(
            planned,
            PipelineState.DONE,
            inputs=tuple(inputs),
            read=planned.rows + self._rows_above(planned),
            rows=manifest.attestation.rows,
            bytes=manifest.size_bytes,
            checks=checks,
            statistics=statistics,
            manifest=manifest.path,
        )

    def _count(self, relation: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
        return int(row[0]) if row else 0

    def _rows_above(self, planned: PlannedModel) -> int:
        parents = (self.plan.models[name].log for name in self._graph.stored_parents(planned.model.id))
        return sum(log.generations[-1].manifest.attestation.rows for log in parents if log.generations)

    def _guilty(self, name: str) -> list[str]:
        """Return what failed of all that a node is made of."""
        found: dict[str, None] = {}
        waiting, seen = self._graph.parents(name), set[str]()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            tests = [test for test in self._graph.tests_of(one) if is_bad(self.results.get(test, _FINE))]
            if tests or is_bad(self.results.get(one, _FINE)):
                found[_name(self._graph, one)] = None
            waiting += self._graph.parents(one)
        return list(found)

    def _skipped(self, planned: PlannedModel, needed: Collection[str]) -> PipelineReport:
        names = ", ".join(sorted(needed)) or "something"
        return _made(
            planned, PipelineState.SKIPPED, note=f"not run, as it needs {names.replace('/', '.')}, which was not built"
        )

    def _others(self) -> list[PipelineReport]:
        """Return what failed that is no table of the lake: views in between, seeds, tests of sources, hooks."""
        found = []
        for name, result in self.results.items():
            node = self._graph.nodes.get(name, {})
            judged = self._graph.judged(node) if name in self._graph.tests else [name]
            if not is_bad(result) or set(judged) & self._graph.models.keys():
                continue
            file, is_test = node.get("original_file_path", "hooks"), name in self._graph.tests
            check = [check_of(self._graph, name, result, self.connection)] if is_test else []
            examples = f" For example {', '.join(check[0].examples)}." if check and check[0].examples else ""
            report = PipelineReport(
                pipeline=_name(self._graph, name),
                dataset="",
                state=PipelineState.FAILED,
                checks=tuple(check),
                error=f"{LABEL}: {file}: {message_of(result)}{examples}",
                exit_code=GateFailed.exit_code if is_test else TidegateError.exit_code,
            )
            self._record(report, datetime.now(UTC))
            found.append(report)
        return found

    def _record(self, report: PipelineReport, started_at: datetime) -> None:
        if report.state is PipelineState.SKIPPED:
            return
        kept = {"read", "rows", "bytes", "manifest", "inputs", "checks", "statistics", "seconds"}
        record = RunRecord(
            id=uuid4().hex[:12],
            run_id=self.run_id,
            job="build",
            name=report.pipeline,
            dataset=report.dataset or None,
            state="failed" if report.state is PipelineState.FAILED else _STATES[report.state],
            started_at=started_at,
            error=report.error.partition("\nState: ")[0] if report.error else None,
            **{name: getattr(report, name) for name in kept},
        )
        if report.state is not PipelineState.FAILED:
            append_run_record(self.lake, record)
            return
        with suppress(LakeError):  # the error itself is told; that it cannot be noted down would hide it
            append_run_record(self.lake, record)


_FINE = {"status": "success"}
_STATES = {PipelineState.DONE: "done", PipelineState.UNCHANGED: "unchanged"}


def _label(planned: PlannedModel) -> str:
    return f"{LABEL}: {planned.model.file}"


def _name(graph: Graph, name: str) -> str:
    return PREFIX + str(graph.nodes.get(name, {}).get("name", name))


def _made(planned: PlannedModel, state: PipelineState, **more: object) -> PipelineReport:
    given = {"inputs": tuple(planned.views), "mode": "replace", **more}
    return PipelineReport.model_validate(
        {"pipeline": planned.model.name, "dataset": planned.model.dataset, "state": state, **given}
    )


def _refusal(planned: PlannedModel, checks: tuple[CheckResult, ...]) -> ChecksRefused:
    found = []
    for check in checks:
        if check.state == "refused":
            examples = f"for example {', '.join(check.examples)}" if check.examples else ""
            found.append(f"{check.check} refuses it: {'; '.join(filter(None, [check.message, examples]))}")
    return ChecksRefused(
        "\n".join(f"{_label(planned)}: {one}" for one in found),
        checks,
        state=AS_IT_WAS,
        next_step="Correct the rows at their source or the SQL, or give the test severity warn.",
    )
