"""A pipeline before it is run: what it reads, its SQL, and everything that can be found wrong without reading a row."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, stored_as
from blocks.ledger import datasets
from blocks.quarantine import REASON
from schemas.column_plan import PARTITIONABLE, Column
from schemas.config_problems import did_you_mean
from schemas.pipelines.checks import Expression as ConditionCheck
from schemas.pipelines.pipeline import Pipeline
from schemas.pipelines.transforms import AnyTransform, Python, expressions_of
from schemas.project import Project
from tasks.build.chain import Chain
from tasks.build.check_rules import check_columns, condition_of
from tasks.build.definition import definition_digest
from tasks.build.expressions import NotOneExpression, parse_expression
from tasks.build.inputs import Input, create_empty_views, read_input
from tasks.build.order import datasets_read
from tasks.build.shape import Shape, shape_of, wrong
from tasks.build.sql_text import SqlText, sql_text, view_of
from tasks.build.user_code import named_function


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline that is fit to run.

    Attributes:
        pipeline: It.
        inputs: What it reads, by dataset, for each that exists; of a dry run some may be still to be built.
        shapes: The columns of all that it reads, as far as they are known.
        sql: Its SQL, if it has some of its own.
        chain: Its steps up to the first Python function, if it has steps.
        definition: What tells it from another way of building the table.
        is_steady: Whether it makes the same of the same inputs at any time, as far as its SQL tells.
        result: The columns of its result; None if a Python function has the last word.
        not_there: Of a dry run: what it reads and nothing was ingested into yet, in words; or "".
    """

    pipeline: Pipeline
    inputs: Mapping[str, Input]
    shapes: Mapping[str, Shape]
    sql: SqlText | None
    chain: Chain | None
    definition: str
    is_steady: bool
    result: Shape | None
    not_there: str = ""

    @property
    def query(self) -> str:
        """The SQL, for people."""
        if self.sql is not None:
            return self.sql.sql.strip()
        if self.chain is None:
            return f"-- to be told when there is a table {self.not_there or self.pipeline.source}"
        text = self.chain.sql()
        if self.pipeline.functions:
            text += f"\n-- then {self.pipeline.functions[0]}, and the steps after it"
        return text


def prepare(project: Project, pipeline: Pipeline, lake: Lake, *, dry_run: bool = False) -> Prepared:
    """Look at what a pipeline reads, and check all names and types at every step. No row is read.

    Args:
        project: The project.
        pipeline: The pipeline.
        lake: The lake.
        dry_run: Whether tables that other pipelines have not built yet may be read: their columns are those that they
            would have.

    Raises:
        ConfigError: Something that it names is not there, or not fit for its purpose; or its SQL is wrong.
        ProofFailed: A record of a dataset is damaged.
    """
    inputs: dict[str, Input] = {}
    shapes: dict[str, Shape] = {}
    sql = sql_text(pipeline, project.folder) if pipeline.sql is not None else None
    read = datasets_read(pipeline, project)
    for dataset in read:
        found = read_input(lake, dataset)
        if found is not None:
            inputs[dataset], shapes[dataset] = found, found.shape
        else:
            shape = _still_to_be_built(project, pipeline, lake, dataset, sql, dry_run)
            if shape is not None:
                shapes[dataset] = shape
    definition = definition_digest(pipeline, sql)
    with duckdb.connect(":memory:") as parser:
        parser.execute("SET TimeZone = 'UTC'")
        create_empty_views(parser, shapes.items())
        chain, result = None, None
        if sql is not None:
            if set(sql.datasets) <= shapes.keys():
                result = _of_sql(parser, sql)
        elif pipeline.source is not None and {pipeline.source.dataset, *pipeline.joined} <= shapes.keys():
            chain = first_chain(pipeline, shapes)
            steps = steps_until_python(pipeline, 0)
            for given in steps:
                chain.add(given, parser)
            result = chain.shape if len(steps) == len(pipeline.transforms) else None
        _check_functions(pipeline)
        is_steady = sql.is_steady if sql is not None else _is_steady(pipeline, parser)
        is_steady = is_steady and _checks_are_steady(pipeline)
        if result is not None:
            check_result(parser, pipeline, result)
    empty = [name.replace("/", ".") for name in read if name not in inputs and name in _to_be_ingested(project)]
    return Prepared(pipeline, inputs, shapes, sql, chain, definition, is_steady, result, ", ".join(empty))


def first_chain(pipeline: Pipeline, shapes: Mapping[str, Shape]) -> Chain:
    """Return the beginning of a pipeline's steps: its source."""
    assert pipeline.source is not None
    dataset = pipeline.source.dataset
    tables = {name: (view_of(name), shape) for name, shape in shapes.items()}
    return Chain(pipeline.label, view_of(dataset), str(pipeline.source), shapes[dataset], tables)


