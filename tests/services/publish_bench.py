"""A bench for publishing: a lake that is filled by queries, a database, and a project that publishes the one there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg
import pytest
import yaml

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, select_list, stored_as
from blocks.open_lake import open_lake
from blocks.table_log import Draft, TableLog
from blocks.write_query import write_query
from schemas.built import BuildMode, Built
from schemas.errors import TidegateError
from schemas.project import Project
from schemas.publish_report import PublishedReport
from tasks.publish.publish_one import plan_publishing, publish_one


@dataclass
class PublishBench:
    """A project whose one publication to PostgreSQL is called `warehouse`."""

    url: str
    folder: Path

    def __post_init__(self) -> None:
        self.config_dir.mkdir(parents=True, exist_ok=True)
        self._write("settings", {"lake": "./lake"})
        self._write("sources", {"sources": []})
        self._write("archives", {"archives": []})

    @property
    def config_dir(self) -> Path:
        return self.folder / "config"

    @property
    def lake(self) -> Lake:
        return open_lake(self.project.settings.lake)

    @property
    def project(self) -> Project:
        return Project.load(self.config_dir)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.config_dir / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def configure(self, *tables: Any, **changes: Any) -> None:
        """Write publish.yaml: these tables, and changes to the publication."""
        publication = {
            "name": "warehouse", "type": "postgresql", "connection": {"url": self.url},
            "tables": list(tables) or ["*"], **changes,
        }  # fmt: skip
        self._write("publish", {"publications": [publication]})

    def configure_file(self, *tables: str, path: str = "lake.duckdb") -> Path:
        """Write publish.yaml with a file of views instead, and return where the file will be."""
        publication = {"name": "bi", "type": "duckdb", "path": path, "tables": list(tables) or ["*"]}
        self._write("publish", {"publications": [publication]})
        return self.folder / path

    def put(
        self, query: str, dataset: str = "consume/bi/top", mode: BuildMode = "replace", key: tuple[str, ...] = ()
    ) -> None:
        """Commit the rows of a DuckDB query to the lake."""
        with TemporaryDirectory() as scratch, duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            stored = stored_as(connection, query)
            files = write_query(connection, f"SELECT {select_list(stored)} FROM ({query})", Path(scratch))
            built = Built(pipeline="p", mode=mode, definition="d", inputs={})
            rows = sum(file.rows for file in files)
            draft = Draft(
                source="p", table="t", columns=arrow_columns(stored), key=key, rows_read=rows, files=files, built=built
            )
            TableLog(self.lake, dataset).commit(draft, "run")

    def publish(self, **options: Any) -> dict[str, PublishedReport]:
        """Publish everything, without Prefect; return the reports by target. The first error is raised."""
        placements = plan_publishing(self.project, None)
        return {one.target: publish_one(self.config_dir, one, "run", **options) for one in placements}

    def one(self, **options: Any) -> PublishedReport:
        """Publish the one table there is."""
        [report] = self.publish(**options).values()
        return report

    def refusal(self, **options: Any) -> TidegateError:
        """Publish what is to be refused, and find that no table is another one, or holds other rows, than before."""
        before = self.tables()
        with pytest.raises(TidegateError) as refused:
            self.publish(**options)
        assert self.tables() == before
        assert refused.value.state and refused.value.next_step, str(refused.value)
        assert "tidegate_" not in str(refused.value), "names of our own mean nothing to anybody"
        return refused.value

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement in the database, in a transaction of its own, and return its rows."""
        with psycopg.connect(self.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> dict[str, tuple[int, int]]:
        """Return the number of every table of the database, and the number of its rows."""
        found = self.sql(
            "SELECT oid::regclass::text, oid::bigint FROM pg_class WHERE relkind = 'r' AND oid >= 16384 "
            "AND relnamespace <> 'pg_toast'::regnamespace"
        )
        return {name: (oid, self.sql(f"SELECT count(*) FROM {name}")[0][0]) for name, oid in found}

    def in_another_process(self, code: str) -> subprocess.Popen[bytes]:
        """Start a process that runs `code` with this bench as `bench`; for runs that are to be killed."""
        setup = (
            "import os, signal, sys; from pathlib import Path; from publish_bench import PublishBench; "
            f"bench = PublishBench({self.url!r}, Path({str(self.folder)!r}))\n"
        )
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        return subprocess.Popen([sys.executable, "-c", setup + code], env={**os.environ, "PYTHONPATH": path})


@pytest.fixture
def publishing(database: str, tmp_path: Path) -> Iterator[PublishBench]:
    """A project over a fresh database and a fresh local lake, which publishes everything."""
    bench = PublishBench(database, tmp_path / "project")
    bench.configure()
    yield bench
