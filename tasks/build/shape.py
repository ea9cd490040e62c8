"""What is known of a table between two steps of a pipeline: its columns, their types, and what they were made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import duckdb

from schemas.column_plan import Column, duckdb_type, quote_identifier
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError

Origins = frozenset[str] | None
"""Columns (`dataset.column`) that a column was made of; None if that is not known."""

NOTHING_BUILT = "Nothing of this pipeline was built; its table is as it was."


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a table.

    Attributes:
        types: For each column its DuckDB type, in their order.
        origins: For each column what it was made of.
    """

    types: Mapping[str, str]
    origins: Mapping[str, Origins] = field(default_factory=dict)

    @classmethod
    def of_dataset(cls, dataset: str, columns: Iterable[Column]) -> Self:
        """Return the shape of a table of the lake, whose columns are made of themselves."""
        types = {column.name: duckdb_type(column) for column in columns}
        return cls(types, {name: frozenset([f"{dataset}.{name}"]) for name in types})

    @property
    def empty(self) -> str:
        """SQL of a table with these columns and no rows."""
        nulls = (f"CAST(NULL AS {kind}) AS {quote_identifier(name)}" for name, kind in self.types.items())
        return f"SELECT {', '.join(nulls)} WHERE false"

    def find(self, name: str) -> str | None:
        """Return the column that SQL means by a name, whose case does not matter there; or None."""
        return next((column for column in self.types if column.casefold() == name.casefold()), None)

    def made_of(self, names: Iterable[str]) -> Origins:
        """Return what a value of these columns is made of."""
        found: set[str] = set()
        for name in names:
            own = self.origins.get(self.find(name) or "")
            if own is None:
                return None
            found |= own
        return frozenset(found)

    def missing(self, name: str) -> str:
        """Return a sentence about a column that is not there."""
        hint = did_you_mean(name, self.types) or "."
        return f"there is no column '{name}' here{hint} Columns: {', '.join(self.types)}"


def shape_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """Return the columns of a query with their types.

    Raises:
        duckdb.Error: The query is wrong.
        ValueError: Two of its columns have one name.
    """
    types: dict[str, str] = {}
    taken: dict[str, str] = {}
    # On the line of the query, so that an error names its line as it is there.
    for name, kind, *_ in connection.execute(f"DESCRIBE {query}").fetchall():
        other = taken.setdefault(str(name).casefold(), str(name))
        if name in types or other != name:
            raise ValueError(f"there would be two columns '{name}' (the case of letters does not tell columns apart)")
        types[str(name)] = str(kind)
    return types


def wrong(where: str, what: str, next_step: str = "Correct it, then run the same command again.") -> ConfigError:
    """Return the error for something in the configuration of a pipeline."""
    end = "" if what.endswith("?") else "."
    return ConfigError(f"{where}: {what.rstrip('.')}{end}", state=NOTHING_BUILT, next_step=next_step)
