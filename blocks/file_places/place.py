"""What Tidegate needs of a place where somebody else puts files."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from schemas.errors import SourceError


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file as its place lists it.

    Attributes:
        path: Relative to the place, with `/` between parts; never absolute and never with `..`.
        size_bytes: Its size.
        modified_at: When it was last written, as the place says (UTC).
        version: What else tells it from another file under its name: an ETag, an inode; "" if nothing does.
    """

    path: str
    size_bytes: int
    modified_at: datetime
    version: str = ""

    @property
    def identity(self) -> str:
        """What is different if the file is another one under the same name."""
        return f"{self.size_bytes}-{self.modified_at.isoformat()}-{self.version}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A name that a place lists and that is not to be touched.

    Attributes:
        name: As it may be printed: what is no plain text in it is escaped.
        reason: Why, as the end of a sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies at a place.

    Attributes:
        files: Those that fit the pattern, by path.
        left_out: Names that lead out of the place, or would be read as something else elsewhere.
    """

    files: Sequence[PlacedFile]
    left_out: Sequence[LeftOut] = ()


class FileChanged(SourceError):
    """A file is not the one that was listed any more: it is being written, or another one has taken its place."""


class FilePlace(Protocol):
    """A place with files of others. Opened by `open_place`; connections end with its `with` block."""

    def __enter__(self) -> Self:
        """Connect, where there is something to connect to.

        Raises:
            ConfigError: A key file, or the like, that the configuration names is not there or cannot be used.
            SourceError: The place refuses us, or is not the one that it should be.
            SourceUnavailable: It could not be reached.
        """
        ...

    def __exit__(self, *error: object) -> None:
        """Disconnect."""
        ...

    @property
    def url(self) -> str:
        """Where it is, for people; never a secret."""
        ...

    def list(self, pattern: str) -> Listing:
        """Return the files whose relative path fits a pattern (`*`, `?`, `[…]`, and `**` for folders), by path.

        Hidden files (a part that begins with a dot) are left out.

        Raises:
            SourceError: The place is not there or may not be read.
            SourceUnavailable: It could not be reached.
        """
        ...

    def look(self, path: str) -> PlacedFile | None:
        """Return the file as it is now, or None if it is gone."""
        ...

    def fetch(self, file: PlacedFile, scratch: Path) -> AbstractContextManager[Path]:
        """Yield a local file with the content: the file itself where it is local, else a copy in `scratch`.

        Raises:
            FileChanged: The file is not the one that was listed any more.
            SourceUnavailable: The place could not be reached; a transfer that was cut is taken up again first.
        """
        ...

    def below(self, folder: str) -> str | None:
        """Return where a folder for `move` lies in this place, relative to it; None if it lies elsewhere."""
        ...

    def move(self, file: PlacedFile, target: str) -> str:
        """Move a file to the folder `target` (relative to the place, or absolute), never over another one.

        Where its name is taken, it gets another one, with the moment at which it was written.

        Returns:
            Where it is now.

        Raises:
            FileChanged: It is another one by now; it was left alone.
            SourceError: It may not be moved.
        """
        ...

    def delete(self, file: PlacedFile, sha256: str = "") -> None:
        """Delete a file, if it is still the one that was listed.

        Args:
            file: As it was listed.
            sha256: Of what was read; a place that can read the file again at no cost compares it.

        Raises:
            FileChanged: It is another one by now; it was left alone.
            SourceError: It may not be deleted.
        """
        ...
