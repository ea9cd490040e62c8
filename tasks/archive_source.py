"""The source of an archive, for work on its lake: under the table's archiver lock, or not asked at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blocks.open_source import open_source
from blocks.source import Session
from schemas.config import Archive
from schemas.errors import ConfigError
from schemas.project import Project
from schemas.table import Table
from schemas.table_name import TableName


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """A connection to the archive's table."""

    session: Session
    table: Table
    name: TableName

    def still_there(self) -> None:
        """Ask it something: who lost the connection lost the lock.

        Raises:
            SourceUnavailable: The connection is lost.
        """
        self.session.describe(self.name)


@contextmanager
def archive_source(
    project: Project, archive: Archive, state: str, *, locked: bool, without_source: bool
) -> Iterator[ArchiveSource | None]:
    """Open the source of an archive for as long as the block lives.

    Args:
        project: The project.
        archive: The archive.
        state: What state the data is in, for errors.
        locked: Whether to hold the table's archiver lock: then no export relies on files that vanish.
        without_source: Whether to do without it: None is given.

    Raises:
        ConfigError: There is no such table any more.
        Busy: Another archiver holds the lock.
        SourceUnavailable: It could not be reached.
    """
    if without_source:
        yield None
        return
    source = open_source(project.database(archive.source))
    with source.session() as session:
        try:
            table = session.describe(archive.table)
        except ConfigError as error:
            error.state = error.state or state
            error.next_step = f"{error.next_step} If the table is gone for good: --without-source".strip()
            raise
        if not locked:
            yield ArchiveSource(session, table, archive.table)
            return
    with source.locked(table) as session:
        yield ArchiveSource(session, table, archive.table)
