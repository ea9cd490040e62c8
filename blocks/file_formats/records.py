"""What every reader of a file format gives: its records as a DuckDB query, and their number by another reader."""

from collections.abc import Sequence
from typing import Protocol

import duckdb

from schemas.errors import TidegateError


class BadFile(TidegateError):
    """A file is not what it should be. It names the file, and line, row or place in it, and what would be right."""


class Records(Protocol):
    """The records of one file, ready to be read. Lives as long as its DuckDB connection and its scratch folder."""

    @property
    def query(self) -> str:
        """A SELECT of the records, in the order of the file, with the types that all values have."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was found out or changed on the way and is worth a line in the report: encoding, renamed columns."""
        ...

    def demote(self, error: duckdb.Error) -> bool:
        """Take a column whose type does not fit all of its values for text, and return True: `query` can be run again.

        Args:
            error: What running `query` raised. False if it says something else.

        Raises:
            BadFile: Looking for the right type, something else was found to be wrong.
        """
        ...

    def explain(self, error: duckdb.Error) -> BadFile:
        """Return what running `query` raised as an error that names file and line, and what would be right.

        Raises:
            LakeError: It was not the file: this machine had no memory or no room.
        """
        ...

    def count(self) -> int:
        """Count the records with another reader than the one behind `query`; in any thread, also while that one runs.

        Raises:
            BadFile: It cannot be read.
        """
        ...
