"""How gently a job treats the database that it changes. Not of archives only: any job that works in batches has these.

A job's own options inherit from these, so that in YAML they stand beside its other keys.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from schemas.allowed_hours import AllowedHours
from schemas.config_model import ConfigModel, ProjectPath, Seconds, Text, Timeout, WholeNumber

Vacuum = Literal["none", "between", "end"]

MOST_BATCH_ROWS = 1_000_000
_MIN_BATCH_ROWS, _BATCH_ROWS, _MAX_BATCH_ROWS = 100, 5000, 50_000


def _hours(value: object) -> AllowedHours:
    if isinstance(value, AllowedHours):
        return value
    if isinstance(value, str):
        return AllowedHours.parse(value)
    # YAML reads 22:00 without quotes as a number in base 60.
    raise ValueError('must be text in quotes, such as "22:00-06:00"')


HoursField = Annotated[
    AllowedHours, PlainValidator(_hours), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
BatchRows = Annotated[WholeNumber, Field(ge=1, le=MOST_BATCH_ROWS)]
Limit = Annotated[WholeNumber, Field(ge=0)]


class ThrottleOptions(ConfigModel):
    """The size and the pace of batches, and what makes the work wait. Each of the limits is off unless it is given.

    The order of the fields matters: a check may look at the fields above its own.

    Attributes:
        batch_rows: Rows of the first batch; later ones are as large as `target_batch_s` asks for.
        min_batch_rows: Never fewer than this; by default 100, or `batch_rows` if that is less.
        max_batch_rows: Never more than this; by default 50,000, or `batch_rows` if that is more.
        target_batch_s: How long a batch (a transaction) should take.
        pause_s: Between two batches.
        lock_timeout_s: A row that somebody else has locked is waited for no longer than this, as meanwhile others wait
            for the rows of the batch.
        statement_timeout_s: A statement that takes longer is cancelled.
        max_replica_lag_s: Wait while a connected replica is further behind.
        max_unarchived_wal_files: Wait while more finished WAL files than this are not archived yet.
        max_lock_waits: When more sessions than this wait for a lock of ours, batches get smaller, with a pause.
        max_active_sessions: Wait while more sessions than this, not counting ours, are at work.
        max_dead_tuples: Wait while the table has more dead rows than this.
        vacuum: `between` has the table vacuumed instead of waiting for autovacuum, and once at the end; `end` has it
            vacuumed at the end only.
        allowed_hours: Work only in these hours.
        pause_variable: Name of a Prefect Variable: wait while it is set to true or "pause".
        stop_file: The work stops within one batch once this file exists.
    """

    batch_rows: BatchRows = _BATCH_ROWS
    min_batch_rows: BatchRows = _MIN_BATCH_ROWS
    max_batch_rows: BatchRows = _MAX_BATCH_ROWS
    target_batch_s: Annotated[Timeout, Field(le=3600)] = 0.25
    pause_s: Annotated[Seconds, Field(ge=0)] = 0.0
    lock_timeout_s: Timeout = 0.5
    statement_timeout_s: Timeout = 60.0
    max_replica_lag_s: Timeout | None = None
    max_unarchived_wal_files: Limit | None = None
    max_lock_waits: Limit | None = None
    max_active_sessions: Limit | None = None
    max_dead_tuples: Limit | None = None
    vacuum: Vacuum = "none"
    allowed_hours: HoursField | None = None
    pause_variable: Text | None = None
    stop_file: ProjectPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_give_way(cls, values: Any) -> Any:
        """Widen the sizes that were not given, so that one that was is never out of bounds by a default."""
        if not isinstance(values, dict):
            return values
        first, least, most = sizes = tuple(
            values.get(name) for name in ("batch_rows", "min_batch_rows", "max_batch_rows")
        )
        if not all(size is None or (type(size) is int and 1 <= size <= MOST_BATCH_ROWS) for size in sizes):
            return values  # the fields' own checks say what is wrong
        if first is None:
            first = max(least or 1, min(most or MOST_BATCH_ROWS, _BATCH_ROWS))
        widened = {
            "batch_rows": first,
            "min_batch_rows": min(_MIN_BATCH_ROWS, first) if least is None else least,
            "max_batch_rows": max(_MAX_BATCH_ROWS, first) if most is None else most,
        }
        return {**values, **{name: size for name, size in widened.items() if name not in values}}

    @field_validator("min_batch_rows")
    @classmethod
    def _least_is_not_above_the_first(cls, rows: int, info: ValidationInfo) -> int:
        first = info.data.get("batch_rows")
        if first is not None and rows > first:
            raise ValueError(f"must not be above batch_rows ({first})")
        return rows

    @field_validator("max_batch_rows")
    @classmethod
    def _most_is_not_below_the_first(cls, rows: int, info: ValidationInfo) -> int:
        sizes = {name: info.data[name] for name in ("batch_rows", "min_batch_rows") if name in info.data}
        if rows < max(sizes.values(), default=1):
            told = ", ".join(f"{name}: {size}" for name, size in sizes.items())
            raise ValueError(f"must not be below the other sizes ({told})")
        return rows

    @field_validator("vacuum")
    @classmethod
    def _vacuum_has_an_occasion(cls, vacuum: Vacuum, info: ValidationInfo) -> Vacuum:
        if vacuum == "between" and info.data.get("max_dead_tuples", 0) is None:
            raise ValueError("between needs max_dead_tuples as well, which says when")
        return vacuum
