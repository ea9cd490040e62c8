"""Puts rows back into a PostgreSQL table: through a staging table, in the caller's transaction, with proof.

The staging table holds the rows in the types of the table that receives them, and beside each the first half of
its digest in hex, as DuckDB computed it from the lake. Its columns are `c0`, `c1`, … so that no name can clash.
"""

from collections.abc import Iterable

import pyarrow as pa
from pyarrow import csv

from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.types import digest_expression, field_expression, value_expression
from schemas.column_plan import DIGEST_MODULUS, Column
from schemas.restore_target import Fit, Target, Total

EXAMPLES = 5


class PostgresStaging:
    """A temporary table of rows on their way into a table; it goes with the transaction.

    Made inside the transaction that is to put the rows back (`blocks.source.Session.staging`).
    """

    def __init__(
        self, connection: Connection, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int
    ) -> None:
        self._connection = connection
        self._table, self._utf8 = target.table.quoted, target.table.utf8
        self._fit = fit
        self._place = fit.places
        self._key, self._time = fit.key(key), fit.column(time)
        self._name = f'pg_temp."tidegate staging {number}"'
        values = ", ".join(f"t.{column.quoted} AS c{i}" for i, column in enumerate(fit.written))
        # Made by a query, it has the types, domains and collations, and neither constraints nor generated columns.
        self._run(
            f'CREATE TEMP TABLE "tidegate staging {number}" ON COMMIT DROP AS '
            f"SELECT {values}, ''::text AS digest FROM {self._table} AS t WITH NO DATA"
        )

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows as texts: the written columns, then the digest."""
        # Valid values stand in quotes, the empty text too; nothing at all is NULL.
        form = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        with self._connection.cursor().copy(statement(f"COPY {self._name} FROM STDIN (FORMAT csv)")) as copy:
            for batch in rows:
                lines = pa.BufferOutputStream()
                csv.write_csv(batch, lines, form)
                copy.write(memoryview(lines.getvalue()))

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        return self._total(f"SELECT digest FROM {self._name}")

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        self._run(f"ANALYZE {self._name}")
        return self._number(f"SELECT count(*) FROM {self._name} AS s WHERE {self._is_there()}")

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        shown = [f"s.{self._place[c.name]}::text" for c in self._key or ([self._time] if self._time else [])]
        found = self._connection.execute(
            statement(f"SELECT {', '.join(shown)} FROM {self._name} AS s WHERE {self._is_there()} LIMIT {EXAMPLES}")
        ).fetchall()
        return [", ".join(str(value) for value in row) for row in found]

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        self._run(f"ANALYZE {self._name}")
        return self._run(f"DELETE FROM {self._name} AS s WHERE {self._is_there()}")

    def insert(self) -> int:
        """Put its rows into the table, identity columns included, and return how many the table took."""
        names = ", ".join(column.quoted for column in self._fit.written)
        values = ", ".join(self._place.values())
        inserted = self._run(
            f"INSERT INTO {self._table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {self._name}"
        )
        self._run("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred must have its say before the proof
        return inserted

    def total_in_table(self) -> Total:
        """Return count and combined digest, by the database, of the table's rows with the staged keys (or content)."""
        if self._key:
            matched = f"EXISTS (SELECT FROM {self._name} AS s WHERE {self._same_key()})"
            return self._total(self._digests(matched))
        staged = f"SELECT digest FROM {self._name}"
        return self._total(
            f"SELECT digest FROM ({self._digests(self._same_time())}) AS found WHERE digest IN ({staged})"
        )

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        if not self._key:
            return []
        flags = [
            f"bool_or({self._field(column, f't.{column.quoted}')} <> {self._field(column, f's.{place}')})"
            for column, place in zip(self._fit.written, self._place.values(), strict=True)
        ]
        row = self._connection.execute(
            statement(f"SELECT {', '.join(flags)} FROM {self._table} AS t, {self._name} AS s WHERE {self._same_key()}")
        ).fetchone()
        return [column.name for column, differs in zip(self._fit.written, row or (), strict=True) if differs]

    def _is_there(self) -> str:
        if self._key:
            return f"EXISTS (SELECT FROM {self._table} AS t WHERE {self._same_key()})"
        return f"s.digest IN ({self._digests(self._same_time())})"

    def _same_key(self) -> str:
        """Return the predicate that `t`, of the table, and `s`, staged, have the same key."""
        pairs = [(column, f"t.{column.quoted}", f"s.{self._place[column.name]}") for column in self._key]
        # By the index where the key cannot be NULL; else by text, in which NULL equals NULL.
        return " AND ".join(
            f"{self._field(column, there)} = {self._field(column, here)}" if column.nullable else f"{there} = {here}"
            for column, there, here in pairs
        )

    def _same_time(self) -> str:
        if self._time is None:
            return "true"
        place = self._place[self._time.name]
        return (
            f"t.{self._time.quoted} BETWEEN (SELECT min({place}) FROM {self._name}) "
            f"AND (SELECT max({place}) FROM {self._name})"
        )

    def _field(self, column: Column, reference: str) -> str:
        return field_expression(column, value_expression(column, reference), utf8=self._utf8)

    def _digests(self, predicate: str) -> str:
        """Return the query for the digests of the table's rows `t`; each value is evaluated once (`OFFSET 0`)."""
        aliases = [f"v{i}" for i in range(len(self._fit.proven))]
        values = ", ".join(
            f"{value_expression(column, f't.{column.quoted}')} AS {alias}"
            for column, alias in zip(self._fit.proven, aliases, strict=True)
        )
        digest = digest_expression(self._fit.proven, aliases, utf8=self._utf8)
        return (
            f"SELECT left({digest}, 16) AS digest "
            f"FROM (SELECT {values} FROM {self._table} AS t WHERE {predicate} OFFSET 0) AS rows"
        )

    def _total(self, digests: str) -> Total:
        row = self._connection.execute(
            statement(
                f"SELECT count(*), coalesce(sum(('x' || digest)::bit(64)::bigint), 0) FROM ({digests}) AS all_rows"
            )
        ).fetchone()
        assert row is not None
        return Total(int(row[0]), int(row[1]) % DIGEST_MODULUS)

    def _number(self, query: str) -> int:
        return int((self._connection.execute(statement(query)).fetchone() or (0,))[0])

    def _run(self, text: str) -> int:
        return self._connection.execute(statement(text)).rowcount
