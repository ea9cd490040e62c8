"""Which columns a table had when, as its generations tell."""

from collections.abc import Iterator, Mapping, Sequence

from blocks.ledger import Generation
from schemas.catalog import SchemaVersion
from schemas.column_plan import duckdb_type
from schemas.manifest import Manifest


def schema_history(generations: Sequence[Generation]) -> list[SchemaVersion]:
    """Return the versions of a table's columns, oldest first; one that comes again counts again.

    Versions of the raw layer have the numbers that its rows carry in `_schema_version`.

    Args:
        generations: Of one table, oldest first.
    """
    found: list[SchemaVersion] = []
    for generation in generations:
        manifest = generation.manifest
        columns = {column.name: duckdb_type(column) for column in manifest.columns}
        last = found[-1] if found else None
        if last is not None and _same(last, manifest, columns):
            found[-1] = last.model_copy(update={"generations": last.generations + 1})
            continue
        found.append(
            SchemaVersion(
                version=_number(manifest, last),
                since=manifest.committed_at,
                generations=1,
                columns=columns,
                changes=_told(manifest) or (tuple(changes(last.columns, columns)) if last else ()),
            )
        )
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield what is different between two sets of columns, type by name, in words."""
    for name, kind in now.items():
        if name not in before:
            yield f"{name} ({kind}) is new"
        elif before[name] != kind:
            yield f"{name} was {before[name]} and is {kind}"
    for name, kind in before.items():
        if name not in now:
            yield f"{name} ({kind}) is gone"
    if set(before) == set(now) and list(before) != list(now):
        yield "the columns are in another order"


def _same(last: SchemaVersion, manifest: Manifest, columns: Mapping[str, str]) -> bool:
    if manifest.extracted is not None and manifest.extracted.schema_version != last.version:
        return False
    return list(last.columns.items()) == list(columns.items())


def _number(manifest: Manifest, last: SchemaVersion | None) -> int:
    if manifest.extracted is not None:
        return manifest.extracted.schema_version
    return last.version + 1 if last else 1


def _told(manifest: Manifest) -> tuple[str, ...]:
    return manifest.extracted.drift if manifest.extracted is not None else ()
