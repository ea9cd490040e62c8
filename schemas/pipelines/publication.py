"""A publication: tables of the lake that are copied to a PostgreSQL database, or shown in a DuckDB file.

publications:
  - name: warehouse
    type: postgresql
    connection: {host: db.example.com, database: dwh, user: publisher, password: "${DWH_PASSWORD}"}
    schema: "{layer}"                       # consume/bi/top becomes consume.top; also {domain} and {table}
    mode: replace                           # or upsert, which needs a key
    grants: {reporting: [select]}
    tables:
      - "consume/*"
      - {dataset: raw/shop/orders, as: raw.orders, mode: upsert, key: [id], indexes: [[placed_at]]}
  - {name: bi, type: duckdb, path: ./lake.duckdb}
"""

from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.archive_options import TableField
from schemas.config_model import ConfigModel, Name, ProjectPath, Text, Timeout
from schemas.connection import Connection
from schemas.table_name import TableName

PublishMode = Literal["replace", "upsert"]
Privilege = Literal["select", "insert", "update", "delete", "truncate", "references", "trigger"]
Columns = Annotated[tuple[Text, ...], Field(min_length=1)]
Grants = Mapping[Text, Annotated[tuple[Privilege, ...], Field(min_length=1)]]

PATTERN_SIGNS = frozenset("*?[")
_SCHEMES = ("postgresql", "postgres")
_PLACEHOLDERS = ("layer", "domain", "table")


def _named(value: object) -> object:
    return {"dataset": value} if isinstance(value, str) else value


class PublishedTable(ConfigModel):
    """One dataset of the lake, or all that a pattern names, and what is different about them.

    Attributes:
        dataset: `consume/bi/top`, or a pattern: `consume/*` is everything in the layer, `*/sales/*` a domain.
        as_table: Under which name it is published; by default by the publication's `schema`, and the dataset's own.
        mode: By default the publication's.
        key: Columns that tell rows apart; by default what the lake knows as the key. A table that is replaced gets a
            primary key of them.
        indexes: Lists of columns that the table gets an index on.
        grants: Rights on the table, by role, beside those of the publication.
    """

    dataset: Text
    as_table: TableField | None = Field(default=None, alias="as")
    mode: PublishMode | None = None
    key: Columns | None = None
    indexes: tuple[Columns, ...] = ()
    grants: Grants = Field(default_factory=dict)

    @property
    def is_pattern(self) -> bool:
        """Whether it may name several datasets."""
        return bool(PATTERN_SIGNS & set(self.dataset))

    @model_validator(mode="after")
    def _one_table_has_one_name(self) -> Self:
        if self.is_pattern and self.as_table is not None:
            raise ValueError("must name one dataset, not a pattern, to be published `as` something")
        return self


TableEntry = Annotated[PublishedTable, BeforeValidator(_named)]


class PostgresPublication(ConfigModel):
    """Tables that are copied into a PostgreSQL database.

    `replace` writes a new table and swaps it in, in one transaction: readers see the old rows or the new ones, whole.
    `upsert` changes and adds rows by their key and takes none away: rows that the lake has no more, erased ones among
    them, stay in the database.

    Attributes:
        schema_template: The schema that tables go to; `{layer}` (a dataset's first folder, or `public`), `{domain}`
            (the folders between) and `{table}` stand for a part of the dataset's name.
        indexes: Lists of columns: every table that has all columns of a list gets an index on them.
        grants: Rights on every table, by role.
        lock_timeout_s: How long one attempt to swap waits for the readers of a table; whoever comes meanwhile waits
            too. Below the server's `deadlock_timeout`, so that no reader is ever taken for the one in the way.
        give_up_after_s: How long attempts to swap go on.
    """

    name: Name
    type: Literal["postgresql"]
    connection: Connection
    tables: Annotated[tuple[TableEntry, ...], Field(min_length=1)]
    schema_template: Text = Field(default="{layer}", alias="schema")
    mode: PublishMode = "replace"
    indexes: tuple[Columns, ...] = ()
    grants: Grants = Field(default_factory=dict)
    lock_timeout_s: Timeout = 0.5
    give_up_after_s: Timeout = 300.0

    @field_validator("connection")
    @classmethod
    def _connection_is_to_postgresql(cls, connection: Connection) -> Connection:
        if connection.url is not None and connection.url.get_secret_value().partition("://")[0] not in _SCHEMES:
            raise ValueError("url must start with postgresql:// for a publication of type postgresql")
        return connection

    @field_validator("schema_template")
    @classmethod
    def _placeholders_are_known(cls, template: str) -> str:
        try:
            fields = [(name, spec, how) for _, name, spec, how in Formatter().parse(template) if name is not None]
        except ValueError:
            fields = [("", "", "")]
        if any(name not in _PLACEHOLDERS or spec or how for name, spec, how in fields):
            raise ValueError("must be a schema's name, in which only {layer}, {domain} and {table} are replaced")
        return template

    def table_of(self, dataset: str, entry: PublishedTable) -> TableName:
        """Return the table that a dataset is published as."""
        if entry.as_table is not None:
            return entry.as_table
        *folders, table = dataset.split("/")
        layer = folders[0] if folders else "public"
        domain = "_".join(folders[1:]) or layer
        return TableName(self.schema_template.format(layer=layer, domain=domain, table=table), table)


class DuckDBTable(ConfigModel):
    """Datasets that a DuckDB file has views of: one, or all that a pattern names."""

    dataset: Text


class DuckDBPublication(ConfigModel):
    """A DuckDB file of views over the files of the lake, for tools that open such files. It holds no rows itself.

    The first folder of a dataset is the view's schema, the others and its name are joined: consume/bi/top is the view
    consume.bi_top, flights is main.flights.

    Attributes:
        path: The file; it is replaced as a whole, and whoever has it open keeps the old one.
        tables: What there is to see; by default everything.
    """

    name: Name
    type: Literal["duckdb"]
    path: ProjectPath
    tables: Annotated[tuple[Annotated[DuckDBTable, BeforeValidator(_named)], ...], Field(min_length=1)] = (
        DuckDBTable(dataset="*"),
    )


Publication = Annotated[PostgresPublication | DuckDBPublication, Field(discriminator="type")]
