"""Runs the query of a pipeline into local Parquet files, with calls of functions of one's own in between."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from blocks.duck import read_files, text_literal
from blocks.lake_types import select_list, stored_as
from blocks.parquet_writer import WrittenFile
from blocks.write_query import write_query
from schemas.column_plan import Column, quote_identifier
from schemas.errors import GateFailed, LakeError, TidegateError
from schemas.pipelines.pipeline import Pipeline
from schemas.pipelines.transforms import Python
from tasks.build.chain import Chain
from tasks.build.inputs import create_empty_views
from tasks.build.prepare import Prepared, check_result, first_chain, python_step, steps_until_python
from tasks.build.shape import NOTHING_BUILT, Shape, shape_of, wrong
from tasks.build.user_code import named_function

_DATA = (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException)
_MACHINE = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.HTTPException)


@dataclass(frozen=True, slots=True)
class Computed:
    """What a pipeline makes, in local files.

    Attributes:
        files: The files that have rows.
        columns: How its columns are stored.
        shape: Its columns, with what they are made of.
    """

    files: list[WrittenFile]
    columns: tuple[Column, ...]
    shape: Shape

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)


def compute(
    connection: duckdb.DuckDBPyConnection, prepared: Prepared, scratch: Path, partition_by: Sequence[str]
) -> Computed:
    """Run a pipeline.

    Args:
        connection: One with the views of all that it reads.
        prepared: The pipeline.
        scratch: A local folder for the files.
        partition_by: Columns by which the files are split.

    Raises:
        ConfigError: A step after a function of one's own does not go with what that returned.
        GateFailed: A value cannot be made what a step says; it names the step and the column.
        LakeError: There is no room, or a file could not be read.
        TidegateError: A function of one's own failed.
    """
    pipeline = prepared.pipeline
    if prepared.sql is not None:
        assert prepared.result is not None
        with _query_errors(prepared.sql.where, connection):
            connection.execute(f"CREATE OR REPLACE TEMP VIEW result AS {prepared.sql.sql}")
            query, shape, chain = "SELECT * FROM result", prepared.result, None
    else:
        chain = _last_chain(connection, prepared, scratch)
        query, shape = chain.sql(), chain.shape
    columns = check_result(connection, pipeline, shape)
    where = prepared.sql.where if prepared.sql else pipeline.label
    with _query_errors(where, connection, chain):
        stored = select_list(stored_as(connection, query))
        files = write_query(connection, f"SELECT {stored} FROM (\n{query}\n)", scratch, partition_by=partition_by)
    return Computed(files, columns, shape)


def _last_chain(connection: duckdb.DuckDBPyConnection, prepared: Prepared, scratch: Path) -> Chain:
    """Return the steps after the last call of a function, whose result is in a local file by then."""
    pipeline = prepared.pipeline
    chain = first_chain(pipeline, prepared.shapes)
    place = 0
    with duckdb.connect(":memory:") as parser:
        parser.execute("SET TimeZone = 'UTC'")
        create_empty_views(parser, prepared.shapes.items())
        while True:
            for given in steps_until_python(pipeline, place):
                chain.add(given, parser)
                place += 1
            if place == len(pipeline.transforms):
                return chain
            function = pipeline.transforms[place]
            assert isinstance(function, Python)
            with _query_errors(pipeline.label, connection, chain):
                stored = select_list(stored_as(connection, chain.sql()))
                before = scratch / f"{uuid4().hex}.parquet"
                _write_one(connection, f"SELECT {stored} FROM (\n{chain.sql()}\n)", before)
            after = _call(pipeline, place, function.function, before, scratch)
            before.unlink()
            place += 1
            relation = read_files([str(after)])
            types = shape_of(connection, f"SELECT * FROM {relation}")
            # Polars counts the nanoseconds of a time of day, which is stored as it was.
            times = [quote_identifier(column) for column, kind in types.items() if kind == "TIME_NS"]
            if times:
                values = ", ".join(f"CAST({column} AS TIME) AS {column}" for column in times)
                relation = f"(SELECT * REPLACE ({values}) FROM {relation})"
                types = shape_of(connection, f"SELECT * FROM {relation}")
            chain = Chain(pipeline.label, relation, function.function, Shape(types), chain.tables, place)


def _write_one(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    connection.execute(f"COPY ({query}) TO {text_literal(str(target))} (FORMAT parquet, COMPRESSION zstd)")


def _call(pipeline: Pipeline, place: int, name: str, rows: Path, scratch: Path) -> Path:
    """Return the file of what a function makes of the rows."""
    import polars as pl

    where = python_step(pipeline, place)
    function = named_function(name, where)
    target = scratch / f"{uuid4().hex}.parquet"
    try:
        made: Any = function(pl.scan_parquet(rows))
        if isinstance(made, pl.DataFrame):
            made = made.lazy()
        names = made.collect_schema().names() if isinstance(made, pl.LazyFrame) else []
        if names:
            made.sink_parquet(target, compression="zstd")
    except Exception as error:  # whatever a function of one's own does
        raise TidegateError(
            f"{where}: {name} failed: {type(error).__name__}: {error}",
            state=NOTHING_BUILT,
            next_step="Correct the function, then run the same command again.",
        ) from error
    if not isinstance(made, pl.LazyFrame):
        raise wrong(where, f"{name} must return a Polars LazyFrame (it returned {type(made).__name__})")
    if not names:
        raise wrong(where, f"{name} returned no column")
    taken: dict[str, str] = {}
    for column in names:
        if (other := taken.setdefault(column.casefold(), column)) != column:
            raise wrong(where, f"{name} returned the columns '{other}' and '{column}', which only case tells apart")
    return target


@contextmanager
def _query_errors(where: str, connection: duckdb.DuckDBPyConnection, chain: Chain | None = None) -> Iterator[None]:
    """Raise DuckDB's errors as those that say in which step, on which values, and what to do next."""
    try:
        yield
    except _MACHINE as error:
        raise machine_error(where, error) from error
    except _DATA as error:
        raise _culprit(connection, chain) or GateFailed(
            f"{where}: a value does not go through the query: {error}",
            state=NOTHING_BUILT,
            next_step="Correct the value at its source, filter it out, or write TRY_CAST.",
        ) from error
    except duckdb.Error as error:
        raise wrong(where, str(error)) from error


