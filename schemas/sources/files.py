"""Sources of files: a folder here, a prefix on S3, or a folder of an SFTP server."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from schemas.config_model import ConfigModel, Name, ProjectPath, Text, Timeout, WholeNumber, in_project
from schemas.extract_config import RAW
from schemas.sources.file_format import FileFormat
from schemas.sources.raw_table import RawTable
from schemas.sources.schedule import Schedule

After = Literal["keep", "move", "delete"]


def _below(pattern: str) -> str:
    parts = pattern.split("/")
    if pattern.startswith("/") or "://" in pattern or ".." in parts or "\\" in pattern or not parts[-1]:
        raise ValueError("must be a pattern of files below path, such as sales_*.csv or **/*.json.gz")
    return pattern


def _by_type(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class FileTable(RawTable):
    """Files that make up a table.

    `files` is a pattern below the source's `path`: `sales_*.csv`, `**/*.json.gz`.
    """

    files: Annotated[Text, AfterValidator(_below)]
    format: Annotated[FileFormat, BeforeValidator(_by_type)] = FileFormat()


class _FilesOptions(ConfigModel):
    """What files on all kinds of places have in common.

    Attributes:
        tables: The tables; without any, all files that `path` names make up one that is called like the source. A path
            with a slash at its end is a folder, and means all files in it.
        after: What happens to a file once its rows are in the lake, and were counted there and in the file again.
        move_to: Where files go with `after: move`, in folders as they had them; below `path` if it is relative. What
            lies there is not read again.
        settle_s: A file has to have been left alone for so long: one that is still being written is not read.
        marker: A file has been written when there is one of this name beside it: `{name}.done`. It is looked for in
            place of `settle_s`, has to be as new as the file, and goes when the file goes.
    """

    name: Name
    enabled: bool = True
    schedule: Schedule | None = None
    path: Text
    tables: tuple[FileTable, ...] = ()
    format: Annotated[FileFormat, BeforeValidator(_by_type)] = FileFormat()
    after: After = "keep"
    move_to: Text | None = None
    settle_s: Annotated[float, Field(ge=0)] = 2.0
    marker: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_may_be_a_pattern(cls, data: Any) -> Any:
        """Without tables, the path itself says which files make up the one table, called like the source."""
        if not isinstance(data, dict) or data.get("tables") or not isinstance(data.get("path"), str):
            return data
        path = data["path"]
        if path.endswith("/") or (path.startswith("s3://") and path.count("/") == 2):
            path = f"{path.rstrip('/')}/*"
        parts = path.split("/")
        first = next((place for place, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
        table = {"name": data.get("name"), "files": "/".join(parts[first:]), "format": data.get("format", {})}
        return {**data, "path": "/".join(parts[:first]) or ("/" if parts[0] == "" else "."), "tables": [table]}

    @field_validator("tables")
    @classmethod
    def _tables_have_folders_of_their_own(cls, tables: tuple[FileTable, ...]) -> tuple[FileTable, ...]:
        twice = [name for name, n in Counter(table.name.casefold() for table in tables).items() if n > 1]
        if twice:
            raise ValueError(f"must not have the same name: {', '.join(twice)}")
        return tables

    @field_validator("marker")
    @classmethod
    def _marker_names_the_file(cls, marker: str | None) -> str | None:
        if marker is not None and ("{name}" not in marker or "/" in marker or marker == "{name}"):
            raise ValueError("must be a name made of {name}, such as {name}.done")
        return marker

    @model_validator(mode="after")
    def _move_needs_a_place(self) -> Self:
        if (self.after == "move") != (self.move_to is not None):
            raise ValueError("needs move_to with after: move, and only then")
        return self

    @field_validator("move_to")
    @classmethod
    def _move_stays_in_the_place(cls, target: str | None) -> str | None:
        if target is not None and ".." in target.split("/"):
            raise ValueError("must not lead upwards with ..: name the folder from its root")
        return target

    def raw_dataset(self, table: RawTable) -> str:
        """Return where a table of this source lies in the lake."""
        return f"{RAW}/{self.name}/{table.folder}"


class FilesSource(_FilesOptions):
    """Files in a folder of this machine, or below `s3://bucket/prefix`."""

    type: Literal["files"]

    @field_validator("path", "move_to")
    @classmethod
    def _path_is_a_place(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is None or path.startswith("s3://") or info.field_name == "move_to":
            return path
        if "://" in path:
            raise ValueError("must be a folder, a pattern of files, or s3://bucket/prefix")
        return str(in_project(path, info))


class SftpConnection(ConfigModel):
    """An SFTP server, and how it is known that it is the right one.

    Its key has to be in `known_hosts` (a file, by default ~/.ssh/known_hosts) or be given as `host_key`
    (`ssh-ed25519 AAAA…`); it is never taken on trust.
    """

    host: Text
    port: Annotated[WholeNumber, Field(ge=1, le=65535)] = 22
    user: Text
    password: SecretStr | None = None
    key_file: ProjectPath | None = None
    key_passphrase: SecretStr | None = None
    known_hosts: ProjectPath | None = None
    host_key: Text | None = None
    timeout_s: Timeout = 30.0

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password is None) == (self.key_file is None):
            raise ValueError("needs password or key_file, and not both")
        if self.host_key is not None and self.known_hosts is not None:
            raise ValueError("must have known_hosts or host_key, not both")
        return self


class SftpSource(_FilesOptions):
    """Files in a folder of an SFTP server."""

    type: Literal["sftp"]
    connection: SftpConnection
