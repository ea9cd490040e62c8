"""DuckDB SQL for reading files of a dataset: by name, with the types of their manifests, pruned by their paths.

Partition keys are taken from the paths wherever path and file are sure to say the same, because that lets DuckDB
leave files unopened; derived keys (`year`, …) are nowhere else. Where the path is not sure, they are computed from
the time column, and nothing is pruned.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from blocks.duck import text_literal
from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, Kind, duckdb_type, quote_identifier
from schemas.manifest import DataFile, Manifest

FILE = "tidegate file"  # it holds a space, so that no column of an archive is mistaken for it

# Partition values that DuckDB reads from a path as they were. Of text, all are.
_PLAIN = {
    Kind.INTEGER: re.compile(r"-?\d{1,19}"),
    Kind.BOOLEAN: re.compile(r"true|false"),
    Kind.DATE: re.compile(r"\d{4}-\d\d-\d\d"),
}


@dataclass
class Scan:
    """Files that one `read_parquet` reads: they have the same columns and the same partition keys.

    Attributes:
        lake: Where they are.
        manifest: A manifest that names some of them; the others have the same columns, keys and time zone.
        by_path: Whether partition keys are taken from the paths.
        files: The files, each with its generation and that one's place in the order of age.
    """

    lake: Lake
    manifest: Manifest
    by_path: bool
    files: list[tuple[int, Generation, DataFile]] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The files, as `f`."""
        return self._source("")

    @property
    def numbered_source(self) -> str:
        """The files, as `f`, with each row's place in its file, from 0, as `file_row_number`.

        A column of the table that is called so hides it.
        """
        return self._source(", file_row_number = true")

    def _source(self, options: str) -> str:
        paths = ", ".join(text_literal(self.lake.duckdb_path(file.path)) for _, _, file in self.files)
        hive = "hive_partitioning = false"
        if self.by_path:
            columns = {column.name: column for column in self.manifest.columns}
            types = [
                f"{text_literal(key)}: {duckdb_type(columns[key]) if key in columns else 'INTEGER'}"
                for key in self.manifest.partition_by
                if quote(key, safe="") == key  # DuckDB does not decode keys; such a column comes from the file
            ]
            hive = "hive_partitioning = true" + (f", hive_types = {{{', '.join(types)}}}" if types else "")
        return f"read_parquet([{paths}], {hive}, filename = {text_literal(FILE)}{options}) AS f"

    @property
    def dated_source(self) -> str:
        """The files, as `f`, joined with what is known of each file's generation, as `o`.

        `o` has `place` (in the order of age), `window_start`, `generation` and `taken_at`.
        """
        rows = []
        for place, generation, file in self.files:
            manifest = generation.manifest
            rows.append(
                f"({text_literal(f'{self.lake.url}/{file.path}')}, {place}, {manifest.generation}, "
                f"TIMESTAMPTZ {text_literal(manifest.window.start.isoformat())}, "
                f"TIMESTAMPTZ {text_literal(manifest.attestation.snapshot.taken_at.isoformat())})"
            )
        # A file that DuckDB reports under another name must not drop out of the join unnoticed.
        known = (
            "SELECT file, place, generation, window_start, taken_at "
            f"FROM (VALUES {', '.join(rows)}) AS v(file, place, generation, window_start, taken_at)"
        )
        return f"{self.source} LEFT JOIN ({known}) AS o ON f.{quote_identifier(FILE)} = o.file"

    def value(self, column: Column) -> str:
        """Return SQL, over `f`, for a column that readers see; NULL if these files do not have it."""
        wanted = duckdb_type(column)
        own = next((c for c in self.manifest.columns if c.name.casefold() == column.name.casefold()), None)
        if own is not None:
            stored = f"f.{own.quoted}"
            return stored if duckdb_type(own) == wanted else f"CAST({stored} AS {wanted})"
        if column != derived_key(column.name):
            return f"CAST(NULL AS {wanted})"
        if self.by_path and column.name in self.manifest.partition_by:
            return f"f.{column.quoted}"
        time = next(c for c in self.manifest.columns if c.name == self.manifest.time_column)
        local = f"timezone({text_literal(self.manifest.timezone)}, f.{time.quoted})"
        moment = local if time.kind is Kind.TIMESTAMPTZ else f"f.{time.quoted}"
        return f"CAST(date_part({text_literal(column.name)}, {moment}) AS {wanted})"


def known(name: str) -> str:
    """Return SQL for what is known of a file's generation (a column of `o`), over a `dated_source`."""
    return f"coalesce(o.{name}, error('no manifest names the file ' || f.{quote_identifier(FILE)}))"


def derived_key(name: str) -> Column:
    """Return the column that readers see for a derived partition key."""
    return Column(name=name, source_type="partition key", kind=Kind.INTEGER, bits=32, derived=name)


def scans(
    lake: Lake,
    generations: list[Generation],
    places: Iterable[int],
    columns: Iterable[Column],
    keep: Callable[[DataFile], bool] | None = None,
) -> list[Scan]:
    """Return the scans that read the files of some generations that readers see.

    Args:
        lake: The lake.
        generations: All generations of the dataset, oldest snapshot first.
        places: Which of them to read.
        columns: What readers see.
        keep: Which files to read; by default all.
    """
    # A folder above the dataset that looks like a key would be taken for one: /data/year=now/lake
    names = {column.name.casefold() for column in columns}
    dataset = generations[0].manifest.dataset
    above = [part.partition("=")[0].casefold() for part in f"{lake.url}/{dataset}".split("/") if "=" in part]
    paths_are_sure = names.isdisjoint(above)
    found: dict[tuple[object, bool], Scan] = {}
    shapes: dict[object, int] = {}
    for place in places:
        generation = generations[place]
        manifest = generation.manifest
        shape = (manifest.columns, manifest.partition_by, manifest.time_column, manifest.timezone)
        number = shapes.setdefault(shape, len(shapes))
        plain = _plain_patterns(manifest)
        for file in manifest.files:
            if file.path in generation.removed or not (keep is None or keep(file)):
                continue
            by_path = paths_are_sure and _is_plain(file, plain)
            scan = found.setdefault((number, by_path), Scan(lake, manifest, by_path))
            scan.files.append((place, generation, file))
    return list(found.values())


def _plain_patterns(manifest: Manifest) -> dict[str, re.Pattern[str] | None]:
    kinds = {column.name: column.kind for column in manifest.columns}
    return {key: _PLAIN.get(kinds.get(key, Kind.INTEGER)) for key in manifest.partition_by}


def _is_plain(file: DataFile, plain: dict[str, re.Pattern[str] | None]) -> bool:
    """Return whether DuckDB reads from the file's path what is in the file."""
    if not plain or file.partition.keys() != plain.keys():
        return False
    values = file.partition.items()
    return all(value is None or not (pattern := plain[key]) or pattern.fullmatch(value) for key, value in values)
