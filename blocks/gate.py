"""The gate: a Pandera model that every row has to pass before it is archived."""

import copy
import hashlib
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from schemas.errors import ConfigError, GateFailed

_NAME_ONE = "Name a Pandera model as module:Attribute, such as schemas.flights:Flights."


@dataclass(frozen=True, slots=True)
class Gate:
    """A Pandera model and the SHA-256 of its definition."""

    name: str
    model: Any
    digest: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """Which rows passed.

    Attributes:
        passed: Boolean, one a row.
        reasons: For the rows that did not pass, in their order: what was wrong, as text.
        failures: How many rows failed which check, as sentences.
    """

    passed: pa.BooleanArray
    reasons: list[str]
    failures: dict[str, int]


def load_gate(name: str) -> Gate:
    """Import a gate by `module:Attribute`.

    Raises:
        ConfigError: There is no such module or attribute, or it is no Pandera model for Polars.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
        model = getattr(module, attribute)
    except Exception as error:  # whatever the module does when it is imported
        raise ConfigError(
            f"gate: {name!r} cannot be imported: {type(error).__name__}: {error}.", next_step=_NAME_ONE
        ) from error
    if not hasattr(model, "validate"):
        raise ConfigError(f"gate: {name!r} is not a Pandera model (it has no `validate`).", next_step=_NAME_ONE)
    try:
        definition = inspect.getsource(module)
    except OSError:
        definition = repr(model)
    return Gate(name, model, hashlib.sha256(definition.encode()).hexdigest())


def apply_gate(gate: Gate, rows: pa.RecordBatch) -> GateResult:
    """Validate rows lazily, so that every failure is found.

    Raises:
        GateFailed: The frame as a whole is wrong (a missing column, another type): no row can pass.
    """
    import pandera.polars  # noqa: F401 - registers the Polars backend
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    frame = pl.DataFrame(pa.Table.from_batches([rows]))
    try:
        # Whatever PANDERA_VALIDATION_ENABLED and _DEPTH say: a gate that is switched off would let all rows pass.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            _telling(gate.model).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return GateResult(pa.array([True] * rows.num_rows, pa.bool_()), [], {})
    whole = cases.filter(pl.col("index").is_null())
    if whole.height:
        first = whole.row(0, named=True)
        raise GateFailed(
            f"The gate {gate.name} does not fit the table: column {first['column']}, {first['check']}: "
            f"{first['failure_case']}.",
            state="Nothing of this window was committed or deleted.",
            next_step="Correct the gate, or the column's type.",
        )
    reasons: dict[int, list[str]] = {}
    failures: dict[str, int] = {}
    for case in cases.iter_rows(named=True):
        reasons.setdefault(case["index"], []).append(f"{case['column']}: {case['check']} (got {case['failure_case']})")
        rule = f"{case['column']}: {case['check']}"
        failures[rule] = failures.get(rule, 0) + 1
    passed = [i not in reasons for i in range(rows.num_rows)]
    return GateResult(pa.array(passed, pa.bool_()), ["; ".join(reasons[i]) for i in sorted(reasons)], failures)


def _telling(model: Any) -> Any:
    """Return the model as one that tells which rows are wrong, also if it would drop them without a word."""
    schema = model.to_schema() if hasattr(model, "to_schema") else model
    columns = getattr(schema, "columns", {}).values()
    if not any(getattr(part, "drop_invalid_rows", False) for part in (schema, *columns)):
        return model
    schema = copy.deepcopy(schema)
    for part in (schema, *schema.columns.values()):
        part.drop_invalid_rows = False
    return schema
