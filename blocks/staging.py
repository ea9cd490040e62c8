"""A place in a database for rows on their way back into a table."""

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from schemas.restore_target import Total


class Staging(Protocol):
    """Rows on their way back into a table, in the session's transaction; they go with it."""

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows: a text column for each written column (NULL is NULL), then the digest as 16 hex digits."""
        ...

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        ...

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        ...

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        ...

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        ...

    def insert(self) -> int:
        """Put its rows into the table, and return how many the table took."""
        ...

    def total_in_table(self) -> Total:
        """Return count and combined digest, by the database, of the table's rows with the staged keys (or content)."""
        ...

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        ...
