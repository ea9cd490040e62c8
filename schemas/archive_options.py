"""The parts of an archive's configuration, and how each is read from what YAML gives."""

import re
from collections import Counter
from datetime import date, datetime, time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from schemas.config_model import ConfigModel, Text, WholeNumber
from schemas.duration import Duration
from schemas.table_name import TableName
from schemas.throttle_options import ThrottleOptions

Proof = Literal["rows", "counts"]
OnGateFailure = Literal["refuse", "quarantine"]
References = Literal["refuse", "check"]
PurgeMode = Literal["none", "delete", "drop_partition"]

# When a data file is closed and the next one begun, if nobody says otherwise.
FILE_MAX_BYTES, FILE_MAX_ROWS = 1024**3, 10_000_000

_NOTHING = re.compile(r"0\s*((hour|day|week|month|year)s?)?", re.IGNORECASE)


def _table(value: object) -> TableName:
    if isinstance(value, TableName):
        return value
    if isinstance(value, str):
        return TableName.parse(value)
    raise ValueError("must be text: a table or schema.table")


def _duration(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _grace(value: object) -> Duration:
    # `0` as well as `0 days`: at once. A Duration by itself is never nothing.
    return Duration(0, "day") if _NOTHING.fullmatch(str(value).strip()) else _duration(value)


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
GraceField = Annotated[
    Duration, PlainValidator(_grace), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
Gate = Annotated[str, AfterValidator(_gate)]


class ColumnOptions(ConfigModel):
    """Columns left out of the archive, and columns that the source computes for it (`derive`: name to SQL).

    `as_text` names columns that are stored as the text that the source prints, as some of their values do not fit
    into the type that they would be stored as.
    """

    exclude: Columns = ()
    derive: dict[Text, Text] = Field(default_factory=dict)
    as_text: Columns = ()


class PurgeOptions(ThrottleOptions):
    """Whether and how archived rows leave the source, and how gently: `schemas.throttle_options`."""

    mode: PurgeMode = "none"
    discard_columns: Columns = ()
    triggers: Columns = ()  # on DELETE, that may fire: somebody has looked at what they do
    # MySQL only: purge although the server could not take a purge back to a point in time.
    without_binary_log: bool = False
    # `check`: tables that are no children are taken care of elsewhere; the database refuses a row they still refer to.
    references: References = "refuse"
    max_family_rows: Annotated[WholeNumber, Field(ge=1)] = 100_000  # children that one transaction may delete


class ChildOptions(ConfigModel):
    """A table whose rows belong to rows of the archive's table, and leave together with them."""

    table: TableField
    foreign_key: Annotated[Columns, Field(min_length=1)] | None = None
    key: Annotated[Columns, Field(min_length=1)] | None = None
    columns: ColumnOptions = ColumnOptions()
    folder: str | None = None

    @property
    def resolved_folder(self) -> str:
        """The child's folder in the lake: `folder`, or else the table's name."""
        return self.folder or self.table.name

    @model_validator(mode="after")
    def _folder_is_safe(self) -> Self:
        safe_folder(self.resolved_folder)
        return self
