"""Reads rows from PostgreSQL as a stream of Arrow batches in the types that are stored.

The one place that calls connectorx. Its failures are panics, which are no `Exception`; they are translated here.
"""

import binascii
import os
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from blocks.dialects.postgresql.session import DEAD_AFTER_S, session_statements, translate
from blocks.dialects.postgresql.statements import DIGEST_ALIAS
from blocks.source import RowBatch
from schemas.column_plan import Column, Kind, arrow_schema
from schemas.errors import UnsupportedValue

EPOCH_OFFSET_DAYS = 10_957  # PostgreSQL counts from 2000-01-01, Arrow from 1970-01-01
EPOCH_OFFSET_US = EPOCH_OFFSET_DAYS * 86_400_000_000

# As its driver spells them; all in seconds but the number of probes.
_ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_retries": 3,
    "tcp_user_timeout": DEAD_AFTER_S,
}

MAX_BATCH_ROWS = 8192  # connectorx holds the GIL while it waits for a batch: short waits let the other window work


def stream(
    url: str,
    query: str,
    columns: tuple[Column, ...],
    *,
    key: tuple[str, ...],
    snapshot: str,
    batch_rows: int,
) -> Iterator[RowBatch]:
    """Yield the rows of `query` (from `statements.export_rows`), read inside an exported snapshot.

    Args:
        url: Of the database.
        query: Gives the columns in order and, if wanted, the digest.
        columns: What the query gives.
        key: Names of the key's columns, for errors.
        snapshot: Identifier of a snapshot that another session exported and still holds.
        batch_rows: How many rows travel at once.

    Raises:
        SourceUnavailable: The connection was lost.
        UnsupportedValue: A value does not fit the type its column is stored as.
    """
    os.environ["RUST_BACKTRACE"] = "0"  # a panic is an error here, not a crash to be traced
    import connectorx

    # For the transaction only: this connection cannot be told to put anything back.
    begin = [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        f"SET TRANSACTION SNAPSHOT '{snapshot}'",
        *session_statements(local=True),
    ]
    try:
        reader = connectorx.read_sql(
            reader_url(url), query, return_type="arrow_stream", batch_size=batch_rows, pre_execution_query=begin
        )
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            yield decode(batch, columns, key)
    except (UnsupportedValue, GeneratorExit):
        raise
    except BaseException as error:  # pyo3's PanicException derives from BaseException
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise translate(error, url) from None


def reader_url(url: str) -> str:
    """Return the URL for connectorx, which encrypts but cannot check certificates.

    `verify-ca` and `verify-full` hold for every other connection to the source; here they become `require`. Unless
    the URL says otherwise, a dead network is noticed as soon as by psycopg; connectorx holds Python's lock while it
    waits, so nothing else could end that.
    """
    reader = re.sub(r"([?&]sslmode=)verify-(?:ca|full)\b", r"\1require", url)
    for setting, seconds in _ALIVE.items():
        if f"{setting}=" not in reader:
            reader += f"{'&' if '?' in reader else '?'}{setting}={seconds}"
    return reader


def decode(batch: pa.RecordBatch, columns: tuple[Column, ...], key: tuple[str, ...] = ()) -> RowBatch:
    """Return a batch as read (columns in order, then perhaps the digest) in the types that are stored.

    Raises:
        UnsupportedValue: A value does not fit; the message names its column and the row's key.
    """
    arrays: list[pa.Array] = []
    for i, column in enumerate(columns):
        try:
            arrays.append(_decoded(batch.column(i), column))
        except _DoesNotFit as error:
            row = {c.name: _printed(batch.column(j), c, error.row) for j, c in enumerate(columns) if c.name in key}
            raise UnsupportedValue(
                f"Column {column.name} ({column.source_type}) holds {error.value}"
                f"{f' in the row with key {row}' if row else ''}, which {column.arrow_type} cannot.",
                state="Nothing of this window was committed or deleted.",
                next_step="Correct the value, or leave such rows out with `where`.",
            ) from None
    has_digest = batch.schema.names[-1] == DIGEST_ALIAS
    digests = _digests(batch.column(len(columns))) if has_digest else None
    return RowBatch(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)), digests)


def _printed(array: pa.Array, column: Column, row: int) -> str:
    """Return a value of a batch as read, for an error."""
    try:
        return str(pc.cast(_decoded(array.slice(row, 1), column), pa.string())[0].as_py())
    except (_DoesNotFit, pa.ArrowException):
        return str(array[row].as_py())


class _DoesNotFit(Exception):
    def __init__(self, row: int, value: str) -> None:
        super().__init__(value)
        self.row, self.value = row, value


def _digests(md5: pa.Array) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each MD5, little-endian, from an array of 32 hex digits a row."""
    digits = md5.buffers()[2]
    start, end = md5.offset * 32, (md5.offset + len(md5)) * 32
    return np.frombuffer(binascii.unhexlify(digits[start:end]), dtype="<u8")[::2]


def _decoded(array: pa.Array, column: Column) -> pa.Array:
    match column.kind:
        case Kind.DATE:
            return _since_1970(array, "i4", EPOCH_OFFSET_DAYS).view(pa.date32())
        case Kind.TIME:
            return _fixed_width(array, "i8").view(pa.time64("us"))
        case Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            return _since_1970(array, "i8", EPOCH_OFFSET_US).view(column.arrow_type)
        case Kind.DECIMAL:
            return _decimal(array, column)
        case _:
            return pc.cast(array, column.arrow_type)


def _since_1970(array: pa.Array, width: str, offset: int) -> pa.Array:
    """Return days or microseconds since 1970; PostgreSQL's infinities become those of DuckDB."""
    low, high = np.iinfo(width).min, np.iinfo(width).max
    counted = _fixed_width(array, width)
    raw = counted.to_numpy(zero_copy_only=False) if not array.null_count else counted.fill_null(0).to_numpy()
    too_late = (raw >= high - offset) & (raw != high)
    if too_late.any():
        raise _DoesNotFit(int(too_late.argmax()), "a time beyond the year 294246")
    infinite = (raw == low) | (raw == high)
    # DuckDB reads the largest number as infinity and its negative as -infinity.
    shifted = np.where(infinite, np.where(raw == high, high, -high), np.where(infinite, 0, raw) + offset)
    valid = None if not array.null_count else ~array.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(shifted.astype(width), mask=valid)


def _fixed_width(array: pa.Array, width: str) -> pa.Array:
    """Return big-endian integers, which came as binary values, as an integer array; NULLs stay NULL."""
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype="i8" if pa.types.is_large_binary(array.type) else "i4")
    first, last = int(offsets[array.offset]), int(offsets[array.offset + len(array)])
    raw = np.frombuffer(data[first:last] if last > first else b"", dtype=f">{width}").astype(width)
    if array.null_count == 0:
        return pa.array(raw)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    filled = np.zeros(len(array), dtype=width)
    filled[valid] = raw
    return pa.array(filled, mask=~valid)


def _decimal(array: pa.Array, column: Column) -> pa.Array:
    try:
        return pc.cast(array, column.arrow_type)
    except pa.ArrowInvalid:
        finite = pc.fill_null(pc.match_substring_regex(array, r"^-?[0-9.]+$"), True)
        row = pc.index(finite, False).as_py()
        raise _DoesNotFit(max(row, 0), array[row].as_py() if row >= 0 else "a value of more digits") from None
