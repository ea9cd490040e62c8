"""Reads a file as an ingestion does: opened, queried until all types fit, and counted by the other reader."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from blocks.duck import duck
from blocks.file_formats.open_file import open_file
from schemas.config import Settings
from schemas.sources.file_format import FileFormat


@dataclass
class Read:
    types: dict[str, str]
    rows: list[tuple[Any, ...]]
    notes: Sequence[str]
    demotions: int

    def column(self, name: str) -> list[Any]:
        return [row[list(self.types).index(name)] for row in self.rows]


def read(
    name: str,
    content: bytes | Path,
    *,
    types: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
    **options: Any,
) -> Read:
    """Return the records; both readers have to find the same number of them, and the file has to stay as it is."""
    with tempfile.TemporaryDirectory() as folder, duck(Settings(memory_limit="1GB")) as connection:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        path = content if isinstance(content, Path) else Path(folder) / "incoming"
        if isinstance(content, bytes):
            path.write_bytes(content)
        before = (path.stat().st_mtime_ns, path.stat().st_size)
        records = open_file(
            connection, path, name, FileFormat.model_validate(options), scratch, types=types or {}, known=known or {}
        )
        connection.execute("SET preserve_insertion_order = true")
        demotions = 0
        while True:
            try:
                result = connection.execute(records.query)
                columns = {str(name): str(kind) for name, kind, *_ in result.description or ()}
                rows = result.fetchall()
                break
            except duckdb.Error as error:
                if not records.demote(error):
                    raise records.explain(error) from error
                demotions += 1
                assert demotions < 50, "it does not come to an end"
        assert records.count() == len(rows)
        assert (path.stat().st_mtime_ns, path.stat().st_size) == before
        return Read(columns, rows, records.notes, demotions)
