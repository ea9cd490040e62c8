"""A source table, as the catalog of its database describes it, or a query in the place of one."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.column_plan import Column, quote_identifier


class ForeignKey(BaseModel):
    """A foreign key of some table that points at this one.

    Attributes:
        name: Of the constraint.
        table: The table that has it, as `schema.table`.
        columns: Its columns there.
        referenced: The columns here, in the same order.
        on_delete: What becomes of rows there when a row here goes: `no action`, `restrict`, `cascade`, `set null` or
            `set default`.
        indexed: Whether an index there begins with its columns; without one, each DELETE here reads that table.
        enforced: Whether the database checks it, and does what it says; keys can be switched off.
        target: The table that it points at, if that is a partition of this one, or the table that this one is a
            partition of; None if it points at this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    table: str
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    on_delete: str
    indexed: bool = True
    enforced: bool = True
    target: str | None = None

    def __str__(self) -> str:
        points = f", pointing at {self.target}" if self.target else ""
        return f"{self.name} on {self.table} ({', '.join(self.columns)}), ON DELETE {self.on_delete.upper()}{points}"


# The name of a query's rows in the statements around it; its space keeps it from being anybody's.
QUERY = "tidegate query"


class Table(BaseModel):
    """A table as the catalog describes it, or the result of a query, which is only ever read.

    Attributes:
        columns: Its columns in their order, dropped ones left out.
        primary_key: Columns of the primary key, or ().
        unique_keys: Column sets that a whole, immediate, valid unique index covers, all NOT NULL.
        kind: `pg_class.relkind`: `r` a table, `p` a partitioned one.
        inherited: Whether tables inherit from it outside of declarative partitioning.
        may_select: Whether the session's role may read it.
        may_delete: Whether the session's role may delete from it.
        referenced_by: Foreign keys that point at it, at its partitions, or at what it is a partition of, by name.
        utf8: Whether the server stores text as UTF-8.
        query: The query whose rows these are, or None for a table. Schema and name are then those of the source and
            the dataset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique_keys: tuple[frozenset[str], ...]
    kind: str
    inherited: bool
    may_select: bool
    may_delete: bool
    referenced_by: tuple[ForeignKey, ...] = ()
    utf8: bool
    query: str | None = None

    @classmethod
    def of_query(cls, query: str, schema_name: str, name: str, columns: tuple[Column, ...], *, utf8: bool) -> Self:
        """Return the result of a query as what it is to a reader: rows without a key that may be read."""
        return cls(
            schema_name=schema_name,
            name=name,
            columns=columns,
            primary_key=(),
            unique_keys=(),
            kind="r",
            inherited=False,
            may_select=True,
            may_delete=False,
            utf8=utf8,
            query=query,
        )

    @property
    def quoted(self) -> str:
        """The qualified name as quoted SQL identifiers; a query has none, and its name is for people."""
        if self.query is not None:
            return f"the query {self.schema_name}.{self.name}"
        return f"{quote_identifier(self.schema_name)}.{quote_identifier(self.name)}"

    @property
    def relation(self) -> str:
        """What stands in FROM, as standard SQL has it. A comment at the end of a query swallows nothing."""
        return self.quoted if self.query is None else f"(\n{self.query}\n) AS {self.alias}"

    @property
    def alias(self) -> str:
        """What its columns stand with in a statement that reads it."""
        return self.quoted if self.query is None else quote_identifier(QUERY)

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)
