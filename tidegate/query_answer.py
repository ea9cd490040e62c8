"""The answer to a query, with exact values: whatever JSON cannot hold comes as the text that DuckDB prints."""

import math
from collections.abc import Iterator
from itertools import islice

import duckdb

Value = None | bool | int | float | str
_AS_IT_IS = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "float",
    "double",
}  # fmt: skip
_NUMERIC = {*_AS_IT_IS - {"boolean"}, "decimal", "hugeint", "uhugeint"}
_EXACT_IN_A_DOUBLE = 2**53


class Answer:
    """The columns and rows of a relation.

    Attributes:
        columns: Names of the columns.
        numeric: Whether each of them is a number, and so stands on the right.
    """

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self.columns = list(relation.columns)
        kinds = [kind.id for kind in relation.types]
        self.numeric = [kind in _NUMERIC for kind in kinds]
        expressions = [
            f"#{place} AS c{place}" if kind in _AS_IT_IS else f"CAST(#{place} AS VARCHAR) AS c{place}"
            for place, kind in enumerate(kinds, start=1)
        ]
        self._relation = relation.project(", ".join(expressions))

    def rows(self, limit: int | None = None) -> Iterator[tuple[Value, ...]]:
        """Yield the rows as they come, `limit` of them at most."""
        return islice(self._all(), limit)

    def _all(self) -> Iterator[tuple[Value, ...]]:
        for batch in self._relation.to_arrow_reader(10_000):
            columns = [column.to_pylist() for column in batch.columns]
            for row in zip(*columns, strict=True):
                yield tuple(_exact(value) for value in row)


def _exact(value: Value) -> Value:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT_IN_A_DOUBLE else str(value)
    return value if math.isfinite(value) else str(value)
