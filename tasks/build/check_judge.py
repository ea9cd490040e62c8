"""Has Pandera judge a part of the rows, and returns for each check which of them are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from schemas.errors import TidegateError
from tasks.build.check_rules import Rule


@dataclass(frozen=True)
class Verdict:
    """What Pandera found wrong.

    Attributes:
        rule: The name of the check within its schema.
        column: The column, as the schema calls it.
        wrong: True for each row that is wrong; None if the frame is wrong as a whole.
        message: What is wrong, if the frame is as a whole.
    """

    rule: str
    column: str
    wrong: pl.Series | None
    message: str = ""


def schema_of(rules: Mapping[int, Sequence[Rule]], names: Mapping[str, str]) -> pa.DataFrameSchema:
    """Return the Pandera schema of the rules of some checks.

    Args:
        rules: By number of the check.
        names: For each value that they look at, the name of the frame's column: names that no user has chosen, as
            Pandera and Polars take `*` and `^a$` for patterns.
    """
    checks: dict[str, list[pa.Check]] = {name: [] for name in names.values()}
    for number, of_check in rules.items():
        for rule in of_check:
            checks[names[rule.value]].append(_pandera_check(number, rule))
    return pa.DataFrameSchema({name: pa.Column(nullable=True, checks=found) for name, found in checks.items()})


def _pandera_check(number: int, rule: Rule) -> pa.Check:
    # No failure cases: Pandera would hold each of a million wrong values; its answer for every row is all we need.
    return pa.Check(
        lambda data: data.lazyframe.select(rule.holds(pl.col(data.key))),
        name=str(number),
        n_failure_cases=0,
    )


def judge(schema: Any, frame: pl.DataFrame) -> list[Verdict]:
    """Validate a frame by a schema, all of its checks and all of its rows, whatever PANDERA_* variables say.

    Raises:
        TidegateError: A check could not be carried out.
    """
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(frame, lazy=True)
        except SchemaErrors as errors:
            return [_verdict(error, frame.height) for error in errors.schema_errors]
        except SchemaError as error:
            return [_verdict(error, frame.height)]
    return []


def _verdict(error: SchemaError, rows: int) -> Verdict:
    if error.reason_code is SchemaErrorReason.CHECK_ERROR:
        raise TidegateError(
            f"The check {_name(error)} could not be carried out: {error.failure_cases}.",
            state="Nothing of this table was committed.",
            next_step="Correct the check.",
        )
    column, output = str(getattr(error.schema, "name", None) or ""), error.check_output
    if not isinstance(error.failure_cases, pl.DataFrame) or output is None or output.height != rows:
        return Verdict(_name(error), column, None, str(error).strip())
    return Verdict(_name(error), column, ~output.to_series().fill_null(value=False))


def _name(error: SchemaError) -> str:
    check = error.check
    return str(check if isinstance(check, str) else check.error or check.name or check)
