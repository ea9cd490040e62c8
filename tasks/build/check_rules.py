"""Quality checks as what Pandera judges: values or answers of DuckDB, and the Polars expression that has to be true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import duckdb
import polars as pl

from schemas.column_plan import TIME_KINDS, Column, Kind, duckdb_type
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.pipelines.checks import (
    Check,
    Expression,
    FitsModel,
    ForeignKey,
    Freshness,
    Length,
    NotNull,
    Range,
    Regex,
    RowCount,
    Unique,
    ValidValues,
)
from schemas.pipelines.quality_check import whole_text
from tasks.build.check_model import model_problems
from tasks.build.check_values import bound, in_order, one_of
from tasks.build.expressions import Expression as Condition
from tasks.build.expressions import parse_expression

ROW_NUMBER = "file_row_number"
"""DuckDB's name for the place of a row in its Parquet file."""


@dataclass(frozen=True)
class Rule:
    """What has to be true of each row.

    Attributes:
        value: DuckDB SQL over a row: what is looked at.
        holds: A Polars expression of it; true or NULL if the row is right.
        nulls_pass: Whether a NULL of `holds` is right.
    """

    value: str
    holds: Callable[[pl.Expr], pl.Expr]


def check_columns(checks: Sequence[Check], model: str | None, columns: Sequence[Column], name: str) -> None:
    """Find everything in the checks of a pipeline that its columns would make fail later; nothing is read.

    Args:
        checks: Its quality checks.
        model: Its Pandera model, or None.
        columns: The columns that it builds.
        name: Of the pipeline, for errors.

    Raises:
        ConfigError: A check names a column that there is not, compares one with what it cannot hold, or is wrong
            otherwise. It names all of these, each by pipeline, number and type.
    """
    problems = [
        f"pipelines[{name}].quality_checks[{number}] ({check.type}): {problem}"
        for number, check in enumerate(checks)
        for problem in _problems(check, columns)
    ]
    if model is not None:
        problems += [f"pipelines[{name}].model: {problem}" for problem in model_problems(model, columns)]
    if (checks or model) and any(column.name.casefold() == ROW_NUMBER for column in columns):
        problems.append(
            f"pipelines[{name}]: a column is called {ROW_NUMBER}, by which checks tell the rows of a file apart; "
            "give it another name"
        )
    if problems:
        raise ConfigError(
            "\n".join(problems), state="Nothing was read or written.", next_step="Correct them in pipelines.yaml."
        )


def rules_of(check: Check, columns: Mapping[str, Column]) -> list[Rule]:
    """Return what has to be true of each row by itself, so that the check holds.

    What only the table as a whole can tell has no such rules: `unique`, `foreign_key`, `row_count`, `freshness`.

    Raises:
        ValueError: The column cannot be compared so, in words that go behind its name.
    """
    match check:
        case NotNull():
            return [Rule(columns[name].quoted, lambda v: v.is_not_null()) for name in check.columns]
        case ValidValues():
            allowed = one_of(check.values, columns[check.column]).implode()
            return [Rule(columns[check.column].quoted, lambda v: v.is_in(allowed))]
        case Range():
            return _range(check, columns[check.column])
        case Regex():
            pattern = whole_text(check.pattern)
            return [Rule(_text(columns[check.column]), lambda v: v.str.contains(pattern, strict=True))]
        case Length():
            return _length(check, columns[check.column])
        case Expression():
            return [Rule(condition_of(check).sql, lambda v: v)]
        case Unique() | ForeignKey() | RowCount() | Freshness() | FitsModel():
            return []
        case _ as never:
            assert_never(never)


def _range(check: Range, column: Column) -> list[Rule]:
    if check.min is not None and check.max is not None and not in_order(check.min, check.max, column):
        raise ValueError(f"has a min above its max: {check.min} and {check.max}")
    rules = []
    if check.min is not None:
        rules.append(Rule(column.quoted, bound(check.min, column, "min")))
    if check.max is not None:
        rules.append(Rule(column.quoted, bound(check.max, column, "max")))
    return rules


def _length(check: Length, column: Column) -> list[Rule]:
    low, high = check.min or 0, check.max
    if column.kind not in {Kind.TEXT, Kind.BINARY}:
        raise ValueError(f"is {column.source_type}, and only text and binary values have a length; cast it first")

    def holds(values: pl.Expr) -> pl.Expr:
        length = values.str.len_chars() if column.kind is Kind.TEXT else values.bin.size()
        return length >= low if high is None else length.is_between(low, high)

    return [Rule(column.quoted, holds)]


def _text(column: Column) -> str:
    if column.kind is not Kind.TEXT:
        raise ValueError(f"is {column.source_type}, and a pattern needs text; cast it first")
    return column.quoted


def condition_of(check: Expression) -> Condition:
    """Return the condition of a check, as SQL that can stand in a query.

    Raises:
        ValueError: It is not one expression over the columns of a row.
    """
    return _parsed(check.condition)


@lru_cache(maxsize=1024)
def _parsed(condition: str) -> Condition:
    with duckdb.connect(":memory:") as parser:
        return parse_expression(parser, condition)


def _problems(check: Check, columns: Sequence[Column]) -> list[str]:
    known = {column.name: column for column in columns}
    missing = [name for name in check.named_columns if name not in known]
    if missing:
        return [
            f"there is no column {name!r}{did_you_mean(name, known) or f'; there are: {_listed(known)}'}"
            for name in missing
        ]
    if isinstance(check, Expression):
        return _expression_problems(check, columns)
    if isinstance(check, FitsModel):
        return model_problems(check.model, columns)
    if isinstance(check, Freshness) and known[check.column].kind not in TIME_KINDS:
        return [f"{check.column} is {known[check.column].source_type}, and freshness needs dates or moments"]
    try:
        rules_of(check, known)
    except ValueError as error:
        return [f"{check.named_columns[0]} {error}"]
    return []


def _expression_problems(check: Expression, columns: Sequence[Column]) -> list[str]:
    """Have DuckDB read the condition, in a WHERE, where nothing but a condition of one row may stand."""
    shape = ", ".join(f"CAST(NULL AS {duckdb_type(column)}) AS {column.quoted}" for column in columns)
    with duckdb.connect(":memory:") as connection:
        try:
            condition = condition_of(check).sql
            connection.execute(f"CREATE VIEW built AS SELECT {shape}")
            connection.execute(f"PREPARE condition AS SELECT 1 FROM built WHERE {condition}")
            ((_, kind, *_),) = connection.execute(f"DESCRIBE SELECT {condition} FROM built").fetchall()
        except ValueError as error:
            return [f"condition: {error}"]
        except duckdb.Error as error:
            return [f"condition: {str(error).split(chr(10) + chr(10))[0]}"]
    return [] if kind == "BOOLEAN" else [f"condition: is {kind}, and must be true or false"]


def _listed(known: Mapping[str, Column]) -> str:
    names = list(known)
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
