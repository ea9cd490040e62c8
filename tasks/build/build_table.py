"""Builds the table of a pipeline: computed beside the lake, checked on all rows, and only then committed."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.parquet_writer import WrittenFile
from blocks.quarantine import REASON
from blocks.table_log import Draft, TableLog
from schemas.build_report import ChecksRefused, PipelineReport, PipelineState
from schemas.built import Built
from schemas.column_plan import Column, Kind, duckdb_type
from schemas.errors import Busy
from schemas.pipelines.pipeline import Pipeline
from schemas.project import Project
from schemas.run_record import CheckResult
from tasks.build.compute import Computed, compute, machine_error
from tasks.build.inputs import create_view
from tasks.build.merge import check_keys, rows_that_differ
from tasks.build.prepare import Prepared, prepare
from tasks.build.run_checks import Checked, run_checks
from tasks.build.scope import Scope, inputs_of, scope_of
from tasks.build.set_aside import set_aside
from tasks.build.shape import NOTHING_BUILT
from tasks.build.sql_text import view_of
from tasks.build.statistics import column_statistics
from tasks.current_state import current_state
from tasks.versions import Versions

TRIES = 3
_REASON_COLUMN = Column(name=REASON, source_type="VARCHAR", kind=Kind.TEXT)
_PRESENT, _ASIDE = "tidegate_present", "tidegate_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A pipeline that is to be run.

    Attributes:
        full: Build its table though nothing has changed.
        dry_run: Only find out what would be done.
        planned: Datasets that this dry run would build: what reads them would be built too.
    """

    project: Project
    pipeline: Pipeline
    lake: Lake
    run_id: str
    full: bool = False
    dry_run: bool = False
    planned: Sequence[str] = ()


def build_table(request: BuildRequest) -> PipelineReport:
    """Build a pipeline's table, unless it is what the pipeline would make of its inputs.

    Nothing exists for readers before the manifest is written, which happens last.

    Raises:
        ConfigError: Something is wrong in what the configuration says of it; nothing was written.
        ChecksRefused: A quality check refuses the result; nothing was committed.
        GateFailed: A value cannot be made what a step says; nothing was committed.
        Busy: Other runs committed to this table again and again.
        LakeError: There is no room, or files may not be written.
    """
    started = time.monotonic()
    log = TableLog(request.lake, request.pipeline.dataset)
    if not request.dry_run:
        log.sweep()
    for left in reversed(range(TRIES)):
        prepared = prepare(request.project, request.pipeline, request.lake, dry_run=request.dry_run)
        scope = scope_of(prepared, log.generations, full=request.full)
        if scope is None and set(request.planned) & set(prepared.shapes):
            scope = Scope(request.pipeline.mode)
        if request.dry_run:
            return _report(request, prepared, scope)
        if scope is None and not request.pipeline.grows_stale:
            return _report(request, prepared, None)
        try:
            report = _Build(request, prepared, scope, log).run()
            return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})
        except Busy:
            if not left:
                raise
            log.refresh()
    raise AssertionError("the last try returns or raises")


