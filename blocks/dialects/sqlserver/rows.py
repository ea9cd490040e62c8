"""Rows as SQL Server gives them, in the types that are stored. Not verified against a server."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from blocks.source import RowBatch
from schemas.column_plan import Column, Kind, arrow_schema
from schemas.errors import UnsupportedValue

_TEXTS = frozenset({Kind.DECIMAL, Kind.DATE, Kind.TIMESTAMP})


def decode(
    rows: Sequence[tuple[Any, ...]], columns: tuple[Column, ...], key: tuple[str, ...], *, with_digest: bool
) -> RowBatch:
    """Return rows as read (columns in order, then perhaps 16 hex digits) in the types that are stored.

    Raises:
        UnsupportedValue: A value does not fit; the message names its column and the row's key.
    """
    by_column = list(zip(*rows, strict=True))
    arrays = []
    for place, column in enumerate(columns):
        try:
            arrays.append(_array(by_column[place], column))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            odd = next(i for i in range(len(rows)) if not _fits(by_column[place][i], column))
            row = {c.name: str(by_column[j][odd]) for j, c in enumerate(columns) if c.name in key}
            raise UnsupportedValue(
                f"Column {column.name} ({column.source_type}) holds {by_column[place][odd]} in the row with key {row}, "
                f"which cannot be kept exactly as {column.arrow_type}.",
                state="Nothing of this window was committed or deleted.",
                next_step="Correct the value, or leave such rows out with `where`.",
            ) from None
    digests = None
    if with_digest:
        digests = np.frombuffer(bytes.fromhex("".join(by_column[-1])), dtype="<u8")
    return RowBatch(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)), digests)


def _array(values: Sequence[Any], column: Column) -> pa.Array:
    if column.kind in _TEXTS:
        # Casts from text are strict: digits that the type has no room for are an error.
        return pa.array(values, pa.string()).cast(column.arrow_type)
    return pa.array(values, column.arrow_type)


def _fits(value: Any, column: Column) -> bool:
    try:
        _array([value], column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True
