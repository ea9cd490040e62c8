"""Values as the texts in which they travel (`schemas.column_plan.exchange_text`), made by DuckDB from what was read."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from blocks.duck import text_literal
from schemas.column_plan import Column, exchange_text


def exchange_texts(columns: tuple[Column, ...], arrays: list[pa.Array]) -> list[str]:
    """Return the texts of the one row that the arrays hold."""
    renamed = _renamed(columns)
    rows = pa.table({column.name: array for column, array in zip(renamed, arrays, strict=True)})
    with _in_utc() as connection:
        connection.register("one", rows)
        row = connection.execute(f"SELECT {', '.join(exchange_text(column) for column in renamed)} FROM one").fetchone()
    assert row is not None
    return [str(text) for text in row]


def write_csv(
    keys: tuple[Column, ...], others: list[str], schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: Path
) -> None:
    """Write rows as CSV with a header: the keys' texts as `k0`, `k1`, …, then the other columns as they are.

    Args:
        keys: Columns of the key, which the batches have first, by the names `k0`, `k1`, ….
        others: Names of the further columns.
        schema: Of the batches.
        batches: The rows.
        target: The file.
    """
    texts = [f"{exchange_text(column)} AS {column.name}" for column in _renamed(keys)]
    with _in_utc() as connection:
        connection.register("read", pa.RecordBatchReader.from_batches(schema, batches))
        connection.execute(
            f"COPY (SELECT {', '.join([*texts, *others])} FROM read) TO {text_literal(str(target))} "
            "(FORMAT csv, HEADER)"
        )


def _renamed(columns: tuple[Column, ...]) -> list[Column]:
    return [column.model_copy(update={"name": f"k{i}"}) for i, column in enumerate(columns)]


def _in_utc() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection
