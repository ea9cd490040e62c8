"""A table with two columns of one type, its archive, and a copy of it made from nothing but the Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from pg_types import PgType
from service_bench import Bench

from blocks.dialects.postgresql.session import session, statement
from blocks.dialects.postgresql.types import restore_expression
from blocks.duck import read_files
from blocks.ledger import Generation

Value = str | None


@dataclass
class TypedTable:
    """A fresh table `typed (id, at, value, other)` with one row a pair of values, and its bench.

    Attributes:
        url: Of a database in which `pg_types.SETUP` has run.
        folder: Of the project.
        type: Of the columns `value` and `other`.
    """

    url: str
    folder: Path
    type: PgType

    def __post_init__(self) -> None:
        self.bench = Bench(self.url, self.folder)
        self.bench.configure(name="typed", table="public.typed", time_column="at", partition_by=["year"], window="year")

    def fill(self, values: Sequence[Value], others: Sequence[Value] | None = None) -> None:
        """Create the table anew, with these values."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS restored, typed")
            connection.execute(
                "CREATE TABLE typed (id bigint PRIMARY KEY, at timestamptz NOT NULL, "
                f"value {self.type.sql}, other {self.type.sql})"  # type: ignore[arg-type]
            )
            with connection.cursor().copy("COPY typed FROM STDIN") as copy:
                for number, (value, other) in enumerate(zip(values, others or values, strict=True)):
                    copy.write_row((number, "2024-02-29 12:00:00.000001+00", value, other))

    def archive(self) -> Generation:
        """Export the table and return its one generation."""
        self.bench.export()
        (generation,) = self.bench.generations()
        return generation

    def load_back(self) -> None:
        """Make the table `restored` from the lake alone."""
        (generation,) = self.bench.generations()
        columns = generation.manifest.columns
        texts = ", ".join(restore_expression(column) for column in columns)
        with duckdb.connect() as lake, session(self.url) as connection:
            lake.execute("SET TimeZone = 'UTC'")
            files = read_files([str(path) for path in self.bench.lake_files()])
            connection.execute("DROP TABLE IF EXISTS restored")
            connection.execute("CREATE TABLE restored (LIKE typed)")
            names = ", ".join(column.quoted for column in columns)
            with connection.cursor().copy(statement(f"COPY restored ({names}) FROM STDIN")) as copy:
                for row in lake.execute(f"SELECT {texts} FROM {files}").fetchall():
                    copy.write_row(row)

    def differences(self) -> list[tuple[object, ...]]:
        """Return the rows of `typed` and `restored` that the other lacks, as the server prints them."""
        printed = "id, at, value IS NULL, concat(value), other IS NULL, concat(other)"
        both = [f"SELECT {printed} FROM {name}" for name in ("typed", "restored")]
        found = self.bench.sql(f"({both[0]} EXCEPT ALL {both[1]}) UNION ALL ({both[1]} EXCEPT ALL {both[0]})")
        if self.type.is_key:
            columns = "id, at, value, other"
            both = [f"SELECT {columns} FROM {name}" for name in ("typed", "restored")]
            found += self.bench.sql(f"({both[0]} EXCEPT ALL {both[1]}) UNION ALL ({both[1]} EXCEPT ALL {both[0]})")
        return found
