"""The source's side of a comparison, value by value: keys, and the MD5 of each column's field."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from blocks.dialects.mysql.decode import decode_column
from blocks.dialects.mysql.exchange import write_csv
from blocks.dialects.mysql.session import Connection, quoted_table
from blocks.dialects.mysql.statements import in_window, reference
from blocks.dialects.mysql.types import field_expression, read_expression
from blocks.dialects.mysql.wire import read_columns
from schemas.job import Job
from schemas.manifest import Manifest

BATCH_ROWS, BATCH_BYTES = 8192, 16 * 2**20


def write_fields(connection: Connection, job: Job, manifest: Manifest, target: Path) -> None:
    """Write the keys of the source's rows, and an MD5 of each column's field, as CSV."""
    keys = tuple(column for name in manifest.key for column in manifest.columns if column.name == name)
    names = [f"f{i}" for i in range(len(manifest.columns))]
    reads = [read_expression(column, reference(column)) for column in keys]
    reads += [f"MD5({field_expression(column, reference(column))})" for column in manifest.columns]
    predicate = in_window(job.time, manifest.window, manifest.where)
    query = f"SELECT {', '.join(reads)} FROM {quoted_table(job.table)} WHERE {predicate}"
    schema = pa.schema(
        [(f"k{i}", column.arrow_type) for i, column in enumerate(keys)] + [(name, pa.string()) for name in names]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for wires in read_columns(connection, query, BATCH_ROWS, BATCH_BYTES):
            arrays = [decode_column(wire, column) for wire, column in zip(wires, keys, strict=False)]
            arrays += [wire.binary().cast(pa.string()) for wire in wires[len(keys) :]]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    write_csv(keys, names, schema, batches(), target)
