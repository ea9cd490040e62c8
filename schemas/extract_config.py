"""What a source's tables are read by into the raw layer: `tables` and `extract` in `sources.yaml`."""

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from schemas.archive_options import ColumnOptions, TableField, safe_folder
from schemas.config_model import ConfigModel, Text, WholeNumber
from schemas.duration import Duration
from schemas.table_name import TableName

RAW = "raw"
LAYERS = (RAW, "staging", "consume")

ExtractMode = Literal["full", "incremental"]
OnDrift = Literal["evolve", "warn", "refuse"]


def _overlap(value: object) -> int | Duration:
    if isinstance(value, Duration) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    try:
        return Duration.parse(str(value))
    except ValueError:
        raise ValueError("must be a span such as 2 hours, or a whole number for a column of integers") from None


Overlap = Annotated[
    int | Duration,
    PlainValidator(_overlap),
    PlainSerializer(lambda value: value if isinstance(value, int) else str(value)),
]


class ExtractOptions(ConfigModel):
    """How a table is read.

    `full` stores the whole table whenever something in it is different; what it held before stays in the lake.
    `incremental` stores rows whose `key_column` is not below the highest one so far, less an overlap: rows that were
    committed late are read again and stored once. `overlap` is a span of time, or a number for a column of integers.
    """

    mode: ExtractMode = "full"
    key_column: Text | None = None
    overlap: Overlap | None = None
    batch_size: Annotated[WholeNumber, Field(ge=1)] | None = None
    on_drift: OnDrift = "evolve"

    @model_validator(mode="after")
    def _incremental_needs_a_column(self) -> Self:
        if self.mode == "incremental" and self.key_column is None:
            raise ValueError(
                "needs key_column for mode incremental: a column that never goes down, such as updated_at or id"
            )
        if self.mode == "full" and self.overlap is not None:
            raise ValueError("must have no overlap with mode full, which reads all rows")
        return self


def _from_name(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


def _one_folder(name: str) -> str:
    return safe_folder(name.replace("/", "?"))


class ExtractTable(ConfigModel):
    """A table of a source: its name alone, or with what is different for it."""

    table: TableField
    name: str | None = Field(default=None, validate_default=True)
    where: Text | None = None
    columns: ColumnOptions = ColumnOptions()
    extract: ExtractOptions | None = None

    @property
    def folder(self) -> str:
        """The table's folder in the source's folder of the raw layer."""
        return self.name or self.table.name

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str | None, info: ValidationInfo) -> str | None:
        table = info.data.get("table")
        if name is not None:
            return _one_folder(name)
        if isinstance(table, TableName):
            try:
                _one_folder(table.name)
            except ValueError as error:
                raise ValueError(f"must be given, because the table's name is no folder's name; it {error}") from error
        return name


TableEntry = Annotated[ExtractTable, BeforeValidator(_from_name)]


def read_as_a_whole(table: ExtractTable, source: ExtractOptions | None) -> ExtractTable:
    """Return the table as one that is read as a whole; later incremental runs go on from there."""
    options = options_of(table, source).model_copy(update={"mode": "full", "overlap": None})
    return table.model_copy(update={"extract": options})


def options_of(table: ExtractTable, source: ExtractOptions | None) -> ExtractOptions:
    """Return how a table is read: its own options, or else those of its source."""
    return table.extract or source or ExtractOptions()
