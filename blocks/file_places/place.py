"""What Tidegate needs of a place where somebody else puts files."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


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


class FilePlace(Protocol):
    """A place with files of others. Opened by `open_place`; connections end with its `with` block."""

    @property
    def url(self) -> str:
        """Where it is, for people; never a secret."""
        ...

    def list(self, pattern: str) -> Sequence[PlacedFile]:
        """Return the files whose relative path fits a pattern (`*`, `?`, `[…]`, and `**` for folders), by path.

        Hidden files (a part that begins with a dot) are left out. A name that would lead out of the place is left out
        too, and logged.

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
            SourceError: The file is not the one that was listed any more.
            SourceUnavailable: The place could not be reached; a transfer that was cut is taken up again first.
        """
        ...

    def move(self, file: PlacedFile, target: str) -> str:
        """Move a file to the folder `target` (relative to the place, or absolute), never over another one.

        Returns:
            Where it is now.
        """
        ...

    def delete(self, file: PlacedFile) -> None:
        """Delete a file, if it is still the one that was listed.

        Raises:
            SourceError: It is another one by now; it was left alone.
        """
        ...
