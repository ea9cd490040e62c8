"""What only a table as a whole can tell of its rows: which share a key, and which refer to nothing.

DuckDB finds them, spilling to disk within its memory limit. The rows that are wrong lie in a temporary table, by the
number of their file and their place in it; the Pandera schema of the checks then judges the answer for each row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blocks.duck import read_files
from schemas.column_plan import Column, duckdb_type, quote_identifier
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.pipelines.checks import ForeignKey
from tasks.build.check_rules import ROW_NUMBER, Rule

# Types of DuckDB that are compared with one another without a cast that can fail on a value.
_NUMBERS = ("INT", "DECIMAL", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class WrongRows:
    """The rows that a check of the whole table found wrong.

    Attributes:
        name: What its temporary tables are called by.
        files: Numbers of the files that have some.
    """

    name: str
    files: frozenset[int] = frozenset()

    @property
    def table(self) -> str:
        """The temporary table that names them."""
        return self.beside("rows")

    def beside(self, what: str) -> str:
        """Return the name of a temporary table of this check."""
        return quote_identifier(f"tidegate {self.name} {what}")

    def rule(self, file: int) -> Rule:
        """Return the rule for the rows of a file: that they are not among them."""
        if file not in self.files:
            return Rule("true", lambda v: v)
        return Rule(f"({ROW_NUMBER} NOT IN (SELECT row FROM {self.table} WHERE file = {file}))", lambda v: v)


@contextmanager
def wrong_rows(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[WrongRows]:
    """Hold a temporary table for the rows that are wrong, until the block ends."""
    rows = WrongRows(name)
    connection.execute(f"CREATE TEMP TABLE {rows.table} (file INTEGER, row BIGINT)")
    try:
        yield rows
    finally:
        connection.execute(f"DROP TABLE {rows.table}")


def find_repeated(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    columns: Sequence[str],
    into: WrongRows,
    earlier: str | None = None,
) -> WrongRows:
    """Find the rows that share the values of some columns with another row; NULL is no value.

    The other one may be among the rows that the table has `earlier`, which are not judged themselves. The values are
    counted by their hash first, which is much smaller than they are; what is left by that is compared as it is.
    """
    names = [quote_identifier(column) for column in columns]
    data, keys = read_files([str(file) for file in files]), ", ".join(names)
    if earlier is not None:
        data = f"(SELECT {keys} FROM {data} UNION ALL SELECT {keys} FROM {earlier})"
    complete = " AND ".join(f"{name} IS NOT NULL" for name in names)
    hashes, repeated = into.beside("hashes"), into.beside("values")
    try:
        connection.execute(
            f"CREATE TEMP TABLE {hashes} AS SELECT hash({keys}) AS hashed FROM {data} WHERE {complete} "
            "GROUP BY ALL HAVING count(*) > 1"
        )
        if not _has_rows(connection, hashes):
            return into
        connection.execute(
            f"CREATE TEMP TABLE {repeated} AS SELECT {keys} FROM {data} "
            f"WHERE {complete} AND hash({keys}) IN (SELECT hashed FROM {hashes}) GROUP BY ALL HAVING count(*) > 1"
        )
        same = " AND ".join(f"rows.{name} = repeated.{name}" for name in names)
        return _collect(connection, files, f"EXISTS (SELECT 1 FROM {repeated} AS repeated WHERE {same})", into)
    finally:
        for table in (hashes, repeated):
            connection.execute(f"DROP TABLE IF EXISTS {table}")


def find_dangling(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    check: ForeignKey,
    relation: str,
    into: WrongRows,
) -> WrongRows:
    """Find the rows whose values are not in the table that they refer to; a row with a NULL among them refers to none.

    Args:
        connection: Where the table that is referred to can be read.
        files: The rows that are checked.
        check: The foreign key.
        relation: The table that is referred to.
        into: What takes the rows.
    """
    own = [quote_identifier(column) for column in check.named_columns]
    theirs = [quote_identifier(column) for column in check.referenced_columns]
    referred = into.beside("referred")
    keys = ", ".join(f"{name} AS key{n}" for n, name in enumerate(theirs))
    complete = " AND ".join(f"rows.{name} IS NOT NULL" for name in own)
    same = " AND ".join(f"rows.{name} = referred.key{n}" for n, name in enumerate(own))
    connection.execute(f"CREATE TEMP TABLE {referred} AS SELECT DISTINCT {keys} FROM {relation}")
    try:
        missing = f"{complete} AND NOT EXISTS (SELECT 1 FROM {referred} AS referred WHERE {same})"
        return _collect(connection, files, missing, into)
    finally:
        connection.execute(f"DROP TABLE {referred}")


def check_reference(
    connection: duckdb.DuckDBPyConnection,
    check: ForeignKey,
    columns: Mapping[str, Column],
    tables: Mapping[str, str],
    label: str,
) -> str:
    """Return the relation that a foreign key refers to.

    Raises:
        ConfigError: There is no such table or column, or its values are of another kind, such as text and numbers.
    """
    dataset = check.references.dataset
    if dataset not in tables:
        raise _wrong(f"{label}: there is no table {dataset.replace('/', '.')!r}{did_you_mean(dataset, tables)}")
    described = connection.execute(f"DESCRIBE SELECT * FROM {tables[dataset]}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    for own, other in zip(check.named_columns, check.referenced_columns, strict=True):
        if other not in types:
            raise _wrong(f"{label}: {dataset.replace('/', '.')} has no column {other!r}{did_you_mean(other, types)}")
        if _family(duckdb_type(columns[own])) != _family(types[other]):
            raise _wrong(
                f"{label}: {own} is {duckdb_type(columns[own])}, and {dataset.replace('/', '.')}.{other} is "
                f"{types[other]}; they cannot be compared without a cast"
            )
    return tables[dataset]


def _wrong(what: str) -> ConfigError:
    return ConfigError(
        f"{what}.",
        state="Nothing of this table was committed; it is as it was.",
        next_step="Correct `references` in pipelines.yaml.",
    )


def _family(kind: str) -> str:
    if any(number in kind for number in _NUMBERS) and kind != "INTERVAL":
        return "number"
    return "moment" if kind.startswith(("DATE", "TIMESTAMP")) else kind


def _collect(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], condition: str, into: WrongRows
) -> WrongRows:
    for number, file in enumerate(files):
        connection.execute(
            f"INSERT INTO {into.table} SELECT {number}, rows.{ROW_NUMBER} "
            f"FROM {read_files([str(file)])} AS rows WHERE {condition}"
        )
    found = connection.execute(f"SELECT DISTINCT file FROM {into.table}").fetchall()
    return WrongRows(into.name, frozenset(int(file) for (file,) in found))


def _has_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())
