"""Parquet files, quality checks on them as a configuration writes them, and what became of the rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter

from blocks.lake_types import arrow_columns, stored_as
from schemas.column_plan import Column, duckdb_type
from schemas.pipelines.checks import Check
from schemas.run_record import CheckResult
from tasks.build.run_checks import Checked, run_checks

CHECKS: TypeAdapter[tuple[Check, ...]] = TypeAdapter(tuple[Check, ...])


class CheckBench:
    """A table in a few Parquet files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = duckdb.connect(
            ":memory:", config={"preserve_insertion_order": "false", "memory_limit": "500MB", "threads": 2}
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        self.files: list[Path] = []
        self.columns: tuple[Column, ...] = ()
        self.tables: dict[str, str] = {}

    def put(self, *queries: str) -> None:
        """Write a file for each query; all have the columns of the first."""
        for query in queries:
            self.columns = self.columns or arrow_columns(stored_as(self.connection, query))
            names = ", ".join(column.quoted for column in self.columns)
            cast = ", ".join(f"CAST({c.quoted} AS {duckdb_type(c)}) AS {c.quoted}" for c in self.columns)
            path = self.folder / f"it's part {len(self.files)}.parquet"
            target = str(path).replace("'", "''")
            self.connection.execute(f"COPY (SELECT {cast} FROM ({query}) AS q({names})) TO '{target}' (FORMAT parquet)")
            self.files.append(path)

    def run(self, *checks: dict[str, Any], model: str | None = None, batch_rows: int = 2048) -> Checked:
        return run_checks(
            self.connection,
            self.files,
            CHECKS.validate_python(checks),
            model,
            self.columns,
            self.tables,
            self.folder,
            name="sales",
            batch_rows=batch_rows,
        )

    def one(self, **check: Any) -> CheckResult:
        """Run one check."""
        (result,) = self.run(check).results
        return result

    def failing(self, **check: Any) -> list[tuple[int, int]]:
        """Return file and place of the rows that a check puts aside."""
        return [(file, row) for file, row, _ in self.put_aside({**check, "on_failure": "quarantine"})]

    def put_aside(self, *checks: dict[str, Any], **options: Any) -> list[tuple[int, int, str]]:
        """Return file, place and reason of the rows that are put aside."""
        checked = self.run(*checks, **options)
        if checked.bad_rows is None:
            return []
        query = f"SELECT file, file_row_number, reason FROM '{checked.bad_rows}' ORDER BY ALL"
        names = [str(path) for path in self.files]
        return [(names.index(file), row, reason) for file, row, reason in self.connection.sql(query).fetchall()]


def values(rows: Sequence[Sequence[Any]], columns: str) -> str:
    """Return a query of literal rows."""
    texts = [", ".join("NULL" if value is None else repr(value) for value in row) for row in rows]
    return f"SELECT * FROM (VALUES {', '.join(f'({text})' for text in texts)}) AS given({columns})"
