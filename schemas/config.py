"""The configuration of a project: `settings.yaml`, and the sources of `sources.yaml`.

Everything that a configuration can say is importable from here; `schemas.project` loads the files.
"""

import re
from collections import Counter
from typing import Annotated, Literal
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from schemas.archive_config import Archive
from schemas.archive_options import (
    ColumnOptions,
    GraceField,
    OnGateFailure,
    Proof,
    PurgeMode,
    PurgeOptions,
)
from schemas.config_model import ConfigModel, Name, ProjectPath, WholeNumber, in_project
from schemas.config_problems import did_you_mean
from schemas.connection import Connection
from schemas.duration import Duration
from schemas.extract_config import RAW, ExtractOptions, ExtractTable, TableEntry
from schemas.sources.schedule import Schedule
from schemas.table_name import TableName
from schemas.window import WindowUnit

__all__ = [
    "Archive",
    "ColumnOptions",
    "Connection",
    "Duration",
    "OnGateFailure",
    "Proof",
    "PurgeMode",
    "PurgeOptions",
    "Settings",
    "Source",
    "SourceType",
    "TableName",
    "WindowUnit",
]

SourceType = Literal["postgresql", "mysql", "sqlite", "sqlserver"]

_URL_SCHEMES: dict[SourceType, tuple[str, ...]] = {
    "postgresql": ("postgresql", "postgres"),
    "mysql": ("mysql", "mariadb"),
    "sqlite": ("sqlite",),
    "sqlserver": ("mssql", "sqlserver"),
}

_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?\s*[KMGT]i?B", re.IGNORECASE)
_BUCKET = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]*(/[^/]+)*/?")


class Settings(ConfigModel):
    """What holds for all jobs of a project.

    `timezone` decides where windows and partitions begin, and what a date without an offset means. `erase_grace` is
    how long the files that an erasure supersedes stay in the lake, where no reader sees them.
    """

    lake: str = Field(default="./lake", validate_default=True)
    memory_limit: str = "2GB"
    temp_dir: ProjectPath | None = None
    timezone: str = "UTC"
    parallel_windows: Annotated[WholeNumber, Field(ge=1)] = 2
    erase_grace: GraceField = Duration(7, "day")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that `timezone` names."""
        return ZoneInfo(self.timezone)

    @field_validator("lake")
    @classmethod
    def _lake_is_a_place(cls, lake: str, info: ValidationInfo) -> str:
        if lake.startswith("s3://"):
            if not _BUCKET.fullmatch(lake):
                raise ValueError("must be s3://bucket or s3://bucket/prefix, with no login in it")
            return lake.rstrip("/")
        if lake.startswith("block:"):
            if not lake.removeprefix("block:").strip():
                raise ValueError("must name a block: block:NAME")
            return lake
        if "://" in lake:
            raise ValueError("must be a folder, s3://bucket/prefix or block:NAME")
        return str(in_project(lake, info))

    @field_validator("memory_limit")
    @classmethod
    def _memory_is_an_amount(cls, amount: str) -> str:
        if not _MEMORY.fullmatch(amount):
            raise ValueError("must be an amount of memory with its unit, such as 500MB or 2GB")
        return amount

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        # OSError: `Europe` is a folder of zones, not a zone.
        except (KeyError, ValueError, OSError) as error:
            hint = did_you_mean(name, available_timezones())
            raise ValueError(f"must be a time zone such as UTC or Europe/Berlin{hint}") from error
        return name


class Source(ConfigModel):
    """A database that rows leave, or are copied from.

    `replica` is a streaming replica that exports read from; all else, deleting above all, is done at `connection`.
    `tables` are copied into the raw layer by `tidegate ingest`, as `extract` says; a source that is not `enabled` is
    left out unless it is named. `schedule`, a cron expression, says when a deployment reads them by itself.
    """

    name: Name
    type: SourceType
    enabled: bool = True
    schedule: Schedule | None = None
    connection: Connection
    replica: Connection | None = None
    tables: tuple[TableEntry, ...] = ()
    extract: ExtractOptions | None = None

    @field_validator("tables")
    @classmethod
    def _tables_have_folders_of_their_own(cls, tables: tuple[ExtractTable, ...]) -> tuple[ExtractTable, ...]:
        twice = [folder for folder, n in Counter(table.folder.casefold() for table in tables).items() if n > 1]
        if twice:
            raise ValueError(f"must not lie in one folder of the lake: {', '.join(twice)}; give one of them a `name`")
        return tables

    @field_validator("tables")
    @classmethod
    def _queries_can_be_read(cls, tables: tuple[ExtractTable, ...], info: ValidationInfo) -> tuple[ExtractTable, ...]:
        queries = [table.folder for table in tables if table.query is not None]
        if queries and info.data.get("type") == "sqlserver":
            raise ValueError(f"must be tables: a source of type sqlserver reads no query ({', '.join(queries)})")
        return tables

    @field_validator("extract")
    @classmethod
    def _extract_is_of_tables(cls, extract: ExtractOptions | None, info: ValidationInfo) -> ExtractOptions | None:
        if extract is not None and info.data.get("tables") == ():
            raise ValueError("says how `tables` are read, and there are none")
        return extract

    def raw_dataset(self, table: ExtractTable) -> str:
        """Return where a table of this source lies in the lake."""
        return f"{RAW}/{self.name}/{table.folder}"

    @field_validator("replica")
    @classmethod
    def _has_replicas(cls, replica: Connection | None, info: ValidationInfo) -> Connection | None:
        kind = info.data.get("type", "postgresql")
        if replica is not None and kind != "postgresql":
            raise ValueError(f"must be left out: exports of a source of type {kind} have one place to read from")
        return replica

    @field_validator("connection", "replica")
    @classmethod
    def _url_fits_the_type(cls, connection: Connection | None, info: ValidationInfo) -> Connection | None:
        if connection is None:
            return None
        schemes = _URL_SCHEMES.get(info.data.get("type", ""), ())
        if schemes and connection.url is not None:
            scheme = connection.url.get_secret_value().partition("://")[0]
            if scheme not in schemes:
                raise ValueError(f"url must start with {schemes[0]}:// for a source of type {info.data['type']}")
        return _sqlite_file(connection, info) if info.data.get("type") == "sqlite" else connection


def _sqlite_file(connection: Connection, info: ValidationInfo) -> Connection:
    """Return the connection with its file counted from the project folder, like every other path."""
    if connection.block is not None:
        return connection
    if connection.url is None:
        raise ValueError("must be a url (sqlite:///shop.db) or a block: a SQLite source has no host")
    path = unquote(connection.url.get_secret_value().removeprefix("sqlite:///"))
    if path.startswith(("/", ":", "sqlite:")) or not path:  # absolute, or no file: the dialect says so
        return connection
    return connection.model_copy(update={"url": SecretStr(f"sqlite:///{quote(str(in_project(path, info)))}")})
