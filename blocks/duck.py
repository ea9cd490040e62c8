"""DuckDB as Tidegate uses it: in memory, limited, spilling, in UTC, and never fetching extensions."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from blocks.scratch import temporary_folder
from schemas.config import Settings


@contextmanager
def duck(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that is closed at the end."""
    # A folder of its own: spilled files have the same names in every connection.
    with temporary_folder(settings.temp_dir) as spilled:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": settings.memory_limit,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
            "temp_directory": str(spilled),
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def text_literal(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def read_files(paths: list[str]) -> str:
    """Return the table function that reads these Parquet files and takes nothing from their paths."""
    names = ", ".join(text_literal(path) for path in paths)
    return f"read_parquet([{names}], hive_partitioning = false)"