class _Build:
    """The state of one build."""

    def __init__(self, request: BuildRequest, prepared: Prepared, scope: Scope | None, log: TableLog) -> None:
        self._request, self._prepared, self._scope, self._log = request, prepared, scope, log
        self._pipeline, self._lake = request.pipeline, request.lake
        # Nothing to build: all of it is computed once more, as time alone may have made a check fail.
        self._read = scope or Scope("replace")

    def run(self) -> PipelineReport:
        settings = self._request.project.settings
        with ExitStack() as stack:
            scratch = stack.enter_context(self._lake.scratch())
            connection = stack.enter_context(duck(settings))
            connection.execute("SET python_enable_replacements = false")
            self._lake.attach(connection)
            try:
                return self._run(connection, scratch)
            except duckdb.Error as error:
                raise machine_error(self._pipeline.label, error) from error

    def _run(self, connection: duckdb.DuckDBPyConnection, scratch: Path) -> PipelineReport:
        self._create_views(connection)
        # Rows that are merged are written once more, those that differ, and only then by partitions.
        partitions = () if self._read.mode == "merge" else self._pipeline.partition_by
        computed = compute(connection, self._prepared, scratch, partitions)
        checked = self._checked(connection, computed, scratch)
        if self._scope is None:
            return _report(self._request, self._prepared, None, checks=checked.results)
        files, aside = computed.files, list[WrittenFile]()
        if checked.bad_rows is not None:
            files, aside = set_aside(connection, files, checked.bad_rows, computed.columns, scratch, partitions)
        statistics = column_statistics(connection, [file.local for file in files], computed.columns)
        if self._pipeline.keys:
            check_keys(connection, files, self._pipeline.keys, self._pipeline.label)
        if self._scope.mode == "merge":
            files, aside = self._merged(connection, files, aside, computed, scratch)
        manifest = self._log.commit(self._draft(files, aside, computed), self._request.run_id)
        return _report(
            self._request,
            self._prepared,
            self._scope,
            state=PipelineState.DONE,
            rows=manifest.attestation.rows,
            quarantined=manifest.attestation.quarantined,
            bytes=manifest.size_bytes,
            checks=checked.results,
            statistics=statistics,
            lineage={name: tuple(sorted(made)) for name, made in computed.shape.origins.items() if made},
            manifest=manifest.path,
        )

    def _create_views(self, connection: duckdb.DuckDBPyConnection) -> None:
        appends, source = self._pipeline.mode == "append", self._pipeline.source
        for dataset, found in self._prepared.inputs.items():
            own = appends and source is not None and dataset == source.dataset
            create_view(connection, dataset, found.sql(self._read.only if own else None, every_version=own))

    def _checked(self, connection: duckdb.DuckDBPyConnection, computed: Computed, scratch: Path) -> Checked:
        earlier = self._earlier(connection, computed.columns)
        tables = {dataset: view_of(dataset) for dataset in self._pipeline.referred}
        files = [str(file.local) for file in computed.files]
        own = [f"SELECT * FROM {read_files(files)}" if files else computed.shape.empty]
        own += [f"SELECT * FROM {earlier}"] if earlier else []
        tables[self._pipeline.dataset] = f"({' UNION ALL '.join(own)})"
        checked = run_checks(
            connection,
            [file.local for file in computed.files],
            self._pipeline.quality_checks,
            self._pipeline.model,
            computed.columns,
            tables,
            scratch,
            name=self._pipeline.name,
            earlier=earlier,
        )
        if checked.refused:
            raise _refusal(self._pipeline, checked.results)
        return checked

    def _earlier(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> str | None:
        """Return the view of the rows that are added to, in these columns; None if the result is the whole table."""
        if self._read.mode != "append" or not self._log.generations:
            return None
        versions = Versions(self._lake, current_state(self._log.generations))
        there = {column.name.casefold() for column in versions.columns}
        values = ", ".join(
            f"TRY_CAST({c.quoted if c.name.casefold() in there else 'NULL'} AS {duckdb_type(c)}) AS {c.quoted}"
            for c in columns
        )
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {_PRESENT} AS SELECT {values} FROM ({versions.newest()})")
        return _PRESENT

    def _merged(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: list[WrittenFile],
        aside: list[WrittenFile],
        computed: Computed,
        scratch: Path,
    ) -> tuple[list[WrittenFile], list[WrittenFile]]:
        """Return the rows, and the rows to put aside, that are not there already."""
        generations = self._log.generations
        versions = Versions(self._lake, current_state(generations))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {_PRESENT} AS {versions.newest()}")
        present = {column.name: duckdb_type(column) for column in versions.columns}
        keys, partitions = self._pipeline.keys, self._pipeline.partition_by
        files = rows_that_differ(connection, files, computed.columns, _PRESENT, present, keys, scratch, partitions)
        # What was put aside with other columns is not compared: it is put aside once more at most.
        alike = [g for g in generations if g.manifest.columns == computed.columns]
        earlier = [self._lake.duckdb_path(file.path) for g in alike for file in g.quarantine]
        if aside and earlier:
            names = ", ".join(text_literal(path) for path in earlier)
            rows = f"read_parquet([{names}], hive_partitioning = false, union_by_name = true)"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {_ASIDE} AS SELECT * FROM {rows}")
            types = {str(name): str(kind) for name, kind, *_ in connection.execute(f"DESCRIBE {_ASIDE}").fetchall()}
            columns = (*computed.columns, _REASON_COLUMN)
            aside = rows_that_differ(connection, aside, columns, _ASIDE, types, (), scratch)
        return files, aside

    def _draft(self, files: list[WrittenFile], aside: list[WrittenFile], computed: Computed) -> Draft:
        assert self._scope is not None
        pipeline = self._pipeline
        return Draft(
            source=pipeline.name,
            table=str(pipeline.source or (pipeline.sql if pipeline.sql_is_a_file else "sql")),
            columns=computed.columns,
            key=pipeline.keys,
            partition_by=pipeline.partition_by,
            rows_read=sum(file.rows for file in (*files, *aside)),
            files=files,
            quarantine=aside,
            gate=pipeline.model,
            timezone=self._request.project.settings.timezone,
            built=Built(
                pipeline=pipeline.name,
                mode=self._scope.mode,
                definition=self._prepared.definition,
                inputs=inputs_of(self._prepared),
            ),
        )


def _report(
    request: BuildRequest,
    prepared: Prepared,
    scope: Scope | None,
    *,
    state: PipelineState | None = None,
    checks: tuple[CheckResult, ...] = (),
    **counts: object,
) -> PipelineReport:
    pipeline = request.pipeline
    planned = PipelineState.PLANNED if request.dry_run and scope is not None else PipelineState.UNCHANGED
    return PipelineReport.model_validate({
        "pipeline": pipeline.name,
        "dataset": pipeline.dataset,
        "state": state or planned,
        "mode": pipeline.mode,
        "inputs": tuple(prepared.shapes),
        "read": _rows(prepared, scope, pipeline.source.dataset if pipeline.source else None) if scope else 0,
        "sql": prepared.query if request.dry_run else None,
        "checks": checks,
        "note": _note(prepared, scope),
        **counts,
    })  # fmt: skip


def _note(prepared: Prepared, scope: Scope | None) -> str:
    waits = f"nothing was ingested into {prepared.not_there} yet" if prepared.not_there else ""
    return "; ".join(filter(None, [waits, scope.note if scope else ""]))


def _rows(prepared: Prepared, scope: Scope, source: str | None) -> int:
    inputs: Mapping[str, object] = prepared.inputs
    return sum(prepared.inputs[name].rows(scope.only if name == source else None) for name in inputs)


def _refusal(pipeline: Pipeline, results: tuple[CheckResult, ...]) -> ChecksRefused:
    found = []
    for result in results:
        if result.state == "refused":
            counted = f"{result.failed} of {result.checked} rows" if result.failed else ""
            examples = f"for example {', '.join(result.examples)}" if result.examples else ""
            found.append(f"{result.check} refuses it: {'; '.join(filter(None, [result.message, counted, examples]))}")
    return ChecksRefused(
        "\n".join(f"{pipeline.label}: {one}." for one in found),
        results,
        state=NOTHING_BUILT,
        next_step="Correct the rows where they come from, or set on_failure: quarantine, or warn, for the check.",
    )
