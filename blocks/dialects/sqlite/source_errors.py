"""What an error of SQLite means for the work: wrong for good, or worth another try."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError

# Primary result code -> (kind of error, what to do).
_MEANINGS: dict[int, tuple[type[TidegateError], str]] = {
    sqlite3.SQLITE_BUSY: (SourceUnavailable, "Somebody else writes to it for long. Run the same command again."),
    sqlite3.SQLITE_LOCKED: (SourceUnavailable, "Run the same command again; it resumes."),
    sqlite3.SQLITE_SCHEMA: (SourceUnavailable, "Run the same command again; it resumes."),
    sqlite3.SQLITE_NOTADB: (
        ConfigError,
        "Check the file that sources.yaml names: it is no SQLite database, or one that is encrypted.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        ConfigError,
        "This user must be able to read the file and to write into its folder: SQLite keeps a journal beside it.",
    ),
    sqlite3.SQLITE_READONLY: (
        ConfigError,
        "This user must be able to write the file and into its folder: SQLite keeps a journal beside it.",
    ),
    sqlite3.SQLITE_CORRUPT: (SourceError, "The database is damaged: PRAGMA integrity_check; restore it from a backup."),
    sqlite3.SQLITE_FULL: (SourceError, "Free space on its disk (`df -h`), then run the same again."),
    sqlite3.SQLITE_IOERR: (SourceError, "Look at the disk and the system log (`dmesg`), then run the same again."),
    sqlite3.SQLITE_INTERRUPT: (
        SourceError,
        "Give a batch more time (purge.statement_timeout_s) or fewer rows (purge.batch_rows).",
    ),
    sqlite3.SQLITE_CONSTRAINT: (
        SourceError,
        "Archive or delete the rows that refer to it first, or settle what the table's triggers are to do.",
    ),
}
_PRIMARY = 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into Tidegate's."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from None


def translate(error: sqlite3.Error, path: Path) -> TidegateError:
    """Return the Tidegate error for an error of SQLite."""
    kind, next_step = _MEANINGS.get(primary_code(error), (SourceError, ""))
    return kind(f"{path}: {str(error).strip()}", next_step=next_step)


def primary_code(error: sqlite3.Error) -> int:
    """Return the error's primary result code, or 0 if SQLite gave none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY
