"""What a source's tables are read by into the raw layer: `tables` and `extract` in `sources.yaml`."""

import re
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

from schemas.archive_options import ColumnOptions, Gate, OnGateFailure, TableField, safe_folder
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


# A query begins like one; what else it is, the database says before anything runs.
_QUERY = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*(?:select|with|values)\b", re.IGNORECASE | re.DOTALL)


class ExtractTable(ConfigModel):
    """A table of a source: its name alone, or with what is different for it; or the result of a `query`.

    A query has a `name`, and if there are columns that tell its rows apart, they are its `key`. Rows that do not pass
    the `gate`, a Pandera model, make the table fail, or are put aside with the reason.
    """

    table: TableField | None = None
    query: Text | None = Field(default=None, validate_default=True)
    name: str | None = Field(default=None, validate_default=True)
    where: Text | None = None
    columns: ColumnOptions = ColumnOptions()
    key: tuple[Text, ...] = ()
    gate: Gate | None = None
    on_gate_failure: OnGateFailure = "refuse"
    extract: ExtractOptions | None = None

    @property
    def folder(self) -> str:
        """The table's folder in the source's folder of the raw layer."""
        if self.name is not None:
            return self.name
        assert self.table is not None
        return self.table.name

    @property
    def reads(self) -> str:
        """What is read, as a manifest keeps it: the table's name, or the text of the query."""
        return str(self.table) if self.query is None else self.query

    @field_validator("query")
    @classmethod
    def _one_of_table_and_query(cls, query: str | None, info: ValidationInfo) -> str | None:
        table = info.data.get("table", "")  # none at all if it is wrong, which was said
        if query is None:
            if table is None:
                raise ValueError("must be given where there is no table")
            return None
        if table is not None:
            raise ValueError("must be left out where there is a table: an entry is either of the two")
        query = query.strip().rstrip("; \t\n")
        if not _QUERY.match(query):
            raise ValueError("must be one SELECT (or WITH … SELECT, or VALUES): the source is only read")
        return query

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str | None, info: ValidationInfo) -> str | None:
        table = info.data.get("table")
        if name is not None:
            return _one_folder(name)
        if info.data.get("query") is not None:
            raise ValueError("must be given with a query: its folder in the lake")
        if isinstance(table, TableName):
            try:
                _one_folder(table.name)
            except ValueError as error:
                raise ValueError(f"must be given, because the table's name is no folder's name; it {error}") from error
        return name

    @field_validator("key")
    @classmethod
    def _key_is_of_a_query(cls, key: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if key and info.data.get("query", "") is None:
            raise ValueError("must be left out with a table, whose key the database knows")
        columns = info.data.get("columns")
        lost = [name for name in key if columns and name in columns.exclude]
        if lost:
            raise ValueError(f"must be kept, and columns.exclude has {', '.join(lost)}")
        if len(set(key)) < len(key):
            raise ValueError("must name each column once")
        return key

    @field_validator("on_gate_failure")
    @classmethod
    def _quarantine_needs_a_gate(cls, choice: OnGateFailure, info: ValidationInfo) -> OnGateFailure:
        if choice == "quarantine" and info.data.get("gate", "") is None:
            raise ValueError("must be refuse as long as there is no gate")
        return choice


TableEntry = Annotated[ExtractTable, BeforeValidator(_from_name)]


def read_as_a_whole(table: ExtractTable, source: ExtractOptions | None) -> ExtractTable:
    """Return the table as one that is read as a whole; later incremental runs go on from there."""
    options = options_of(table, source).model_copy(update={"mode": "full", "overlap": None})
    return table.model_copy(update={"extract": options})


def options_of(table: ExtractTable, source: ExtractOptions | None) -> ExtractOptions:
    """Return how a table is read: its own options, or else those of its source."""
    return table.extract or source or ExtractOptions()
