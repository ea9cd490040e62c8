"""Finds archived rows by key or by predicate, every version of them, wherever they lie in the lake.

A predicate may hold for one version of a row and not for another: whoever asks for the row means all of it. So with a
key, the rows that are found are all versions of the keys of which some version fits, in quarantine as well. Without
one, they are the rows that fit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, duckdb_type, exchange_text, stored_value
from schemas.errors import ConfigError
from tasks.exchange_keys import Keys
from tasks.numbered_rows import FILE_OF_ROW, PLACE_IN_FILE, numbered_rows
from tasks.row_predicate import enclosed, searching
from tasks.versions import Versions

KEYS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place: a file, by its path in the lake, and how many rows of it were found."""

    path: str
    rows: int


class MatchedRows:
    """The rows that were found; which they are stays in tables of the connection.

    Args:
        connection: A DuckDB connection for this one search; gets attached to the lake.
        lake: The lake.
        generations: All current generations of the dataset, oldest snapshot first; at least one. They say which
            columns there are.
        state: What state the data is in, for errors.
        among: Those of them in which to look; by default all.
        key_columns: The key, if not as readers see it.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        generations: list[Generation],
        state: str,
        among: list[Generation] | None = None,
        key_columns: tuple[Column, ...] | None = None,
    ) -> None:
        self._connection, self._lake, self._state = connection, lake, state
        lake.attach(connection)
        versions = Versions(lake, generations)
        self.columns = versions.columns
        self.key_columns = versions.key_columns if key_columns is None else key_columns
        self._names = [f'"tidegate k{i}"' for i in range(len(self.key_columns))]
        self._named_key = list(zip(self.key_columns, self._names, strict=True))
        self._rows = self._numbered(generations if among is None else among)
        self._conditions: list[str] = []
        typed = [f"{name} {duckdb_type(column)}" for column, name in self._named_key]
        connection.execute(
            f"CREATE TABLE matched ({', '.join([f'{FILE_OF_ROW} VARCHAR', f'{PLACE_IN_FILE} BIGINT', *typed])})"
        )
        connection.execute(f"CREATE TABLE wanted ({', '.join(['number INTEGER', *typed])})")

    def find_keys(self, keys: Keys) -> None:
        """Find the rows with these keys, given as exchange texts; a None among them is a key that no row can have."""
        texts = [(number, key) for number, key in enumerate(keys, 1) if key is not None]
        values = [stored_value(c, f"key[{i + 1}]") for i, c in enumerate(self.key_columns)]
        with searching("A key", self._state):
            self._connection.execute(
                f"INSERT INTO wanted SELECT {', '.join(['number', *values])} FROM "
                "(SELECT unnest(?::INTEGER[]) AS number, unnest(?::VARCHAR[][]) AS key)",
                [[number for number, _ in texts], [key for _, key in texts]],
            )
            self._match_wanted()

    def find_where(self, predicate: str, what: str, *, all_versions: bool = True) -> None:
        """Find the rows that a checked predicate holds for, and all other versions of them.

        Args:
            predicate: See `tasks.row_predicate`.
            what: Names it in errors.
            all_versions: Whether versions for which it does not hold go with one for which it does.

        Raises:
            ConfigError: It names columns that are not archived, or is no condition.
        """
        with searching(what, self._state):
            for rows in self._rows[:1]:
                self._refuse_unless_boolean(rows, predicate, what)
            self._match(f"WHERE {enclosed(predicate)}")
            if all_versions:
                self._want_all_versions()

    def find_referring(
        self, foreign_key: tuple[str, ...], keys: Iterable[tuple[pa.StringArray, ...]], table: str
    ) -> None:
        """Find the rows that refer to rows of another table, and all other versions of them.

        Args:
            foreign_key: The columns that refer, in the order of the other table's key.
            keys: Of rows of the other table: exchange texts, an array a column.
            table: The table of these rows, for errors.

        Raises:
            ConfigError: A column that refers is not archived.
        """
        columns = [column for name in foreign_key for column in self.columns if column.name == name]
        if len(columns) < len(foreign_key):
            raise ConfigError(
                f"{table} is archived without ({', '.join(foreign_key)}), so which of its rows belong to the rows that "
                "are to be erased cannot be told.",
                state=self._state,
                next_step="Nothing of it can be erased together with them.",
            )
        names = [f"r{i}" for i in range(len(columns))]
        typed = [f"{name} {duckdb_type(column)}" for name, column in zip(names, columns, strict=True)]
        values = [stored_value(column, f"t{i}") for i, column in enumerate(columns)]
        unnested = ", ".join(f"unnest(${i + 1}::VARCHAR[]) AS t{i}" for i in range(len(columns)))
        with searching("A key", self._state):
            self._connection.execute(f"CREATE TABLE referred ({', '.join(typed)})")
            for texts in keys:
                self._connection.execute(
                    f"INSERT INTO referred SELECT {', '.join(values)} FROM (SELECT {unnested})",
                    [array.to_pylist() for array in texts],
                )
            same = [f"archived.{c.quoted} = referred.{name}" for c, name in zip(columns, names, strict=True)]
            self._match(f"SEMI JOIN referred ON {' AND '.join(same)}")
            self._want_all_versions()

    def has_keys(self, keys: Keys) -> bool:
        """Return whether some of the rows that were found have one of these keys, given as exchange texts."""
        texts = [key for key in keys if key is not None]
        values = [f"{stored_value(c, f'key[{i + 1}]')} AS {n}" for i, (c, n) in enumerate(self._named_key)]
        same = " AND ".join(f"matched.{name} = held.{name}" for name in self._names)
        query = f"SELECT count(*) FROM matched SEMI JOIN (SELECT {', '.join(values)} FROM held) AS held ON {same}"
        with searching("A key of a hold", self._state):
            held = "SELECT unnest(?::VARCHAR[][]) AS key"
            return self._count(f"WITH held AS ({held}) {query}", [texts]) > 0

    def has_where(self, predicate: str, what: str) -> bool:
        """Return whether a checked predicate holds for some of the rows that were found.

        Raises:
            ConfigError: See `find_where`.
        """
        same = f"archived.{FILE_OF_ROW} = matched.{FILE_OF_ROW} AND archived.{PLACE_IN_FILE} = matched.{PLACE_IN_FILE}"
        with searching(what, self._state):
            for rows in self._rows[:1]:
                self._refuse_unless_boolean(rows, predicate, what)
            for rows in self._rows:
                held = f"SELECT {FILE_OF_ROW}, {PLACE_IN_FILE} FROM ({rows}) AS archived WHERE {enclosed(predicate)}"
                query = f"SELECT count(*) FROM ({held}) AS archived SEMI JOIN matched ON {same}"
                if self._count(query):
                    return True
        return False

    def places(self) -> list[Place]:
        """Return the files that hold rows that were found."""
        found = self._connection.execute(
            f"SELECT {FILE_OF_ROW}, count(DISTINCT {PLACE_IN_FILE}) FROM matched GROUP BY 1"
        ).fetchall()
        return [Place(path.removeprefix(f"{self._lake.url}/"), rows) for path, rows in sorted(found)]

    def rows_of(self, path: str) -> NDArray[np.int64]:
        """Return the places, from 0, of the rows of a file that were found, in order."""
        found = self._connection.execute(
            f"SELECT DISTINCT {PLACE_IN_FILE} AS row FROM matched WHERE {FILE_OF_ROW} = ? ORDER BY 1",
            [f"{self._lake.url}/{path}"],
        ).fetchnumpy()["row"]
        return np.asarray(found, np.int64)

    def left_in(self, generations: list[Generation]) -> int:
        """Return how many such rows there are in generations that were made since, read from the lake."""
        left = 0
        with searching("What was written", self._state):
            for rows in self._numbered(generations):
                for condition in self._conditions:
                    query = f"SELECT count(*) FROM ({rows}) AS archived {condition}"
                    left += self._count(query)
        return left

    @property
    def different_keys(self) -> int | None:
        """How many different keys the rows have; None without a key."""
        if not self._names:
            return None
        found = self._connection.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(self._names)} FROM matched)"
        )
        return int((found.fetchone() or (0,))[0])

    def missing(self, number: int) -> tuple[int, ...]:
        """Return which of so many keys that were asked for, by their places from 1, have no row."""
        query = f"SELECT number FROM wanted SEMI JOIN matched ON {self._same_key('matched')}"
        found = {n for (n,) in self._connection.execute(query).fetchall()}
        return tuple(n for n in range(1, number + 1) if n not in found)

    def key_texts(self) -> Iterator[tuple[pa.StringArray, ...]]:
        """Yield the keys that were found as exchange texts, an array a column of the key, some thousands at a time."""
        columns = [c.model_copy(update={"name": f"tidegate k{i}"}) for i, c in enumerate(self.key_columns)]
        texts = [f"{exchange_text(column)} AS k{i}" for i, column in enumerate(columns)]
        if not texts:
            return
        query = f"SELECT DISTINCT {', '.join(texts)} FROM matched WHERE {self._keyed}"
        found = self._connection.execute(query)
        while keys := found.fetchmany(KEYS_AT_ONCE):
            yield tuple(pa.array(values, pa.string()) for values in zip(*keys, strict=True))

    def _numbered(self, generations: list[Generation]) -> list[str]:
        return numbered_rows(self._connection, self._lake, generations, self.columns, self._named_key)

    @property
    def _keyed(self) -> str:
        return " AND ".join(f"{name} IS NOT NULL" for name in self._names)

    def _want_all_versions(self) -> None:
        if self._names:
            keys = ", ".join(self._names)
            self._connection.execute(f"INSERT INTO wanted SELECT DISTINCT 0, {keys} FROM matched WHERE {self._keyed}")
            self._match_wanted()

    def _match_wanted(self) -> None:
        self._match(f"SEMI JOIN wanted ON {self._same_key('archived')}")

    def _match(self, condition: str) -> None:
        self._conditions.append(condition)
        columns = ", ".join([FILE_OF_ROW, PLACE_IN_FILE, *self._names])
        for rows in self._rows:
            self._connection.execute(f"INSERT INTO matched SELECT {columns} FROM ({rows}) AS archived {condition}")

    def _count(self, query: str, parameters: list[object] | None = None) -> int:
        # All of the answer is taken: DuckDB does no other work on the connection before.
        return int(self._connection.execute(query, parameters).fetchall()[0][0])

    def _same_key(self, other: str) -> str:
        return " AND ".join(f"{other}.{name} = wanted.{name}" for name in self._names)

    def _refuse_unless_boolean(self, rows: str, predicate: str, what: str) -> None:
        # `--where customer_id` would hold for every customer but number 0.
        described = self._connection.execute(
            f"DESCRIBE SELECT {enclosed(predicate)} AS condition FROM ({rows}) AS archived"
        ).fetchall()
        kind = described[0][1]
        if kind != "BOOLEAN":
            raise ConfigError(
                f"{what} is no condition: it is of type {kind}, not BOOLEAN.",
                state=self._state,
                next_step="Compare it with something, as after WHERE in tidegate query.",
            )
