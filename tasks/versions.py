"""DuckDB SQL for the rows of a dataset: every version that was archived, or the newest one of each key.

A key may be in several generations: a row changed after it was archived, or moved to another window. The newest
version is the one with the latest snapshot (`taken_at`). Looking for newer versions costs a read of key columns, so
it is done only where manifests and receipts do not rule it out (`tasks.superseding`).
"""

from collections.abc import Callable, Iterable

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, duckdb_type, quote_identifier
from schemas.manifest import DataFile
from schemas.partition import DERIVED_KEYS
from tasks.common_columns import common_columns
from tasks.current_state import current_places
from tasks.scan import Scan, derived_key, known, scans
from tasks.superseding import Superseding, superseding

WINDOW_START, GENERATION, TAKEN_AT = "_window_start", "_generation", "_taken_at"
Keep = Callable[[DataFile], bool]


class Versions:
    """The row versions of one dataset.

    Args:
        lake: Where the files are.
        generations: All committed generations, oldest snapshot first; at least one.

    Attributes:
        columns: What readers see: the columns of all generations, then the derived partition keys as integers.
        key: Names of the key's columns in the newest generation; () if there is none, and then every row is its own.
        version_columns: Names of the columns that tell a version: its window's start, its generation's number, and
            the moment of its snapshot. They get another underscore where the table has such a column itself.
    """

    def __init__(self, lake: Lake, generations: list[Generation]) -> None:
        self._lake = lake
        self.generations = generations
        manifests = [generation.manifest for generation in generations]
        table = common_columns(manifests)
        taken = {column.name.casefold() for column in table}
        used = {key for manifest in manifests for key in manifest.partition_by} - taken
        self.columns = table + tuple(derived_key(key) for key in DERIVED_KEYS if key in used)
        self.key = manifests[-1].key
        self._current = current_places(generations)
        self.version_columns = tuple(_free(name, taken) for name in (WINDOW_START, GENERATION, TAKEN_AT))

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns, in the key's order."""
        return tuple(column for name in self.key for column in self.columns if column.name == name)

    def history(self) -> str:
        """Return SQL for every version of every row, with the columns that tell versions apart."""
        every = self._scans(range(len(self.generations)), None)
        return " UNION ALL ".join(self._select(scan, versions=True) for scan in every) or self._nothing(versions=True)

    def every(self) -> str:
        """Return SQL for all rows of the generations that count, whatever came of their keys later."""
        scans = self._scans(self._current, None)
        return " UNION ALL ".join(self._select(scan, versions=False) for scan in scans) or self._nothing(versions=False)

    def newest(self, keep: Keep | None = None, *, only_keys: str = "", versions: bool = False) -> str:
        """Return SQL for the newest version of each key; for all rows if there is no key.

        Args:
            keep: Which files to read; by default all. Newer versions are looked for in all files nevertheless.
            only_keys: A condition on the key's columns that is also applied where newer versions are looked for.
            versions: Whether the columns that tell versions apart come last.
        """
        found = superseding(self.generations) if self.key else Superseding()
        alone = [place for place in self._current if place not in found.older]
        newer = self._newer(sorted(found.newer.intersection(self._current)), only_keys)
        selects = [self._select(scan, versions=versions) for scan in self._scans(alone, keep)]
        for scan in self._scans([place for place in self._current if place in found.older], keep):
            select = self._select(scan, versions=versions, dated=True)
            if not newer:  # all that was newer has been removed
                selects.append(select)
                continue
            same_key = [f"{scan.value(c)} = newer.{c.quoted}" for c in self.key_columns]
            condition = " AND ".join([*same_key, f"newer._tidegate_place > {known('place')}"])
            selects.append(f"{select} ANTI JOIN ({newer}) AS newer ON {condition}")
        return " UNION ALL ".join(selects) or self._nothing(versions=versions)

    def _newer(self, places: list[int], only_keys: str) -> str:
        """Return SQL for the keys of some generations, with the places of these."""
        selects = []
        for scan in self._scans(places, None):
            keys = [f"{scan.value(c)} AS {c.quoted}" for c in self.key_columns]
            selects.append(f"SELECT {', '.join(keys)}, {known('place')} AS _tidegate_place FROM {scan.dated_source}")
        if not selects:
            return ""
        keys_of_all = " UNION ALL ".join(selects)
        return f"SELECT * FROM ({keys_of_all}) WHERE {only_keys}" if only_keys else keys_of_all

    def _scans(self, places: Iterable[int], keep: Keep | None) -> list[Scan]:
        return scans(self._lake, self.generations, places, self.columns, keep)

    def _select(self, scan: Scan, *, versions: bool, dated: bool = False) -> str:
        values = [f"{scan.value(column)} AS {column.quoted}" for column in self.columns]
        if versions:
            # A time column without a time zone has windows without one; where both occur, UTC is shown.
            aware = any(generation.manifest.window.start.tzinfo for generation in self.generations)
            start = "o.window_start" if aware else "o.window_start::TIMESTAMP"
            values += [
                f"{value} AS {quote_identifier(name)}"
                for value, name in zip((start, known("generation"), "o.taken_at"), self.version_columns, strict=True)
            ]
        return f"SELECT {', '.join(values)} FROM {scan.dated_source if versions or dated else scan.source}"

    def _nothing(self, *, versions: bool) -> str:
        types = [(column.name, duckdb_type(column)) for column in self.columns]
        if versions:
            types += zip(self.version_columns, ("TIMESTAMPTZ", "INTEGER", "TIMESTAMPTZ"), strict=True)
        nulls = [f"CAST(NULL AS {kind}) AS {quote_identifier(name)}" for name, kind in types]
        return f"SELECT {', '.join(nulls)} WHERE false"


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
