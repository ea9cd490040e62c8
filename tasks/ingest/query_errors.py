"""Says of an error of the database that it came from a query of the configuration, and from which one."""

from schemas.errors import SourceError, TidegateError, is_transient
from schemas.extract_config import ExtractTable


def name_query(error: TidegateError, entry: ExtractTable, label: str) -> None:
    """Name the query in what the database says of it: a number divided by zero, a function that would write.

    Args:
        error: Of reading the table, or looking at it.
        entry: What was read.
        label: Where the configuration has it.
    """
    if entry.query is None or not isinstance(error, SourceError) or is_transient(error) or label in error.what:
        return
    error.what = f"{label}.query: {error.what}"
    error.next_step = error.next_step or "Correct the query; the source is only read."
