"""Puts rows back into a SQL Server table: through a temporary table, with proof. Not verified against a server.

The temporary table holds the exchange texts as they came from the lake, and is read through casts to the table's types.
"""

import json
from collections.abc import Iterable

import pyarrow as pa

from blocks.dialects.sqlserver.connection import Connection
from blocks.dialects.sqlserver.statements import reference, row_digest, value_of
from blocks.dialects.sqlserver.types import field_expression
from schemas.restore_target import Fit, Target, Total

EXAMPLES = 5


class SqlServerStaging:
    """A temporary table of rows on their way into a table.

    Made inside the transaction that is to put the rows back (`blocks.source.Session.staging`).
    """

    def __init__(
        self, connection: Connection, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int
    ) -> None:
        self._connection, self._table, self._fit = connection, target.table.quoted, fit
        self._name = f"[#tidegate staging {number}]"
        self._value = {column.name: value_of(column, f"s.c{i}") for i, column in enumerate(fit.written)}
        self._key, self._time = fit.key(key), fit.column(time)
        texts = ", ".join(f"c{i} nvarchar(max)" for i in range(len(fit.written)))
        connection.run(f"CREATE TABLE {self._name} ({texts}, digest char(16) NOT NULL)")

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows: a text column for each written column (NULL is NULL), then the digest as 16 hex digits."""
        count = len(self._fit.written)
        texts = ", ".join(f"c{i} nvarchar(max) '$[{i}]'" for i in range(count))
        statement = f"INSERT INTO {self._name} SELECT * FROM OPENJSON(%s) WITH ({texts}, digest char(16) '$[{count}]')"
        for batch in rows:
            columns = [column.to_pylist() for column in batch.columns]
            self._connection.run(statement, json.dumps(list(zip(*columns, strict=True)), ensure_ascii=False))

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        return self._total(f"SELECT digest FROM {self._name}")

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        return int(self._connection.rows(f"SELECT COUNT(*) FROM {self._name} AS s WHERE {self._is_there()}")[0][0])

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        places = {column.name: f"s.c{i}" for i, column in enumerate(self._fit.written)}
        shown = [places[column.name] for column in self._key or ([self._time] if self._time else [])]
        query = f"SELECT TOP {EXAMPLES} {', '.join(shown)} FROM {self._name} AS s WHERE {self._is_there()}"
        return [", ".join(str(value) for value in row) for row in self._connection.rows(query)]

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        return self._connection.run(f"DELETE s FROM {self._name} AS s WHERE {self._is_there()}")

    def insert(self) -> int:
        """Put its rows into the table, identity columns included, and return how many the table took."""
        names = ", ".join(column.quoted for column in self._fit.written)
        insert = f"INSERT INTO {self._table} ({names}) SELECT {', '.join(self._value.values())} FROM {self._name} AS s"
        name = self._table.replace("'", "''")
        numbered = f"OBJECTPROPERTY(OBJECT_ID(N'{name}'), 'TableHasIdentity') = 1"
        on, off = (f"IF {numbered} SET IDENTITY_INSERT {self._table} {switch}" for switch in ("ON", "OFF"))
        ((inserted,),) = self._connection.rows(f"{on}; {insert}; DECLARE @n bigint = @@ROWCOUNT; {off}; SELECT @n")
        return int(inserted)

    def total_in_table(self) -> Total:
        """Return count and combined digest, by SQL Server, of the table's rows with the staged keys (or content)."""
        digest = row_digest(self._fit.proven)
        if self._key:
            staged = f"EXISTS (SELECT 1 FROM {self._name} AS s WHERE {self._same_key()})"
            return self._total(f"SELECT {digest} FROM {self._table} AS t WHERE {staged}")
        found = f"SELECT {digest} AS digest FROM {self._table} AS t WHERE {self._same_time()}"
        return self._total(f"SELECT digest FROM ({found}) AS f WHERE digest IN (SELECT digest FROM {self._name})")

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        if not self._key:
            return []
        flags = ", ".join(
            f"MAX(CASE WHEN {field_expression(c, reference(c))} <> {field_expression(c, self._value[c.name])} "
            "THEN 1 ELSE 0 END)"
            for c in self._fit.written
        )
        query = f"SELECT {flags} FROM {self._table} AS t JOIN {self._name} AS s ON {self._same_key()}"
        (row,) = self._connection.rows(query)
        return [column.name for column, differs in zip(self._fit.written, row, strict=True) if differs]

    def _is_there(self) -> str:
        if self._key:
            return f"EXISTS (SELECT 1 FROM {self._table} AS t WHERE {self._same_key()})"
        return f"s.digest IN (SELECT {row_digest(self._fit.proven)} FROM {self._table} AS t WHERE {self._same_time()})"

    def _same_key(self) -> str:
        return " AND ".join(
            f"{field_expression(c, reference(c))} = {field_expression(c, self._value[c.name])}"
            if c.nullable  # by text, in which NULL equals NULL
            else f"{reference(c)} = {self._value[c.name]}"
            for c in self._key
        )

    def _same_time(self) -> str:
        if self._time is None:
            return "1 = 1"
        value = self._value[self._time.name]
        return (
            f"{reference(self._time)} BETWEEN (SELECT MIN({value}) FROM {self._name} AS s) "
            f"AND (SELECT MAX({value}) FROM {self._name} AS s)"
        )

    def _total(self, digests: str) -> Total:
        found = [int(digest, 16) for (digest,) in self._connection.stream(digests)]
        return Total(len(found)) + Total(0, sum(found))
