"""Gives a frame the types of a Pandera model, without losing anything, and checks it against the model."""

from typing import TYPE_CHECKING, Any

import polars as pl

from schemas.errors import TidegateError

if TYPE_CHECKING:
    from pandera.polars import DataFrameModel

EXAMPLES = 5


class InvalidRecords(TidegateError):
    """Archived rows are not what the model says they are."""


def typed_frame(frame: pl.DataFrame, model: "type[DataFrameModel]") -> pl.DataFrame:
    """Return the frame with the model's dtypes, validated by it, values included.

    Columns that the model does not name stay as they are, unless it is strict about them.

    Raises:
        InvalidRecords: A value cannot be had in its dtype without loss, or a check fails.
    """
    from pandera.errors import SchemaErrors

    schema = model.to_schema()
    for name, column in schema.columns.items():
        if name in frame.columns and column.dtype is not None:
            frame = frame.with_columns(_cast(frame[name], column.dtype.type, model))
    try:
        return pl.DataFrame(model.validate(frame, lazy=True))
    except SchemaErrors as errors:
        cases = errors.failure_cases
        shown = [
            f"{case['column']}: {case['check']} (got {case['failure_case']})"
            for case in cases.head(EXAMPLES).iter_rows(named=True)
        ]
        raise _invalid(f"{cases.height} failures: {'; '.join(shown)}", model) from errors


def _cast(values: pl.Series, dtype: Any, model: "type[DataFrameModel]") -> pl.Series:
    if values.dtype == dtype:
        return values
    try:
        cast = values.cast(dtype, strict=True)
        both_numbers = values.dtype.is_numeric() and cast.dtype.is_numeric()
        both_times = values.dtype.is_temporal() and cast.dtype.is_temporal()
        # Polars cuts 1.5 down to 1 and microseconds to milliseconds without a word.
        lost = (both_numbers or both_times) and not cast.cast(values.dtype).equals(values, null_equal=True)
    except pl.exceptions.PolarsError as error:
        raise _invalid(f"{values.name} cannot be read as {dtype}: {error}", model) from error
    if lost:
        raise _invalid(f"{values.name} ({values.dtype}) cannot be read as {dtype} without loss", model)
    return cast


def _invalid(what: str, model: "type[DataFrameModel]") -> InvalidRecords:
    return InvalidRecords(
        f"The rows do not fit the model {model.__name__}: {what}.",
        state="The lake is as it was.",
        next_step="Correct the model, or leave these rows out with a filter.",
    )
