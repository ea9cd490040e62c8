"""What a reader of a format is given: the file as it can be read, and what is known of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from blocks.file_formats.records import BadFile
from schemas.errors import LakeError
from schemas.sources.file_format import FileFormat

NOTHING_TAKEN = "Nothing of this file was taken; the file itself was not touched."


@dataclass(frozen=True, slots=True)
class Opening:
    """A file that is being opened.

    Attributes:
        connection: Where its query will run.
        path: The file on this disk, not compressed any more.
        name: Its name at its place, for people.
        options: How it is to be read; `type` is set.
        scratch: A folder for what has to be written on the way.
        types: Columns whose type is demanded, as DuckDB type.
        known: Types of the table's columns so far.
        notes: What was found out, for people.
    """

    connection: DuckDBPyConnection
    path: Path
    name: str
    options: FileFormat
    scratch: Path
    types: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def bad(self, what: str, next_step: str = "") -> BadFile:
        """Return an error about this file: `what` follows the file's name."""
        return bad_file(self.name, what, next_step)


@contextmanager
def in_order(connection: DuckDBPyConnection) -> Iterator[None]:
    """Have queries within the block return rows in the order of the file, as record numbers and samples need."""
    row = connection.execute("SELECT current_setting('preserve_insertion_order')").fetchone()
    assert row is not None
    connection.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        connection.execute(f"SET preserve_insertion_order = {str(row[0]).lower()}")


def refuse_machine_errors(name: str, error: duckdb.Error) -> None:
    """Raise what is this machine's fault, and not that of file `name`.

    Raises:
        LakeError: There was no memory or no room on the disk.
    """
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
        raise LakeError(
            f"{name}: DuckDB: {str(error).splitlines()[0]}",
            state=NOTHING_TAKEN,
            next_step="Make room (`df -h`), or set temp_dir and memory_limit in settings.yaml; then run it again.",
        ) from error


def bad_file(name: str, what: str, next_step: str = "") -> BadFile:
    """Return the error that file `name` is not what it should be."""
    return BadFile(
        f"{name}: {what}",
        state=NOTHING_TAKEN,
        next_step=next_step or "Mend the file, or correct `format` of its table in sources.yaml, then run it again.",
    )
