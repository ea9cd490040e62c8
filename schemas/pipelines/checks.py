"""Quality checks: what has to be true of a table that a pipeline builds, and what happens if it is not.

NULL passes every check but `not_null`, as in SQL: a column may be NULL and unique, in a range or a foreign key.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.config_model import Text
from schemas.pipelines.place import TablePlace
from schemas.pipelines.quality_check import (
    Bound,
    Columns,
    MaximumAge,
    NotNegative,
    OfColumn,
    OfColumns,
    OfTable,
    OneValue,
    Pattern,
    QualityCheck,
    cut,
    in_order,
    span,
)

_REFERENCE = re.compile(r"(?P<table>[^()]+?)\s*(?:\((?P<columns>[^()]+)\))?")


class NotNull(OfColumns):
    """No NULL in any of the columns. An empty text and NaN are values."""

    type: Literal["not_null"]

    @property
    def words(self) -> str:
        """The check in words."""
        return f"not_null({', '.join(self.columns)})"


class Unique(OfColumns):
    """No two rows with the same values. All rows that share them are wrong; rows with a NULL among them are not."""

    type: Literal["unique"]

    @property
    def words(self) -> str:
        """The check in words."""
        return f"unique({', '.join(self.columns)})"


class ValidValues(OfColumn):
    """One of a list of values."""

    type: Literal["valid_values"]
    values: Annotated[tuple[OneValue, ...], Field(min_length=1)]

    @property
    def words(self) -> str:
        """The check in words."""
        return f"valid_values({self.column})"


class Range(OfColumn):
    """From `min` to `max`, both included; NaN is in no range. Of a moment, a date stands for its midnight in UTC."""

    type: Literal["range"]
    min: Bound | None = None
    max: Bound | None = None

    @model_validator(mode="after")
    def _has_bounds_in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if isinstance(self.min, int | float) and isinstance(self.max, int | float) and self.min > self.max:
            raise ValueError(f"min must not be above max (got {self.min} and {self.max})")
        return self

    @property
    def words(self) -> str:
        """The check in words."""
        return f"range({self.column}, {span(self.min, self.max)})"


class Regex(OfColumn):
    """Text that the pattern matches as a whole."""

    type: Literal["regex"]
    pattern: Pattern

    @property
    def words(self) -> str:
        """The check in words."""
        return f"regex({self.column}, {cut(self.pattern)})"


class Length(OfColumn):
    """Text of so many characters, or so many bytes of a binary value."""

    type: Literal["length"]
    min: NotNegative | None = None
    max: NotNegative | None = None

    @model_validator(mode="after")
    def _has_bounds_in_order(self) -> Self:
        return in_order(self, self.min, self.max)

    @property
    def words(self) -> str:
        """The check in words."""
        return f"length({self.column}, {span(self.min, self.max)})"


def _reference(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _REFERENCE.fullmatch(value.strip())
    if found is None:
        raise ValueError("must be layer.domain.table or layer.domain.table(column), as in staging.sales.customers(id)")
    place = TablePlace.parse(found["table"]).model_dump()
    columns = found["columns"]
    return place if columns is None else {**place, "columns": [name.strip() for name in columns.split(",")]}


class Reference(TablePlace):
    """The table that a foreign key refers to, and its columns if they have other names there."""

    columns: Columns | None = None


class ForeignKey(QualityCheck):
    """Values that are in another table of the lake. A row with a NULL among them refers to nothing, and passes."""

    type: Literal["foreign_key"]
    column: Text | None = None
    columns: Columns | None = None
    references: Annotated[Reference, BeforeValidator(_reference)]

    @model_validator(mode="after")
    def _has_as_many_columns(self) -> Self:
        if (self.column is None) == (self.columns is None):
            raise ValueError("needs column or columns, and not both")
        if len(self.named_columns) != len(self.referenced_columns):
            own, other = len(self.named_columns), len(self.referenced_columns)
            raise ValueError(f"must refer to as many columns as it has (it has {own}, and refers to {other})")
        return self

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return self.columns or ((self.column,) if self.column else ())

    @property
    def referenced_columns(self) -> tuple[str, ...]:
        """The columns of the other table, in the order of its own."""
        return self.references.columns or self.named_columns

    @property
    def words(self) -> str:
        """The check in words."""
        return f"foreign_key({', '.join(self.named_columns)} -> {self.references.dataset.replace('/', '.')})"


class RowCount(OfTable):
    """So many rows, as are left after a quarantine."""

    type: Literal["row_count"]
    min: NotNegative | None = None
    max: NotNegative | None = None

    @model_validator(mode="after")
    def _has_bounds_in_order(self) -> Self:
        return in_order(self, self.min, self.max)

    @property
    def words(self) -> str:
        """The check in words."""
        return f"row_count({span(self.min, self.max)})"


class Freshness(OfTable):
    """The newest moment of the column is not older than `max_age`; without rows nothing is fresh.

    A date lasts until its end. Moments without a time zone are taken as UTC. What lies more than a day in the future,
    infinity above all, is no sign of freshness and is left out.
    """

    type: Literal["freshness"]
    column: Text
    max_age: MaximumAge

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return (self.column,)

    @property
    def words(self) -> str:
        """The check in words."""
        return f"freshness({self.column}, {self.max_age})"


class Expression(QualityCheck):
    """A condition over the columns of a row, in DuckDB SQL; NULL passes, as in a CHECK constraint."""

    type: Literal["expression"]
    condition: Text
    name: Text | None = None

    @property
    def words(self) -> str:
        """The check in words."""
        return f"expression({self.name or cut(' '.join(self.condition.split()))})"


class FitsModel(QualityCheck):
    """A Pandera model for Polars, `module:Model`. It sees a part of the rows at a time, but `unique` all."""

    type: Literal["model"]
    model: Text

    @property
    def words(self) -> str:
        """The check in words."""
        return f"model({self.model})"


Check = Annotated[
    NotNull
    | Unique
    | ValidValues
    | Range
    | Regex
    | Length
    | ForeignKey
    | RowCount
    | Freshness
    | Expression
    | FitsModel,
    Field(discriminator="type"),
]
