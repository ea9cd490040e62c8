"""Runs the quality checks of a table on all of its rows, part by part: Pandera judges, in bounded memory."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

from blocks.duck import read_files
from blocks.gate import Gate
from schemas.column_plan import Column, quote_identifier
from schemas.errors import ConfigError, ProofFailed
from schemas.pipelines.checks import Check, Expression, FitsModel, ForeignKey, Freshness, RowCount, Unique
from schemas.run_record import CheckResult
from tasks.build.check_judge import Verdict, judge, schema_of
from tasks.build.check_model import load_model, model_columns, part_schema, unique_columns
from tasks.build.check_rules import ROW_NUMBER, check_columns, condition_of, rules_of
from tasks.build.check_sets import WrongRows, check_reference, find_dangling, find_repeated, wrong_rows
from tasks.build.check_table import freshness_problem, newest_moment, row_count_problem
from tasks.build.check_tally import BadRows, Tally, by_rule, one_thing, shown_columns

BATCH_ROWS = 250_000
BATCH_BYTES = 128 * 1024**2
_NOTHING_DONE = "Nothing of this table was committed; it is as it was."


@dataclass(frozen=True)
class Checked:
    """What the checks of a table found.

    Attributes:
        results: One for each check, in their order; that of the pipeline's model is the last.
        refused: Whether the table may not be committed.
        bad_rows: A Parquet file that names the rows to put aside, `file`, `file_row_number` and `reason`; None if
            there are none, or if the table is refused anyway.
    """

    results: tuple[CheckResult, ...]
    refused: bool
    bad_rows: Path | None


def run_checks(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    checks: Sequence[Check],
    model: str | None,
    columns: tuple[Column, ...],
    tables: Mapping[str, str],
    scratch: Path,
    *,
    name: str,
    earlier: str | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Checked:
    """Run all checks on all rows of a table that was built and is not committed yet.

    Without rows, checks of rows pass, and say that they checked none; `row_count` and `freshness` do not. These two
    look at the rows that are left when the others have put theirs aside.

    Args:
        connection: Where the files, and the tables that foreign keys refer to, can be read.
        files: The Parquet files of the table.
        checks: Its quality checks.
        model: A Pandera model, `module:Model`, that every row has to fit as well; or None.
        columns: The columns of the files.
        tables: For each dataset that a foreign key refers to, how DuckDB reads it.
        scratch: A local folder for the rows that are put aside.
        name: Of the pipeline, for errors.
        earlier: How DuckDB reads the rows that these are added to, with the same columns; None if they are all there
            will be. `unique` and `row_count` are true of both together or not at all.
        batch_rows: How many rows are looked at at once.

    Raises:
        ConfigError: A check does not go with the columns, or could not be computed for a row.
        duckdb.Error: The files could not be read, or there is no room to sort out their keys.
    """
    check_columns(checks, model, columns, name)
    wanted = [*checks, *([FitsModel(type="model", model=model)] if model is not None else [])]
    run = _Run(connection, list(files), wanted, columns, scratch, name, earlier)
    with ExitStack() as stack:
        run.find_sets(tables, stack)
        for number in range(len(files)):
            run.check_file(number, batch_rows)
    return run.finish()


class _Run:
    """The state of one run of checks while it goes through the files."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: list[Path],
        checks: Sequence[Check],
        columns: tuple[Column, ...],
        scratch: Path,
        name: str,
        earlier: str | None,
    ) -> None:
        self._earlier = earlier
        self._connection, self._files, self._checks, self._name = connection, files, checks, name
        self._columns = {column.name: column for column in columns}
        self._rules = {number: rules_of(check, self._columns) for number, check in enumerate(checks)}
        self._models: dict[int, Gate] = {
            number: load_model(check.model) for number, check in enumerate(checks) if isinstance(check, FitsModel)
        }
        self._schemas = {number: part_schema(gate) for number, gate in self._models.items()}
        self._looks_at = {number: model_columns(gate, columns) for number, gate in self._models.items()}
        self._sets: dict[int, list[tuple[str, WrongRows]]] = {}
        self._tallies = {
            number: Tally(check, shown_columns(check, columns, self._looked_at(number, check)))
            for number, check in enumerate(checks)
            if not isinstance(check, RowCount | Freshness)
        }
        self._bad = BadRows(scratch)
        self._rows = [pq.read_metadata(file).num_rows for file in files]

    def _looked_at(self, number: int, check: Check) -> Sequence[str]:
        if isinstance(check, Expression):
            return condition_of(check).columns
        return self._looks_at[number][:5] if number in self._models else ()

    def find_sets(self, tables: Mapping[str, str], stack: ExitStack) -> None:
        """Find what only the table as a whole can tell; the answers are there until the stack is closed."""
        relations = {
            number: check_reference(self._connection, check, self._columns, tables, self._label(number))
            for number, check in enumerate(self._checks)
            if isinstance(check, ForeignKey)
        }
        if not self._files:
            return
        for number, check in enumerate(self._checks):
            keys = [check.columns] if isinstance(check, Unique) else []
            if number in self._models:
                keys = unique_columns(self._models[number], list(self._columns.values()))
            self._sets[number] = []
            for n, key in enumerate(keys):
                into = stack.enter_context(wrong_rows(self._connection, f"{number} {n}"))
                found = find_repeated(self._connection, self._files, key, into, self._earlier)
                self._sets[number].append((f"unique({', '.join(key)})", found))
            if isinstance(check, ForeignKey):
                into = stack.enter_context(wrong_rows(self._connection, f"{number}"))
                found = find_dangling(self._connection, self._files, check, relations[number], into)
                self._sets[number].append(("", found))

    def check_file(self, file: int, batch_rows: int) -> None:
        """Judge all rows of a file."""
        rules = {
            number: [*self._rules[number], *(wrong.rule(file) for _, wrong in self._sets[number])]
            for number in self._tallies
        }
        values = [rule.value for of_check in rules.values() for rule in of_check]
        values += [quote_identifier(name) for number in self._models for name in self._looks_at[number]]
        if not values:
            return
        names = {value: f"value{n}" for n, value in enumerate(dict.fromkeys(values))}
        judged = {rule.value: names[rule.value] for of_check in rules.values() for rule in of_check}
        keys = {names[wrong.rule(file).value]: key for one in self._sets.values() for key, wrong in one}
        schema = schema_of(rules, judged)
        seen = 0
        with closing(self._parts(file, names, batch_rows)) as parts:  # a result that is left unread blocks DuckDB
            for frame in parts:
                seen += frame.height
                self._judge(file, frame, names, schema, list(judged.values()), keys)
        if seen != self._rows[file]:
            raise ProofFailed(
                f"pipelines[{self._name}]: the checks saw {seen} rows of a file of {self._rows[file]} rows.",
                state=_NOTHING_DONE,
                next_step="Run the same command again; if it happens again, please report it.",
            )

    def _judge(
        self,
        file: int,
        frame: pl.DataFrame,
        names: Mapping[str, str],
        schema: Any,
        judged: Sequence[str],
        keys: Mapping[str, str],
    ) -> None:
        rows = frame["place"]
        found = by_rule(judge(schema, frame.select(judged))) if judged else {}
        reasons: list[tuple[str, pl.Series]] = []
        for number, tally in self._tallies.items():
            verdicts = found.get(number, [])
            if number in self._models:
                repeated = [Verdict("repeated", keys[one.column], one.wrong) for one in verdicts]
                verdicts = [*self._of_model(number, frame, names), *repeated]
            told = tally.take(verdicts, file, rows)
            if tally.check.action == "quarantine":
                reasons += told
        self._bad.add(self._files[file], rows, reasons)

    def finish(self) -> Checked:
        """Return the results; what is about the table as a whole is looked at last."""
        bad_rows, now = self._bad.finish(), datetime.now(UTC)
        rows = sum(self._rows) - self._bad.rows
        if self._earlier is not None and any(isinstance(check, RowCount) for check in self._checks):
            ((before,),) = self._connection.execute(f"SELECT count(*) FROM {self._earlier}").fetchall()
            rows += before
        results = []
        for number, check in enumerate(self._checks):
            if isinstance(check, RowCount):
                results.append(one_thing(check, row_count_problem(check, rows)))
            elif isinstance(check, Freshness):
                column = self._columns[check.column]
                newest = newest_moment(self._connection, self._files, column, now, bad_rows)
                results.append(one_thing(check, freshness_problem(check, newest, now)))
            else:
                results.append(self._tallies[number].result(self._connection, self._files))
        refused = any(result.state == "refused" for result in results)
        return Checked(tuple(results), refused, None if refused else bad_rows)

    def _of_model(self, number: int, frame: pl.DataFrame, names: Mapping[str, str]) -> list[Verdict]:
        """Return what a model finds wrong in a part of the rows, which it sees under their columns' own names."""
        own = frame.select(pl.col(names[quote_identifier(name)]).alias(name) for name in self._looks_at[number])
        return judge(self._schemas[number], own)

    def _parts(self, file: int, names: Mapping[str, str], batch_rows: int) -> Generator[pl.DataFrame, None, None]:
        path = self._files[file]
        values = ", ".join(f"{value} AS {name}" for value, name in names.items())
        query = f"SELECT {ROW_NUMBER} AS place, {values} FROM {read_files([str(path)])}"
        try:
            with self._connection.sql(query).to_arrow_reader(_rows_at_once(path, len(names), batch_rows)) as reader:
                for batch in reader:
                    yield pl.DataFrame(batch)
        except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
            raise self._cannot_compute(path, error) from error

    def _cannot_compute(self, path: Path, error: duckdb.Error) -> Exception:
        """Return the error of the condition that fails on a row, by the number of its check."""
        for number, check in enumerate(self._checks):
            if isinstance(check, Expression):
                condition = condition_of(check).sql
                try:
                    self._connection.execute(f"SELECT count(*) FROM {read_files([str(path)])} WHERE {condition}")
                except duckdb.Error as own:
                    return ConfigError(
                        f"{self._label(number)}: the condition cannot be computed for every row: {own}",
                        state=_NOTHING_DONE,
                        next_step="Make it one that every row has an answer to, for example with TRY_CAST.",
                    )
        return error

    def _label(self, number: int) -> str:
        return f"pipelines[{self._name}].quality_checks[{number}] ({self._checks[number].type})"


def _rows_at_once(file: Path, columns: int, most: int) -> int:
    """Return how many rows of a file are looked at at once, by the size of those of its first row group."""
    metadata = pq.read_metadata(file)
    if not metadata.num_row_groups:
        return most
    group = metadata.row_group(0)
    share = min(1.0, columns / max(1, metadata.num_columns))
    row_bytes = max(1.0, share * group.total_byte_size / max(1, group.num_rows), columns * 8.0)
    return max(1, min(most, int(BATCH_BYTES / row_bytes)))
