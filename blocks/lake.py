"""The lake: files that are written once, listed, read back, and never changed.

A lake is a folder or an S3 prefix. All paths are relative to it, with `/` between parts. Nothing here
knows what the files mean; manifests (`blocks.ledger`) decide which of them exist for readers.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # commands that only list the lake start without DuckDB
    import duckdb


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the lake.

    Attributes:
        path: Relative to the lake.
        size_bytes: Its size.
        version: What tells it from a file that is written in its place, of the same size; "" in lists.
    """

    path: str
    size_bytes: int
    version: str = field(default="", compare=False)


class Lake(Protocol):
    """What Tidegate needs of a place for files. One contract suite runs against every implementation."""

    @property
    def url(self) -> str:
        """Where the lake is: an absolute folder or `s3://bucket/prefix`. Never a secret."""
        ...

    def check(self, *, write: bool) -> None:
        """Prove that the lake can be read (and written), before any work is done.

        Raises:
            LakeError: It is missing, denied, or the credentials are wrong; the message says which.
            LakeUnavailable: It could not be reached.
        """
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """Return a temporary local folder from which `store` is cheap; removed at the end."""
        ...

    def store(self, local: Path, path: str) -> None:
        """Move the local file to `path`, durably: when it returns, the file survives a power cut.

        Raises:
            LakeError: Denied, disk full, or `path` is taken.
            LakeUnavailable: The lake could not be reached; whether the file is there is unknown.
        """
        ...

    def fetch(self, path: str, scratch: Path) -> Path:
        """Return a local file with the content of `path`: the file itself, or a copy in `scratch`.

        Raises:
            FileNotFoundError: There is no such file.
        """
        ...

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write a small file whole and durably, or leave what is there.

        Returns:
            True if this call created it, False if it already existed. No reader ever sees a part of it.

        Raises:
            LakeError: Denied, disk full, or `path` is no path for a lake.
            LakeUnavailable: The lake could not be reached, and whether the file is there could not be told.
                Put it again; if that returns False, read it to see whose it is.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return a small file's content.

        Raises:
            FileNotFoundError: There is no such file.
        """
        ...

    def read_many(self, paths: Iterable[str]) -> list[bytes]:
        """Return many small files' contents, in order, at once where the lake allows it."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield every file below the folder `prefix`, in the order of their paths."""
        ...

    def find(self, path: str) -> Entry | None:
        """Return the file at `path`, or None."""
        ...

    def delete(self, paths: Iterable[str]) -> None:
        """Delete the files; those that are already gone are no error."""
        ...

    def duckdb_path(self, path: str) -> str:
        """Return the name under which a DuckDB connection prepared by `attach` reads the file."""
        ...

    def attach(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Make a DuckDB connection able to read this lake."""
        ...