def machine_error(where: str, error: duckdb.Error) -> LakeError:
    """Return the error for what this machine, or the lake, could not do."""
    return LakeError(
        f"{where}: DuckDB: {error}",
        state=NOTHING_BUILT,
        next_step="Make room, or set temp_dir and memory_limit in settings.yaml; tidegate verify shows missing files.",
    )


def _culprit(connection: duckdb.DuckDBPyConnection, chain: Chain | None) -> GateFailed | None:
    """Look for the values that stopped a step, in the order of the steps."""
    for place, link in enumerate(chain.links if chain else ()):
        for suspect in link.suspects:
            before = chain.sql(upto=place)  # type: ignore[union-attr]
            asked = f"count(*), list(DISTINCT left(CAST({suspect.value} AS VARCHAR), 60))[:3]"
            try:
                query = f"SELECT {asked} FROM (\n{before}\n) WHERE {suspect.failing}"
                rows, examples = connection.execute(query).fetchone() or (0, [])
            except duckdb.Error:
                continue  # another step is at fault as well; what is known of this one is DuckDB's message
            if rows:
                shown = ", ".join(repr(value) for value in sorted(examples))
                return GateFailed(
                    f"{link.where}: {rows} {'value' if rows == 1 else 'values'} of '{suspect.column}' cannot be made "
                    f"{suspect.into}: {shown}.",
                    state=NOTHING_BUILT,
                    next_step="Correct them at their source, filter them out, give a format, or set on_error: null.",
                )
    return None
