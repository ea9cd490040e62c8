"""A project with a source of files, without Prefect: what is put there, what a run reports, what readers see."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.lake import Lake
from blocks.open_lake import open_lake
from schemas.ingest_report import FileReport, FileState, TableReport
from schemas.project import Project
from tasks.audit import audit
from tasks.ingest.ingest_table import ingest_table
from tasks.views import open_views


class FilesBench:
    """A source `partner` whose table `sales` is made of the CSV files in a folder.

    Attributes:
        drop: The folder.
    """

    def __init__(self, folder: Path, drop: Path | None = None, source: dict[str, Any] | None = None) -> None:
        self.folder, self.drop = folder, drop or folder / "drop"
        self._source: dict[str, Any] = source or {"type": "files", "path": str(self.drop)}
        self.drop.mkdir(parents=True, exist_ok=True)
        self.config_dir.mkdir(parents=True, exist_ok=True)
        self.settings: dict[str, Any] = {"lake": "./lake"}
        self.configure()

    @property
    def config_dir(self) -> Path:
        return self.folder / "config"

    @property
    def lake(self) -> Lake:
        settings = Project.load(self.config_dir).settings
        return open_lake(settings.lake, settings.temp_dir)

    def configure(self, table: dict[str, Any] | None = None, **source: Any) -> None:
        """Write the configuration: what is different in the table, and in the source."""
        entry = {"name": "sales", "files": "*.csv", **(table or {})}
        whole = {"name": "partner", **self._source, "settle_s": 0, "tables": [entry], **source}
        (self.config_dir / "settings.yaml").write_text(yaml.safe_dump(self.settings))
        (self.config_dir / "sources.yaml").write_text(yaml.safe_dump({"sources": [whole]}, sort_keys=False))

    def put(self, name: str, text: str | bytes, modified: float | None = None) -> Path:
        """Write a file, by default as if it had been there for a minute."""
        path = self.drop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(content)
        if modified is not None:
            os.utime(path, (modified, modified))
        return path

    def ingest(self, **options: Any) -> TableReport:
        return ingest_table(self.config_dir, "partner", "sales", uuid.uuid4().hex, **options)

    def rows(self, columns: str = "id, amount", table: str = "sales") -> list[tuple[Any, ...]]:
        """Return what readers see."""
        return self.ask(f'SELECT {columns} FROM "raw/partner".{table} ORDER BY ALL')

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with open_views(self.lake, Project.load(self.config_dir).settings) as connection:
            return connection.execute(query).fetchall()

    def dropped(self) -> list[str]:
        """Return the files that lie in the folder."""
        return sorted(str(path.relative_to(self.drop)) for path in self.drop.rglob("*") if path.is_file())

    def assert_sound(self) -> None:
        """Find that everything in the lake is as its manifests say, and nothing is left over."""
        report = audit(self.config_dir)
        assert (report.findings, [one.orphans for one in report.datasets]) == ((), [()] * len(report.datasets))


def states(report: TableReport) -> dict[str, FileState]:
    return {file.path: file.state for file in report.files}


def one(report: TableReport, path: str) -> FileReport:
    (found,) = [file for file in report.files if file.path == path]
    return found


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[FilesBench]:
    """A project with an empty folder for files."""
    yield FilesBench(tmp_path)