def steps_until_python(pipeline: Pipeline, first: int) -> list[AnyTransform]:
    """Return the steps from a number on that become SQL, up to the next one that calls a function."""
    steps: list[AnyTransform] = []
    for given in pipeline.transforms[first:]:
        if isinstance(given, Python):
            break
        steps.append(given)
    return steps


def check_result(connection: duckdb.DuckDBPyConnection, pipeline: Pipeline, result: Shape) -> tuple[Column, ...]:
    """Return how the result of a pipeline is stored, having checked all that is said of its columns.

    Raises:
        ConfigError: Keys, partitions or quality checks name what is not there, or not fit for that.
    """
    columns = arrow_columns(stored_as(connection, result.empty))
    kinds = {column.name: column for column in columns}
    for key, names in (("keys", pipeline.keys), ("partition_by", pipeline.partition_by)):
        for name in names:
            if name not in kinds:
                raise wrong(f"{pipeline.label}.{key}", result.missing(name).replace(" here", " in the result"))
    for name in pipeline.partition_by:
        if kinds[name].kind not in PARTITIONABLE:
            raise wrong(
                f"{pipeline.label}.partition_by",
                f"'{name}' ({kinds[name].source_type}) cannot name a folder; text, integers, booleans and dates can",
                "Derive such a column, for example a year, and name that.",
            )
    if REASON in kinds:
        raise wrong(pipeline.label, f"its result has a column '{REASON}', which rows in quarantine get; rename it")
    check_columns(pipeline.quality_checks, pipeline.model, columns, pipeline.name)
    return columns


def _is_steady(pipeline: Pipeline, parser: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the expressions of all steps say the same at any time; also of those after a function."""
    steady = True
    for number, given in enumerate(pipeline.transforms):
        for text in expressions_of(given):
            try:
                steady = parse_expression(parser, text).is_steady and steady
            except NotOneExpression as error:
                where = f"{pipeline.label}.transforms[{number}]: step {number + 1} ({given.type})"
                raise wrong(where, str(error)) from None
    return steady


def _checks_are_steady(pipeline: Pipeline) -> bool:
    """Return whether no condition of a check looks at the clock; one that is no condition is told elsewhere."""
    try:
        return all(condition_of(c).is_steady for c in pipeline.quality_checks if isinstance(c, ConditionCheck))
    except NotOneExpression:
        return True


def _check_functions(pipeline: Pipeline) -> None:
    for number, given in enumerate(pipeline.transforms):
        if isinstance(given, Python):
            named_function(given.function, python_step(pipeline, number))


def python_step(pipeline: Pipeline, place: int) -> str:
    """Return where the configuration says a step that calls a function."""
    return f"{pipeline.label}.transforms[{place}]: step {place + 1} (python)"


def _of_sql(parser: duckdb.DuckDBPyConnection, sql: SqlText) -> Shape:
    try:
        types = shape_of(parser, sql.sql)
    except (duckdb.Error, ValueError) as error:
        raise wrong(sql.where, str(error), "Correct the SQL.") from None
    return Shape(types)


def _still_to_be_built(
    project: Project, pipeline: Pipeline, lake: Lake, dataset: str, sql: SqlText | None, dry_run: bool
) -> Shape | None:
    """Return the columns that a table will have which another pipeline builds; None if they are not known before.

    Of a dry run, tables that a source of the configuration will be ingested into are among these.

    Raises:
        ConfigError: No pipeline builds it, or the one that does has not run.
    """
    where = sql.where if sql and dataset in sql.datasets else pipeline.label
    name = dataset.replace("/", ".")
    builder = next((other for other in project.pipelines if other.dataset == dataset), None)
    configured = _to_be_ingested(project)
    if builder is None and dry_run and dataset in configured:
        return None
    if builder is None:
        others = {*datasets(lake), *(p.dataset for p in project.pipelines), *configured} - {dataset}
        known = [name.replace("/", ".") for name in sorted(others)]
        raise wrong(
            where,
            f"reads {name}, which is neither in the lake nor built by a pipeline{did_you_mean(name, known)}",
            "Correct the name, or ingest the source first: tidegate ingest SOURCE.",
        )
    if not dry_run:
        raise wrong(
            where,
            f"reads {name}, which is not built yet",
            f"Build it first, or together: tidegate run {builder.name} {pipeline.name}",
        )
    return prepare(project, builder, lake, dry_run=True).result


def _to_be_ingested(project: Project) -> set[str]:
    """Return the datasets that the configured sources are ingested into."""
    return {
        source.raw_dataset(table)  # type: ignore[arg-type]  # a source's own table
        for source in project.sources
        for table in source.tables
    }
