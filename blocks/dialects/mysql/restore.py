"""Puts rows back into a MariaDB or MySQL table: through a temporary table, in the caller's transaction, with proof.

The temporary table holds the rows in the types of the table that receives them, and beside each the first half of
its digest in hex, as DuckDB computed it from the lake. Its columns are `c0`, `c1`, … so that no name can clash.
"""

from collections.abc import Iterable

import pyarrow as pa

from blocks.dialects.mysql.restore_target import refuse_untransactional
from blocks.dialects.mysql.session import Connection, literal, quote, quoted_table
from blocks.dialects.mysql.statements import MAX_STATEMENT_CHARACTERS, value_literals
from blocks.dialects.mysql.types import digest_expression, field_expression, text_of
from schemas.column_plan import DIGEST_MODULUS, Column, Kind
from schemas.restore_target import Fit, Target, Total

EXAMPLES = 5


class MySQLStaging:
    """A temporary table of rows on their way into a table; it goes with the connection.

    Made inside the transaction that is to put the rows back (`blocks.source.Session.staging`).
    """

    def __init__(
        self, connection: Connection, target: Target, fit: Fit, key: tuple[str, ...], time: str, number: int
    ) -> None:
        self._connection, self._fit = connection, fit
        self._table = quoted_table(target.table)
        self._place = fit.places
        self._key, self._time = fit.key(key), fit.column(time)
        self._name = f"{quote(connection.database)}.`tidegate staging {number}`"
        connection.run(f"DROP TEMPORARY TABLE IF EXISTS {self._name}")
        values = ", ".join(f"t.{quote(column.name)} AS c{i}" for i, column in enumerate(fit.written))
        # Made by a query, it has the types and collations, and neither keys nor generated columns.
        connection.run(
            f"CREATE TEMPORARY TABLE {self._name} ENGINE = InnoDB AS "
            f"SELECT {values}, CAST('' AS CHAR(16)) AS digest FROM {self._table} AS t LIMIT 0"
        )
        refuse_untransactional(connection, target.table)  # it stays what it is now until the transaction ends

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Take in rows: a text column for each written column, then the digest."""
        for batch in rows:
            columns = [
                value_literals(column, _texts(texts))
                for column, texts in zip(self._fit.written, batch.columns, strict=False)
            ]
            digests = [f"'{digest}'" for digest in batch.columns[-1].to_pylist()]
            self._insert([f"({', '.join(values)})" for values in zip(*columns, digests, strict=True)])

    def _insert(self, rows: list[str]) -> None:
        portion: list[str] = []
        size = 0
        for row in rows:
            if portion and size + len(row) > MAX_STATEMENT_CHARACTERS:
                self._connection.run(f"INSERT INTO {self._name} VALUES {', '.join(portion)}")
                portion, size = [], 0
            portion.append(row)
            size += len(row) + 2
        if portion:
            self._connection.run(f"INSERT INTO {self._name} VALUES {', '.join(portion)}")

    def total(self) -> Total:
        """Return count and combined digest of what it holds, by the digests that came from the lake."""
        return self._total(f"SELECT digest FROM {self._name}")

    def conflicts(self) -> int:
        """Return for how many of its rows the table already holds one with the same key (or content)."""
        return int(self._connection.one(f"SELECT COUNT(*) FROM {self._name} AS s WHERE {self._is_there()}")[0])

    def examples(self) -> list[str]:
        """Return a few keys (or times) of rows that conflict."""
        shown = [
            _shown(column, f"s.{self._place[column.name]}")
            for column in self._key or ([self._time] if self._time else [])
        ]
        found = self._connection.rows(
            f"SELECT {', '.join(shown) or '1'} FROM {self._name} AS s WHERE {self._is_there()} LIMIT {EXAMPLES}"
        )
        return [", ".join(str(value) for value in row) for row in found]

    def skip(self) -> int:
        """Drop from it what conflicts, and return how many rows that were."""
        return self._connection.run(f"DELETE s FROM {self._name} AS s WHERE {self._is_there()}")

    def insert(self) -> int:
        """Put its rows into the table, and return how many the table took."""
        names = ", ".join(quote(column.name) for column in self._fit.written)
        values = ", ".join(self._place.values())
        return self._connection.run(f"INSERT INTO {self._table} ({names}) SELECT {values} FROM {self._name}")

    def total_in_table(self) -> Total:
        """Return count and combined digest, by the server, of the table's rows with the staged keys (or content)."""
        digest = self._digest_in_table()
        if self._key:
            # From the few to the many, by the key.
            return self._total(
                f"SELECT {digest} AS digest FROM {self._name} AS s STRAIGHT_JOIN {self._table} AS t "
                f"ON {self._same_key()}"
            )
        found = f"SELECT {digest} AS digest FROM {self._table} AS t WHERE {self._same_time()}"
        staged = f"SELECT DISTINCT digest FROM {self._name}"
        return self._total(f"SELECT f.digest FROM ({found}) AS f JOIN ({staged}) AS s ON f.digest = s.digest")

    def differing_columns(self) -> list[str]:
        """Return the written columns in which rows of the table differ from the staged ones with the same key."""
        if not self._key:
            return []
        pairs = [
            (field_expression(column, f"t.{quote(column.name)}"), field_expression(column, f"s.{place}"))
            for column, place in zip(self._fit.written, self._place.values(), strict=True)
        ]
        flags = [f"MAX(CAST({there} AS BINARY) <> CAST({here} AS BINARY))" for there, here in pairs]
        row = self._connection.one(
            f"SELECT {', '.join(flags)} FROM {self._name} AS s STRAIGHT_JOIN {self._table} AS t ON {self._same_key()}"
        )
        return [column.name for column, differs in zip(self._fit.written, row, strict=True) if differs]

    def _is_there(self) -> str:
        if self._key:
            return f"EXISTS (SELECT 1 FROM {self._table} AS t WHERE {self._same_key()})"
        digests = f"SELECT {self._digest_in_table()} FROM {self._table} AS t WHERE {self._same_time()}"
        return f"s.digest IN ({digests})"

    def _same_key(self) -> str:
        """Return the predicate that `t`, of the table, and `s`, staged, have the same key; NULL equals NULL."""
        return " AND ".join(
            f"t.{quote(column.name)} {'<=>' if column.nullable else '='} s.{self._place[column.name]}"
            for column in self._key
        )

    def _same_time(self) -> str:
        """Return the predicate of the table's rows in the span of the staged ones."""
        if self._time is None:
            return "1 = 1"
        place = self._place[self._time.name]
        # Asked first: MySQL cannot name a temporary table twice in one statement.
        bounds = self._connection.one(
            f"SELECT CAST(MIN({place}) AS CHAR), CAST(MAX({place}) AS CHAR) FROM {self._name}"
        )
        if None in bounds:
            return "1 = 1"
        low, high = (literal(str(text)) for text in bounds)
        return f"t.{quote(self._time.name)} BETWEEN {low} AND {high}"

    def _digest_in_table(self) -> str:
        return digest_expression(self._fit.proven, [f"t.{quote(column.name)}" for column in self._fit.proven])

    def _total(self, digests: str) -> Total:
        rows, total = self._connection.one(
            f"SELECT COUNT(*), COALESCE(SUM(CAST(CONV(digest, 16, 10) AS UNSIGNED)), 0) FROM ({digests}) AS all_rows"
        )
        return Total(int(rows), int(total) % DIGEST_MODULUS)


def _texts(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_string()) if not pa.types.is_large_string(array.type) else array


def _shown(column: Column, reference: str) -> str:
    return f"HEX({reference})" if column.kind is Kind.BINARY else text_of(column, reference)
