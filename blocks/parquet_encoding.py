"""Chooses how the columns of a Parquet file are encoded, from a look at its first rows.

A dictionary pays where values repeat; where they do not, building one costs half of the time of writing, and the
file grows. Whole numbers and times that do not repeat are stored as differences. Every reader of Parquet 2 reads all
of these (Spark since 3.3).
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SAMPLE_ROWS = 4096
REPEATS = 0.5  # a column of which at most this share of the values are distinct gets a dictionary


def encoding_options(first: pa.Table) -> dict[str, Any]:
    """Return the options of `pyarrow.parquet.ParquetWriter` for a file that begins with these rows."""
    sample = first.slice(0, SAMPLE_ROWS)
    repeating = [name for name in sample.column_names if _repeats(sample.column(name))]
    differences = [
        field.name
        for field in sample.schema
        if field.name not in repeating and (pa.types.is_integer(field.type) or pa.types.is_temporal(field.type))
    ]
    return {
        "compression": "zstd",
        "use_dictionary": repeating or False,
        "column_encoding": dict.fromkeys(differences, "DELTA_BINARY_PACKED") or None,
        "store_decimal_as_integer": True,
        # The minimum and maximum of floats leave NaN out, and DuckDB then answers isnan() with false, unseen.
        "write_statistics": [field.name for field in sample.schema if not pa.types.is_floating(field.type)],
    }


def _repeats(values: pa.ChunkedArray) -> bool:
    if pa.types.is_boolean(values.type):
        return False  # a bit needs no dictionary
    present = len(values) - values.null_count
    return present == 0 or bool(pc.count_distinct(values).as_py() <= present * REPEATS)
