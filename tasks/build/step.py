"""A step of a pipeline while it is made into SQL: what it can see, and how it says what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError
from tasks.build.expressions import Expression, NotOneExpression, parse_expression
from tasks.build.shape import Origins, Shape, wrong


@dataclass(frozen=True, slots=True)
class Suspect:
    """Values that may stop a step: where to look for them if it has failed.

    Attributes:
        column: The column that they are in.
        value: SQL of them.
        into: The type that they may not have.
        failing: A condition that is true of those that stop it.
    """

    column: str
    value: str
    into: str
    failing: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step as SQL.

    Attributes:
        sql: A SELECT over the table before the step.
        origins: What each of its columns is made of.
        suspects: Values that may stop it.
    """

    sql: str
    origins: Mapping[str, Origins]
    suspects: tuple[Suspect, ...] = ()


@dataclass
class Step:
    """What a step sees.

    Attributes:
        where: Where the configuration says it, with its number and type.
        source: Name of the table before it.
        shape: That table's columns.
        parser: A connection without any rows, in which names and types are looked up.
        tables: Tables of the lake that may be joined: by dataset, their names in SQL and their columns.
    """

    where: str
    source: str
    shape: Shape
    parser: duckdb.DuckDBPyConnection
    tables: Mapping[str, tuple[str, Shape]]

    def refuse(self, what: str, next_step: str = "Correct it, then run the same command again.") -> ConfigError:
        """Return the error for this step."""
        return wrong(self.where, what, next_step)

    def column(self, name: str) -> str:
        """Return a column of the table before, quoted.

        Raises:
            ConfigError: There is no such column.
        """
        if name not in self.shape.types:
            raise self.refuse(self.shape.missing(name))
        return quote_identifier(name)

    def columns(self, names: Iterable[str]) -> list[str]:
        """Return columns of the table before, quoted."""
        return [self.column(name) for name in names]

    def expression(self, text: str, key: str) -> Expression:
        """Return an expression over the columns before this step.

        Raises:
            ConfigError: It is not one expression, or names a column that is not there.
        """
        try:
            found = parse_expression(self.parser, text)
        except NotOneExpression as error:
            raise self.refuse(f"{key}: {error}") from None
        for name in found.columns:
            if self.shape.find(name) is None:
                raise self.refuse(f"{key}: {self.shape.missing(name)}")
        return found

    def check_new(self, names: Iterable[str], taken: Iterable[str]) -> None:
        """Refuse names of new columns that others have.

        Raises:
            ConfigError: It names the first one that is taken.
        """
        found = {name.casefold(): name for name in taken}
        for name in names:
            if name.casefold() in found:
                other = found[name.casefold()]
                raise self.refuse(f"there would be two columns '{name}'" + (f" ('{other}')" if other != name else ""))
            found[name.casefold()] = name

    def select(self, values: Mapping[str, str], origins: Mapping[str, Origins] | None = None) -> Compiled:
        """Return the step that selects SQL values under names; origins are by default those of the same names."""
        own = {name: self.shape.origins.get(name) for name in values}
        return Compiled(f"SELECT {as_list(values)}\nFROM {self.source}", {**own, **(origins or {})})

    def replacing(self, values: Mapping[str, str], suspects: tuple[Suspect, ...] = ()) -> Compiled:
        """Return the step that puts SQL values in the place of columns, and leaves the others."""
        every = {name: values.get(name, quote_identifier(name)) for name in self.shape.types}
        compiled = self.select(every)
        return Compiled(compiled.sql, compiled.origins, suspects)


def as_list(values: Mapping[str, str]) -> str:
    """Return a select list, a column a line if there are many."""
    items = []
    for name, value in values.items():
        quoted = quote_identifier(name)
        items.append(quoted if value == quoted else f"{value} AS {quoted}")
    return ", ".join(items) if len(items) < 3 else "\n    " + ",\n    ".join(items)
