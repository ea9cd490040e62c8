"""Reads the keys of archived rows straight from the lake, one query for all generations of the same columns."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import duckdb

from blocks.duck import text_literal
from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, Kind, duckdb_type, exchange_text
from schemas.manifest import Manifest
from schemas.restore import RestoreRequest
from schemas.window import as_moment

# Names of our own hold a space, so that no column of an archive is mistaken for one.
GENERATION, FILE = '"tidegate generation"', '"tidegate file"'
_PATH = '"tidegate path"'
_PLACES = f"places ({_PATH} VARCHAR, {GENERATION} INTEGER, {FILE} INTEGER)"


class ArchivedKeys:
    """Keys of the rows of committed generations, as queries for a DuckDB connection.

    Generations and their files are known by their numbers: places in the list, and in the manifest.

    Args:
        connection: Gets attached to the lake.
        lake: The lake.
        generations: All committed generations of the dataset, oldest snapshot first.
        request: Which rows are wanted.
        zone: What a moment without a time zone means.

    Attributes:
        columns: The key's columns, as the newest generation has them.
        names: Their names in what the queries give.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        generations: list[Generation],
        request: RestoreRequest,
        zone: ZoneInfo,
    ) -> None:
        self._connection, self._lake, self._generations = connection, lake, generations
        self._request, self._zone = request, zone
        self.columns = key_columns(generations[-1].manifest)
        self.names = [f'"tidegate k{i}"' for i in range(len(self.columns))]
        lake.attach(connection)
        connection.execute(f"CREATE TABLE {_PLACES}")

    def candidates(self) -> list[int]:
        """Return the generations whose windows share time with the range that is wanted."""
        return [n for n, generation in enumerate(self._generations) if self._may_hold(generation.manifest)]

    def predicate(self, n: int) -> str:
        """Return the predicate, over a generation's files, of the rows whose time is in the range."""
        manifest = self._generations[n].manifest
        kind, since, until = self._range(manifest)
        kinds = {Kind.DATE: "TIMESTAMP", Kind.TIMESTAMP: "TIMESTAMP", Kind.TIMESTAMPTZ: "TIMESTAMPTZ"}
        name = next(column.quoted for column in manifest.columns if column.name == manifest.time_column)
        limits = [
            f"{name} {sign} {text_literal(moment.isoformat(sep=' '))}::{kinds[kind]}"
            for sign, moment in ((">=", since), ("<", until))
            if moment is not None
        ]
        return " AND ".join(limits) or "true"

    def values(self, n: int) -> list[str]:
        """Return the key's values, over a generation's files, in the types of the newest generation."""
        columns = {column.name: column for column in self._generations[n].manifest.columns}
        values = []
        for newest in self.columns:
            column = columns.get(newest.name)
            if column is None:
                values.append(f"NULL::{duckdb_type(newest)}")
            elif duckdb_type(column) == duckdb_type(newest):
                values.append(column.quoted)
            else:
                values.append(f"TRY_CAST({exchange_text(column)} AS {duckdb_type(newest)})")
        return values

    def queries(self, numbers: list[int], *, in_range: bool) -> list[str]:
        """Return queries that together give key, generation and file of all rows (in the range)."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for n in numbers:
            manifest = self._generations[n].manifest
            identity = tuple((column.name, column.arrow_type) for column in manifest.columns)
            alike.setdefault((identity, manifest.time_column), []).append(n)
        queries = [self._query(group, in_range) for group in alike.values()]
        return [query for query in queries if query]

    def _query(self, numbers: list[int], in_range: bool) -> str | None:
        places = [
            (self._lake.duckdb_path(file.path), n, i)
            for n in numbers
            for i, file in enumerate(self._generations[n].manifest.files)
            if file.path not in self._generations[n].removed
        ]
        if not places:
            return None
        paths = ", ".join(text_literal(path) for path, _, _ in places)
        plain = [(re.sub(r"\[([*?\[])\]", r"\1", path), n, i) for path, n, i in places]
        self._connection.execute(
            "INSERT INTO places SELECT unnest(?::VARCHAR[]), unnest(?::INTEGER[]), unnest(?::INTEGER[])",
            [list(values) for values in zip(*plain, strict=True)],
        )
        values = [f"{v} AS {name}" for v, name in zip(self.values(numbers[0]), self.names, strict=True)]
        read = f"read_parquet([{paths}], hive_partitioning = false, filename = 'tidegate path')"
        rows = f"SELECT {', '.join([*values, _PATH])} FROM {read}"
        if in_range:
            rows += f" WHERE {self.predicate(numbers[0])}"
        columns = ", ".join([*self.names, GENERATION, FILE])
        return f"SELECT {columns} FROM ({rows}) AS archived JOIN (SELECT DISTINCT * FROM places) AS p USING ({_PATH})"

    def _may_hold(self, manifest: Manifest) -> bool:
        _, since, until = self._range(manifest)
        return (since is None or since < manifest.window.end) and (until is None or until > manifest.window.start)

    def _range(self, manifest: Manifest) -> tuple[Kind, datetime | None, datetime | None]:
        kind = next(column.kind for column in manifest.columns if column.name == manifest.time_column)
        since, until = (
            as_moment(moment, self._zone, aware=kind is Kind.TIMESTAMPTZ) if moment else None
            for moment in (self._request.from_, self._request.to)
        )
        return kind, since, until


def key_columns(manifest: Manifest) -> tuple[Column, ...]:
    """Return the key's columns as a manifest has them, in the key's order."""
    return tuple(column for name in manifest.key for column in manifest.columns if column.name == name)
