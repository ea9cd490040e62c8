"""The oracle of the fault tests: what users wrote, compared with what the source and the lake hold now.

It knows nothing of digests, fences or plans. A row version is the text of each of its values, on the source's side
printed by the database itself, on the lake's side read with pyarrow and printed here. The table has a primary key.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from threading import Lock
from typing import Any, TypeAlias

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql
from service_bench import Bench

Version: TypeAlias = tuple[tuple[str, str | None], ...]  # (column, text of its value), in the order of the names

_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"


class Oracle:
    """Every version of the rows of a table that users ever wrote, and which of them are still theirs to find.

    Args:
        bench: The project; the rows that are in the table now are taken for written by users.
        table: The table.
        scope: The predicate of the rows that the archive is to move; all others are to stay as they are.

    Attributes:
        written: Every version that was ever written, and whether it is in scope.
        live: The versions that no user has changed or deleted: each has to be somewhere.
    """

    def __init__(self, bench: Bench, table: str = "orders", scope: str = "true") -> None:
        self._bench, self._table, self._scope = bench, table, scope
        self._lock = Lock()
        self.written: dict[Version, bool] = {}
        self.live: set[Version] = set()
        self._note({}, self.source())

    def write(self, query: str, *parameters: Any) -> None:
        """Run a user's statement. Safe while an archiver runs: what changes is seen inside one snapshot.

        Raises:
            psycopg.errors.SerializationFailure: The archiver deleted one of the rows meanwhile; nothing was written.
        """
        with self._connect() as connection:
            before = self._read(connection)
            connection.execute(query, parameters or None)
            after = self._read(connection)
            connection.commit()
        self._note(before, after)

    @contextmanager
    def user_acts(self) -> Iterator[None]:
        """Take everything that happens to the table inside of the block for a user's will: a restore, say."""
        before = self.source()
        try:
            yield
        finally:
            self._note(before, self.source())

    def source(self) -> dict[Version, bool]:
        """Return the versions that the source holds now, and whether each is in scope."""
        with self._connect() as connection:
            return self._read(connection)

    def lake(self) -> dict[str, list[Version]]:
        """Return the versions in each committed generation, by the path of its manifest.

        Raises:
            AssertionError: A file that a manifest names is not there.
        """
        lake = self._bench.lake
        try:
            return {
                generation.manifest.path: [v for path in generation.files for v in versions_in(lake.read(path))]
                for generation in self._bench.generations()
            }
        except FileNotFoundError as error:
            raise AssertionError(f"a committed file is missing: {error}") from error

    def check(self, bench: Bench | None = None) -> int:
        """Compare the source and the lake with what was written, and return how many rows were looked at.

        Raises:
            AssertionError: A row is lost, in the lake twice or with other values, or touched out of scope.
        """
        self._bench = bench or self._bench
        return self.compare(self.source(), self.lake())

    def compare(self, source: dict[Version, bool], archived: dict[str, list[Version]]) -> int:
        """Do what `check` does with what was found in the source and in the lake."""
        copies = Counter(version for versions in archived.values() for version in versions)
        outside = {version for version in self.live if not self.written[version]}
        _none(self.live - source.keys() - copies.keys(), "lost: neither in the source nor in the lake")
        _none(outside - source.keys(), "out of scope, and no longer in the source")
        _none(source.keys() - self.live, "in the source, though no user left them there")
        _none((version for version, n in copies.items() if n > 1), "in the lake more than once")
        _none(copies.keys() - self.written.keys(), "in the lake with values that nobody wrote")
        _none((version for version in copies if not self.written.get(version)), "in the lake, though out of scope")
        return len(source) + copies.total()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(self._bench.url, cursor_factory=psycopg.RawCursor, options="-c TimeZone=UTC")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return connection

    def _read(self, connection: psycopg.Connection[tuple[Any, ...]]) -> dict[Version, bool]:
        names = sorted(name for (name,) in connection.execute(_COLUMNS, [self._table]))
        values = ", ".join(f"{sql.Identifier(name).as_string()}::text" for name in names)
        query = sql.SQL(f"SELECT ({self._scope}) IS TRUE, {values} FROM {self._table}")
        return {tuple(zip(names, texts, strict=True)): inside for inside, *texts in connection.execute(query)}

    def _note(self, before: dict[Version, bool], after: dict[Version, bool]) -> None:
        with self._lock:
            self.written.update(after)
            self.live -= before.keys() - after.keys()
            self.live |= after.keys() - before.keys()


class QuietOracle(Oracle):
    """The oracle of another database than PostgreSQL, which a subclass knows: nobody writes while an archiver runs."""

    def write(self, query: str, *parameters: Any) -> None:
        """Run a user's statement."""
        with self.user_acts():
            self._bench.sql(query, *parameters)


def versions_in(data: bytes) -> Iterator[Version]:
    """Return the versions in a data file with these bytes."""
    table = pq.ParquetFile(pa.BufferReader(data)).read()
    names = sorted(table.column_names)
    columns = [[_text(value) for value in table.column(name).to_pylist()] for name in names]
    return (tuple(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _text(value: object) -> str | None:
    """Return a value as PostgreSQL prints it in UTC, and as others are made to; a type that no fault test has is an
    error.
    """
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case float():
            return repr(value).removesuffix(".0")
        case datetime():
            text = value.isoformat(sep=" ", timespec="microseconds").removesuffix("+00:00")
            return text.rstrip("0").rstrip(".") + ("+00" if value.tzinfo else "")
        case date():
            return value.isoformat()
        case bytes():
            return f"\\x{value.hex()}"
    raise TypeError(f"the oracle does not know how PostgreSQL prints a {type(value).__name__}")


def _none(versions: Iterable[Version], what: str) -> None:
    found = sorted(versions, key=str)
    if found:
        shown = "\n".join(f"  {dict(version)}" for version in found[:5])
        raise AssertionError(f"{len(found)} row versions are {what}, for example:\n{shown}")
