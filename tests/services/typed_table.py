"""A table with two columns of one type, its archive, and what comes back from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pg_types import PgType
from service_bench import Bench

from blocks.dialects.postgresql.session import statement
from blocks.ledger import Generation
from schemas.restore import RestoreReport, RestoreRequest
from tasks.restore import restore_rows

Value = str | None


@dataclass
class TypedTable:
    """A table `typed (id, at, value, other)` with a row for each pair of values, and its bench.

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
        """Create the table anew with these values, and the table `original` with the same rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS original, typed")
            connection.execute(
                statement(
                    "CREATE TABLE typed (id bigint PRIMARY KEY, at timestamptz NOT NULL, "
                    f"value {self.type.sql}, other {self.type.sql})"
                )
            )
            with connection.cursor().copy("COPY typed FROM STDIN") as copy:
                for number, (value, other) in enumerate(zip(values, others or values, strict=True)):
                    copy.write_row((number, "2024-02-29 12:00:00.000001+00", value, other))
            connection.execute("CREATE TABLE original AS TABLE typed")

    def archive(self) -> Generation:
        """Export the table and return its one generation."""
        self.bench.export()
        (generation,) = self.bench.generations()
        return generation

    def restore(self) -> RestoreReport:
        """Put all rows back from the lake."""
        project = self.bench.project
        return restore_rows(project, project.archives[0], RestoreRequest.of(from_="2000-01-01"))

    def differences(self) -> list[tuple[object, ...]]:
        """Return the rows of `typed` and `original` that the other lacks, by what the server prints and by `=`."""
        found = self._differing("id, at, value IS NULL, concat(value), other IS NULL, concat(other)")
        return found + self._differing("id, at, value, other") if self.type.is_key else found

    def _differing(self, columns: str) -> list[tuple[object, ...]]:
        one, two = (f"SELECT {columns} FROM {name}" for name in ("typed", "original"))
        return self.bench.sql(f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})")
