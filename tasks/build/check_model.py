"""A Pandera model as a quality check: its schema, made fit to be applied to one part of the rows after the other."""

import copy
from collections.abc import Sequence
from typing import Any

from blocks.gate import Gate, load_gate
from schemas.column_plan import Column
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError


def load_model(name: str) -> Gate:
    """Import a model by `module:Model`.

    Raises:
        ConfigError: There is no such module or attribute, or it is no Pandera model for Polars.
    """
    gate = load_gate(name)
    if not _is_for_polars(_schema(gate.model)):
        raise ConfigError(
            f"{name!r} is no Pandera model for Polars.",
            next_step="Import pandera.polars, and name a DataFrameModel or a DataFrameSchema of it.",
        )
    return gate


def model_problems(name: str, columns: Sequence[Column]) -> list[str]:
    """Return why a model cannot be had, or which columns it needs and there are not."""
    try:
        model = load_model(name)
    except ConfigError as error:
        return [error.what.removeprefix("gate: ")]
    known = [column.name for column in columns]
    return [
        f"{name} needs a column {column!r}{did_you_mean(column, known) or ', which there is not'}"
        for column, wanted in _schema(model.model).columns.items()
        if wanted.required and not wanted.regex and column not in known
    ]


def unique_columns(model: Gate, columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """Return the columns whose values the model wants to be unique, which only all rows together can tell."""
    schema = _schema(model.model)
    known = {column.name for column in columns}
    together = [tuple(schema.unique)] if schema.unique else []
    return [*((name,) for name, column in schema.columns.items() if column.unique and name in known), *together]


def model_columns(model: Gate, columns: Sequence[Column]) -> list[str]:
    """Return the columns that the model looks at: those that it names, or all if it looks at the table as a whole."""
    schema = _schema(model.model)
    named = schema.columns
    looks_at_all = schema.checks or schema.strict or schema.ordered or schema.dtype is not None or not named
    if looks_at_all or any(column.regex for column in named.values()):
        return [column.name for column in columns]
    return [column.name for column in columns if column.name in named]


def part_schema(model: Gate) -> Any:
    """Return the model's schema for a part of the rows: without what needs all of them, and cheap where many fail.

    Rows that it would drop are failures here: what is dropped without a word is not told by anybody.
    """
    schema = copy.deepcopy(_schema(model.model))
    schema.unique = None
    schema.drop_invalid_rows = False
    for component in (schema, *schema.columns.values()):
        for check in component.checks:
            check.n_failure_cases = 0  # the rows are told by what the check says of each
    for column in schema.columns.values():
        column.unique = False
        column.drop_invalid_rows = False
    return schema


def _schema(model: Any) -> Any:
    return model.to_schema() if hasattr(model, "to_schema") else model


def _is_for_polars(schema: Any) -> bool:
    import pandera.polars as pa

    return isinstance(schema, pa.DataFrameSchema)
