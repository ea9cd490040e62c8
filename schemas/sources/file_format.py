"""How a file of a source is to be read: what is given is taken, the rest is found out."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.config_model import ConfigModel, Text, WholeNumber

FormatName = Literal["csv", "tsv", "json", "jsonl", "parquet", "xml", "xlsx", "fixed"]
Compression = Literal["none", "gzip", "zstd"]

# What only some formats have.
_ONLY = {
    "delimiter": ("csv", "tsv"),
    "quote": ("csv", "tsv"),
    "escape": ("csv", "tsv"),
    "header": ("csv", "tsv", "xlsx"),
    "decimal": ("csv", "tsv", "fixed"),
    "encoding": ("csv", "tsv", "json", "jsonl", "xml", "fixed"),
    "skip": ("csv", "tsv", "fixed", "xlsx"),
    "null_values": ("csv", "tsv", "fixed"),
    "records": ("json",),
    "row_tag": ("xml",),
    "sheet": ("xlsx",),
    "fields": ("fixed",),
}


class FixedField(ConfigModel):
    """A column of a file whose columns have fixed places: `start` counts characters from 1."""

    name: Text
    start: Annotated[WholeNumber, Field(ge=1)]
    width: Annotated[WholeNumber, Field(ge=1)]


class FileFormat(ConfigModel):
    """How files are read. Without a `type`, a file's name says it (`.csv`, `.tsv`, `.json`, `.xml.gz`, …).

    Attributes:
        decimal: The sign in front of decimals.
        header: Whether the first line (of a sheet: row) after `skip` has the columns' names.
        skip: Lines (of a sheet: rows) before the header.
        null_values: Texts that stand for nothing; an empty field of a CSV that is not quoted always does.
        records: Where the records are in a JSON document: `data.items`; by default the document itself is the list.
        row_tag: The element that is a record; its attributes, and the elements in it, are the columns.
        sheet: Name of the sheet; by default the first one.
        fields: The columns of a file of fixed width.
        max_uncompressed: How large a compressed file may become.
    """

    type: FormatName | None = None
    compression: Compression | None = None
    encoding: Text | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=4)] | None = None
    quote: Annotated[str, Field(max_length=1)] | None = None
    escape: Annotated[str, Field(max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    skip: Annotated[WholeNumber, Field(ge=0)] = 0
    null_values: tuple[str, ...] = ()
    records: Text | None = None
    row_tag: Text | None = None
    sheet: Text | None = None
    fields: tuple[FixedField, ...] = ()
    max_uncompressed: Text = "20GB"

    @model_validator(mode="after")
    def _options_fit_the_type(self) -> Self:
        if self.type is None:
            return self
        for option, formats in _ONLY.items():
            if option in self.model_fields_set and self.type not in formats:
                raise ValueError(f"must have no {option} with type {self.type}; only {', '.join(formats)} has")
        if self.type == "fixed" and not self.fields:
            raise ValueError("needs fields for type fixed: name, start and width of each column")
        return self
