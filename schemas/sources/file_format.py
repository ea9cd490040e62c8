"""How a file of a source is to be read: what is given is taken, the rest is found out."""

import codecs
import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

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

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


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
        encoding: As Python names it: utf-8, utf-16, cp1252, shift_jis, …
        null_values: Texts that stand for nothing; an empty field of a CSV that is not quoted always does.
        records: Where the records are in a JSON document: `data.items`; by default the document itself is the list.
        row_tag: The element that is a record; its attributes, and the elements in it, are the columns.
        sheet: Name of the sheet; by default the first one.
        fields: The columns of a file of fixed width.
        max_uncompressed: How large a compressed file may become. Once it is given, a file may also be as much smaller
            than its content as it likes; without it, a file that grows suspiciously is not unpacked.
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

    @property
    def max_uncompressed_bytes(self) -> int:
        """`max_uncompressed` in bytes."""
        return _bytes_of(self.max_uncompressed)

    def misfits(self, type_: FormatName) -> list[str]:
        """Return the options that are given and that files of a type do not have."""
        return [option for option, types in _ONLY.items() if option in self.model_fields_set and type_ not in types]

    @field_validator("max_uncompressed")
    @classmethod
    def _limit_is_an_amount(cls, amount: str) -> str:
        if _bytes_of(amount) < 1:
            raise ValueError("must be more than nothing")
        return amount

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                # Others, such as base64, turn bytes into bytes.
                "".encode(codecs.lookup(encoding).name)
            except (LookupError, ValueError) as error:
                raise ValueError("must be an encoding that Python knows, such as utf-8, utf-16 or cp1252") from error
        return encoding

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _sign_is_no_newline(cls, sign: str | None) -> str | None:
        if sign is not None and set(sign) & {"\n", "\r", "\0"}:
            raise ValueError("must not have a newline or NUL in it")
        return sign

    @field_validator("fields")
    @classmethod
    def _fields_have_names_of_their_own(cls, fields: tuple[FixedField, ...]) -> tuple[FixedField, ...]:
        names = [field.name.casefold() for field in fields]
        twice = sorted({field.name for field in fields if names.count(field.name.casefold()) > 1})
        if twice:
            raise ValueError(f"must not have the same name: {', '.join(twice)}")
        return fields

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.delimiter is not None and self.delimiter in (self.quote, self.escape):
            raise ValueError("must have a delimiter other than quote and escape")
        if self.decimal is not None and self.decimal == self.delimiter:
            raise ValueError("must have a delimiter other than decimal")
        return self

    @model_validator(mode="after")
    def _options_fit_the_type(self) -> Self:
        if self.type is None:
            return self
        for option in self.misfits(self.type):
            raise ValueError(f"must have no {option} with type {self.type}; only {', '.join(_ONLY[option])} has")
        if self.type == "fixed" and not self.fields:
            raise ValueError("needs fields for type fixed: name, start and width of each column")
        return self


def _bytes_of(amount: str) -> int:
    match = _AMOUNT.fullmatch(amount.strip())
    if not match:
        raise ValueError("must be an amount with its unit, such as 500MB or 20GB")
    number, power, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[power.upper()])
