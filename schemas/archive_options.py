"""The parts of an archive's configuration, and how each is read from what YAML gives."""

from collections import Counter
from datetime import date, datetime, time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from schemas.config_model import ConfigModel, ProjectPath, Seconds, Text, Timeout, WholeNumber
from schemas.duration import Duration
from schemas.table_name import TableName

Proof = Literal["rows", "counts"]
OnGateFailure = Literal["refuse", "quarantine"]
PurgeMode = Literal["none", "delete"]


def _table(value: object) -> TableName:
    if isinstance(value, TableName):
        return value
    if isinstance(value, str):
        return TableName.parse(value)
    raise ValueError("must be text: a table or schema.table")


def _duration(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time.min)
    # Numbers are refused: pydantic would take `from: 2024` for the 2024th second of 1970.
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise ValueError("must be a date or a time, such as 2024-01-31 or 2024-01-31T06:00:00+01:00")


def _no_duplicates(columns: tuple[str, ...]) -> tuple[str, ...]:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(f"must not name a column twice: {', '.join(twice)}")
    return columns


def _gate(text: str) -> str:
    module, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        raise ValueError("must be module:Attribute, such as schemas.flights:Flights")
    return text


def safe_folder(folder: str) -> str:
    """Return `folder` if it is fit for a path in any lake.

    Raises:
        ValueError: It leaves the lake, is hidden, or would be read as a key or a pattern.
    """
    parts = folder.split("/")
    # Hive keys (=), globs (* ? [), quotes and hidden or bookkeeping names would all be read as something else.
    if not all(
        part[:1].isalnum() and part[-1] not in ". " and all(c.isalnum() or c in "_-. " for c in part) for part in parts
    ):
        raise ValueError(
            "must be a relative path in the lake, such as flights or crm/orders: letters, digits, space, . - and _,"
            " every part starting with a letter or a digit"
        )
    return folder


Columns = Annotated[tuple[Text, ...], AfterValidator(_no_duplicates)]
Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
TableField = Annotated[
    TableName, PlainValidator(_table), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
DurationField = Annotated[
    Duration, PlainValidator(_duration), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
Gate = Annotated[str, AfterValidator(_gate)]


class ColumnOptions(ConfigModel):
    """Columns left out of the archive, and columns that the source computes for it (`derive`: name to SQL)."""

    exclude: Columns = ()
    derive: dict[Text, Text] = Field(default_factory=dict)


class PurgeOptions(ConfigModel):
    """Whether and how archived rows leave the source. `batch_rows` is one transaction."""

    mode: PurgeMode = "none"
    batch_rows: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 5000
    pause_s: Annotated[Seconds, Field(ge=0)] = 0.0
    lock_timeout_s: Timeout = 2.0
    statement_timeout_s: Timeout = 60.0
    discard_columns: Columns = ()
    stop_file: ProjectPath | None = None
