"""Leaves out what a table holds already, as it is now: the records that an API gave once more."""

from collections.abc import Sequence

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import Column, canonical_field, duckdb_type, row_digest
from tasks.common_columns import common_column
from tasks.versions import Versions


def unknown_only(
    query: str, columns: Sequence[Column], key: Sequence[str], lake: Lake, generations: Sequence[Generation]
) -> str:
    """Return DuckDB SQL for the rows of a query that the table does not hold as they are.

    With a key, the rows of a key stay or go together: one that is different, new or missing keeps them all, as readers
    see only the newest generation's rows of a key. Without one, each row is looked for by itself.

    Args:
        query: The new rows, as they would be stored.
        columns: Its columns.
        key: Names of the columns that tell records apart; may be none.
        lake: Where the generations are; it has to be attached to the connection.
        generations: What the table holds, oldest first.
    """
    if not generations:
        return query
    versions = Versions(lake, list(generations))
    before = {column.name.casefold(): column for column in versions.columns if not column.added}
    both = [_both(column, before.pop(column.name.casefold(), None)) for column in columns]
    both += [_both(column, column) for column in before.values() if column.name in _source_names(generations)]
    has = {column.name.casefold() for column in columns}
    had = {column.name.casefold() for column in versions.columns}
    # Under names of their own, beside the rows as they are: both sides as the type that holds the values of both.
    alike = [column.model_copy(update={"name": f"tidegate {place}"}) for place, column in enumerate(both)]
    now = f"SELECT *, {_casts(both, alike, has)} FROM ({query})"
    then = f"SELECT {_casts(both, alike, had)} FROM ({versions.newest()})"
    kept = ", ".join(column.quoted for column in columns)
    if not key:
        text = f"md5(concat_ws(',', {', '.join(canonical_field(column) for column in alike)}))"
        again = f"SELECT {text} FROM ({then}) INTERSECT SELECT {text} FROM ({now})"
        return f"SELECT {kept} FROM ({now}) WHERE {text} NOT IN ({again})"
    keys = [next(a for a, column in zip(alike, both, strict=True) if column.name == name).quoted for name in key]
    names = ", ".join(keys)
    whole = f'count(*) AS "tidegate rows", sum(CAST({row_digest(tuple(alike))} AS HUGEINT)) AS "tidegate digest"'
    same = " INTERSECT ".join(f"SELECT {names}, {whole} FROM ({side}) GROUP BY {names}" for side in (now, then))
    return f"SELECT {kept} FROM ({now}) ANTI JOIN ({same}) AS same USING ({names})"


def _both(column: Column, before: Column | None) -> Column:
    plain = Column(
        name=column.name, source_type="", kind=column.kind, bits=column.bits,
        precision=column.precision, scale=column.scale,
    )  # fmt: skip
    return plain if before is None else common_column(plain, before)


def _source_names(generations: Sequence[Generation]) -> set[str]:
    """Return the names of columns that sources had; partition keys made of time are none."""
    return {column.name for g in generations for column in g.manifest.columns if not column.added}


def _casts(both: Sequence[Column], alike: Sequence[Column], has: set[str]) -> str:
    return ", ".join(
        f"CAST({column.quoted if column.name.casefold() in has else 'NULL'} AS {duckdb_type(column)}) AS {named.quoted}"
        for column, named in zip(both, alike, strict=True)
    )
