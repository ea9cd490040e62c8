"""Puts rows back into a SQLite table: through a temporary table, in the caller's transaction, with proof.

The temporary table has columns without a type, so that each value stays of the storage class that it had, and beside
each row its digest, as DuckDB computed it from the lake. Its columns are `c0`, `c1`, … so that no name can clash.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from blocks.dialects.sqlite.moments import Value
from blocks.dialects.sqlite.session import Connection
from blocks.dialects.sqlite.statements import row_digest
from blocks.dialects.sqlite.types import fields, reference
from blocks.dialects.sqlite.values import UndecodedText, restorer
from schemas.restore_target import Fit, Target, Total

EXAMPLES = 5


class SqliteStaging:
    """A temporary table of rows on their way into a table.

    Made inside the transaction that is to put the rows back (`blocks.source.Session.staging`).
    """

    def __init__(
        self, connection: Connection, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int
    ) -> None:
        self._connection, self._table, self._fit = connection, target.table.quoted, fit
        self._place = fit.places
        self._key, self._time = fit.key(key), fit.column(time)
        self._name = f'temp."tidegate staging {number}"'
        self._run(f"CREATE TABLE {self._name} ({', '.join(self._place.values())}, digest)")

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows: a text column for each written column (NULL is NULL), then the digest as 16 hex digits."""
        restorers = [restorer(column) for column in self._fit.written]
        # Text that is no UTF-8 cannot be a parameter: its bytes are, and become TEXT here.
        as_text = ", ".join("CASE WHEN ? THEN CAST(? AS TEXT) ELSE ? END" for _ in restorers)
        plain = f"INSERT INTO {self._name} VALUES ({', '.join('?' for _ in restorers)}, ?)"
        undecoded = f"INSERT INTO {self._name} VALUES ({as_text}, ?)"
        for batch in rows:
            *texts, digests = batch.columns
            columns = [
                [None if text is None else restore(text) for text in column.to_pylist()]
                for restore, column in zip(restorers, texts, strict=True)
            ]
            prepared = [bytes.fromhex(digest) for digest in digests.to_pylist()]
            if any(isinstance(value, UndecodedText) for column in columns for value in column):
                self._connection.executemany(undecoded, _with_casts(columns, prepared))
            else:
                self._connection.executemany(plain, zip(*columns, prepared, strict=True))

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        return self._total(f"SELECT digest FROM {self._name}")

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        (found,) = self._connection.execute(
            f"SELECT count(*) FROM {self._name} AS s WHERE {self._is_there()}"
        ).fetchone()
        return int(found)

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        shown = [f"s.{self._place[c.name]}" for c in self._key or ([self._time] if self._time else [])]
        found = self._connection.execute(
            f"SELECT {', '.join(shown)} FROM {self._name} AS s WHERE {self._is_there()} LIMIT {EXAMPLES}"
        )
        return [", ".join(str(value) for value in row) for row in found]

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        return self._run(f"DELETE FROM {self._name} AS s WHERE {self._is_there()}")

    def insert(self) -> int:
        """Put its rows into the table, and return how many the table took.

        `OR ABORT`: a table may be declared to replace rows, or to pass them over, when a key is there already.
        """
        names = ", ".join(column.quoted for column in self._fit.written)
        values = ", ".join(self._place.values())
        return self._run(f"INSERT OR ABORT INTO {self._table} ({names}) SELECT {values} FROM {self._name}")

    def total_in_table(self) -> Total:
        """Return count and combined digest, by SQLite, of the table's rows with the staged keys (or content)."""
        digest = row_digest(self._table, self._fit.proven)
        if self._key:
            return self._total(f"SELECT {digest} FROM {self._pairs()}")
        return self._total(
            f"SELECT digest FROM (SELECT {digest} AS digest FROM {self._table} WHERE {self._same_time()}) "
            f"WHERE digest IN (SELECT digest FROM {self._name})"
        )

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        if not self._key:
            return []
        flags = [
            f"max({fields((column,), [reference(self._table, column)])} <> {fields((column,), [f's.{place}'])})"
            for column, place in zip(self._fit.written, self._place.values(), strict=True)
        ]
        row = self._connection.execute(f"SELECT {', '.join(flags)} FROM {self._pairs()}").fetchone()
        return [column.name for column, differs in zip(self._fit.written, row, strict=True) if differs]

    def _is_there(self) -> str:
        if self._key:
            return f"EXISTS (SELECT 1 FROM {self._table} WHERE {self._same_key()})"
        digest = row_digest(self._table, self._fit.proven)
        return f"s.digest IN (SELECT {digest} FROM {self._table} WHERE {self._same_time()})"

    def _same_key(self) -> str:
        """Return the predicate that a row of the table and `s`, staged, have the same key; NULL equals NULL."""
        return " AND ".join(
            f"{reference(self._table, column)} {'IS' if column.nullable else '='} s.{self._place[column.name]}"
            for column in self._key
        )

    def _pairs(self) -> str:
        """Return the FROM and WHERE of staged rows and the table's with the same keys, in this order: by its index.

        What the column's collation takes for equal, and a unique index of the table does not, is told apart.
        """
        letters = (
            f"{reference(self._table, column)} IS s.{self._place[column.name]} COLLATE BINARY" for column in self._key
        )
        return f"{self._name} AS s CROSS JOIN {self._table} WHERE {' AND '.join([self._same_key(), *letters])}"

    def _same_time(self) -> str:
        if self._time is None:
            return "true"
        place = self._place[self._time.name]
        return (
            f"{reference(self._table, self._time)} BETWEEN (SELECT min({place}) FROM {self._name}) "
            f"AND (SELECT max({place}) FROM {self._name})"
        )

    def _total(self, digests: str) -> Total:
        rows = digest = 0
        for (found,) in self._connection.execute(digests):
            rows += 1
            digest += int.from_bytes(found, "big")
        return Total(rows) + Total(0, digest)

    def _run(self, text: str) -> int:
        return self._connection.execute(text).rowcount


def _with_casts(columns: list[list[Value]], digests: list[bytes]) -> Iterator[tuple[Value, ...]]:
    for *values, digest in zip(*columns, digests, strict=True):
        parameters: list[Value] = []
        for value in values:
            parameters += [isinstance(value, UndecodedText), value, value]
        yield (*parameters, digest)
