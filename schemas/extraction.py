"""An extraction: a source's table on its way into the raw layer."""

from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.column_plan import Column, Kind
from schemas.extract_config import ExtractOptions, ExtractTable
from schemas.reading import Reading

INGESTED_AT, SOURCE, SOURCE_FILE, RUN_ID, SCHEMA_VERSION = (
    "_ingested_at", "_source", "_source_file", "_run_id", "_schema_version"
)  # fmt: skip
# What every row of the raw layer has, besides what its source has: where it came from, and when.
PROVENANCE = (
    Column(name=INGESTED_AT, source_type="timestamptz", kind=Kind.TIMESTAMPTZ, nullable=False, added=True),
    Column(name=SOURCE, source_type="text", kind=Kind.TEXT, nullable=False, added=True),
    Column(name=SOURCE_FILE, source_type="text", kind=Kind.TEXT, added=True),
    Column(name=RUN_ID, source_type="text", kind=Kind.TEXT, nullable=False, added=True),
    Column(name=SCHEMA_VERSION, source_type="integer", kind=Kind.INTEGER, bits=32, nullable=False, added=True),
)


class Extraction(Reading):
    """A table of a source, checked against its database, and how it is to be read.

    Attributes:
        source: The source's name.
        entry: What `sources.yaml` says of the table.
        options: How it is read.
        dataset: Where it lies in the lake.
    """

    source: str
    entry: ExtractTable
    options: ExtractOptions
    dataset: str

    def rows_at_once(self, most: int) -> int:
        """Return how many rows travel at once: `batch_size`, if that is less."""
        return min(super().rows_at_once(most), self.options.batch_size or most)

    @property
    def label(self) -> str:
        """Where the configuration says it, for errors."""
        return f"sources[{self.source}].tables[{self.entry.folder}]"

    @property
    def source_name(self) -> str:
        """The source's name in `sources.yaml`."""
        return self.source

    @property
    def where(self) -> str | None:
        """The operator's predicate of the rows to read."""
        return self.entry.where

    @property
    def key_column(self) -> Column | None:
        """The column whose highest value is the watermark, or None."""
        return next((column for column in self.columns if column.name == self.options.key_column), None)


def with_provenance(
    rows: pa.RecordBatch, source: str, at: datetime, run_id: str, schema_version: int
) -> pa.RecordBatch:
    """Return rows with what is added to each of them in the raw layer."""
    values: tuple[Any, ...] = (at, source, None, run_id, schema_version)
    for column, value in zip(PROVENANCE, values, strict=True):
        rows = rows.append_column(column.name, pa.repeat(pa.scalar(value, column.arrow_type), rows.num_rows))
    return rows
