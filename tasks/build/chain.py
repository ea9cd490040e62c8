"""The steps of a pipeline, one after the other, as one SQL query. Names and types are checked at every step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from schemas.pipelines.transforms import AnyTransform
from tasks.build.column_steps import (
    cast,
    derive,
    drop,
    fill_null,
    normalise_case,
    parse_json,
    rename,
    select,
    snake_case,
    trim,
)
from tasks.build.row_steps import aggregate, deduplicate, explode, join, keep_matching
from tasks.build.shape import Shape, shape_of
from tasks.build.step import Compiled, Step, Suspect

_COMPILE: dict[str, Callable[[Step, Any], Compiled]] = {
    "rename": rename,
    "cast": cast,
    "filter": keep_matching,
    "deduplicate": deduplicate,
    "select": select,
    "drop": drop,
    "derive": derive,
    "trim": trim,
    "normalise_case": normalise_case,
    "normalize_case": normalise_case,
    "fill_null": fill_null,
    "parse_json": parse_json,
    "explode": explode,
    "join": join,
    "aggregate": aggregate,
    "snake_case": snake_case,
}


@dataclass(frozen=True, slots=True)
class Link:
    """A table of the chain: its name, what it is for people, its SELECT, and what may stop it."""

    name: str
    note: str
    sql: str
    where: str = ""
    suspects: tuple[Suspect, ...] = ()


@dataclass
class Chain:
    """The query of the steps so far.

    Args:
        label: Where the configuration says the pipeline.
        relation: SQL of the table that it begins with.
        note: What that table is, for people.
        shape: Its columns.
        tables: Tables of the lake that may be joined.
        first: Number of the table that it begins with, which is that of the last step before it.
    """

    label: str
    relation: str
    note: str
    shape: Shape
    tables: Mapping[str, tuple[str, Shape]]
    first: int = 0
    links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.links.append(Link(f"step_{self.first}", self.note, f"SELECT * FROM {self.relation}"))

    def add(self, given: AnyTransform, parser: duckdb.DuckDBPyConnection) -> None:
        """Add a step.

        Args:
            given: The step.
            parser: A connection without any rows.

        Raises:
            ConfigError: It names what is not there, or is not SQL; it says in which step.
        """
        number = self.first + len(self.links)
        before = self.links[-1].name
        where = f"{self.label}.transforms[{number - 1}]: step {number} ({given.type})"
        parser.execute(f"CREATE OR REPLACE TEMP VIEW {before} AS {self.shape.empty}")
        step = Step(where, before, self.shape, parser, self.tables)
        compiled = _COMPILE[given.type](step, given)
        try:
            types = shape_of(parser, compiled.sql)
        except (duckdb.Error, ValueError) as error:
            raise step.refuse(str(error)) from None
        self.shape = Shape(types, {name: compiled.origins.get(name) for name in types})
        self.links.append(Link(f"step_{number}", given.type, compiled.sql, where, compiled.suspects))

    def sql(self, upto: int | None = None) -> str:
        """Return the query as people read it.

        Args:
            upto: Only so many of its tables.
        """
        links = self.links[:upto]
        tables = [f"-- {link.note}\n{link.name} AS (\n{link.sql}\n)" for link in links]
        return "WITH\n" + ",\n".join(tables) + f"\nSELECT * FROM {links[-1].name}"
