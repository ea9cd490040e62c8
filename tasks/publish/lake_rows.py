"""What the lake has of a dataset now: the rows that its view shows, as texts, and what tells their state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from blocks.duck import duck
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.machine_errors import machine_errors
from schemas.column_plan import Column, Kind, exchange_text
from schemas.config import Settings
from schemas.manifest import Manifest
from tasks.current_state import current_state
from tasks.versions import Versions

BATCH_BYTES = 8 * 2**20
MAX_BATCH_ROWS = 32_768
UNPACKED = 8  # how much larger rows are as text than as compressed Parquet, roughly


class LakeRows:
    """The rows of one dataset, as its generations were when they were looked at.

    Args:
        connection: Able to read the lake.
        lake: The lake.
        dataset: The dataset's name.

    Attributes:
        manifests: Of the generations that count, oldest first.
        columns: What readers see.
        key: Names of the columns that tell its rows apart, or ().
        state: A digest of everything that these rows depend on.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake, dataset: str) -> None:
        self._connection, self._dataset = connection, dataset
        generations = [g for g in Ledger(lake, dataset).generations() if g.manifest.dataset == dataset]
        # Of those that count alone: a table that was replaced has none of the columns that it used to have.
        versions = Versions(lake, current_state(generations))
        self.manifests: list[Manifest] = [generation.manifest for generation in current_state(generations)]
        self.columns: tuple[Column, ...] = versions.columns
        self.key: tuple[str, ...] = versions.key
        self._query = versions.newest()
        self._bytes = sum(g.manifest.size_bytes for g in current_state(generations))
        parts = [f"{g.manifest.path} {sorted(g.removed)}" for g in generations]
        parts += [
            f"{column.name} {column.kind} {column.bits} {column.precision} {column.scale}" for column in self.columns
        ]
        self.state = hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def count(self) -> int:
        """Return how many rows there are."""
        with self._errors():
            row = self._connection.execute(f"SELECT count(*) FROM ({self._query})").fetchone()
        assert row is not None
        return int(row[0])

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows as texts, the columns in their order. Memory is that of one batch.

        Args:
            rows: How many there are, roughly: how many fit into a batch is reckoned from it.
        """
        row_bytes = UNPACKED * self._bytes // max(1, rows)
        batch_rows = max(16, min(MAX_BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))
        texts = ", ".join(f"{exchange_text(column)} AS c{n}" for n, column in enumerate(self.columns))
        with self._errors():
            self._connection.execute("SET arrow_large_buffer_size = true")
            yield from self._connection.sql(f"SELECT {texts} FROM ({self._query})").to_arrow_reader(batch_rows)

    def columns_with_nul(self) -> dict[str, int]:
        """Return the columns of text in which a NUL character stands, each with the number of its rows."""
        texts = [column for column in self.columns if column.kind is Kind.TEXT]
        if not texts:
            return {}
        counts = ", ".join(f"count(*) FILTER (WHERE contains({column.quoted}, chr(0)))" for column in texts)
        with self._errors():
            found = self._connection.execute(f"SELECT {counts} FROM ({self._query})").fetchone()
        assert found is not None
        return {column.name: int(number) for column, number in zip(texts, found, strict=True) if number}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with machine_errors(f"{self._dataset}: cannot be read from the lake", "Nothing was published of it."):
            yield


@contextmanager
def lake_rows(lake: Lake, settings: Settings, dataset: str) -> Iterator[LakeRows]:
    """Open the rows of a dataset for as long as the block runs.

    Raises:
        ProofFailed: A record of the dataset is damaged.
    """
    with duck(settings) as connection:
        lake.attach(connection)
        yield LakeRows(connection, lake, dataset)
