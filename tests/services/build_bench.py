"""A project with pipelines over a raw layer that is filled by queries, as files and answers of APIs fill it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, select_list, stored_as
from blocks.open_lake import open_lake
from blocks.run_records import read_run_records
from blocks.table_log import Draft, TableLog
from blocks.write_query import write_query
from schemas.build_report import BuildReport, PipelineReport
from schemas.errors import TidegateError
from schemas.extracted import Extracted
from schemas.manifest import Manifest
from schemas.project import Project
from schemas.run_record import RunRecord
from tasks.build.build_pipeline import build_pipeline
from tasks.build.order import plan_build
from tasks.build.schedule import collect_build, run_plan
from tasks.views import open_views

SOURCES = "sources: [{name: shop, type: sqlite, connection: {url: 'sqlite:///shop.db'}, tables: [orders]}]"
STAGED = {"layer": "staging", "domain": "sales", "table": "orders"}


class _Now:
    """A future of a build that is over already."""

    def __init__(self, report: PipelineReport | BaseException) -> None:
        self._report = report

    def add_done_callback(self, fn: Any) -> None:
        fn(self)

    def result(self) -> PipelineReport:
        if isinstance(self._report, BaseException):
            raise self._report
        return self._report


@dataclass
class BuildBench:
    """A project in a folder, and its lake."""

    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=lambda: {"lake": "./lake"})

    def __post_init__(self) -> None:
        (self.folder / "config").mkdir(parents=True)
        (self.folder / "config/sources.yaml").write_text(SOURCES)
        self.configure()

    def configure(self, *entries: dict[str, Any]) -> None:
        """Write settings.yaml and pipelines.yaml."""
        self.entries = list(entries)
        (self.folder / "config/settings.yaml").write_text(yaml.safe_dump(self.settings))
        (self.folder / "config/pipelines.yaml").write_text(yaml.safe_dump({"pipelines": self.entries}))

    def stage(self, *transforms: dict[str, Any], **more: Any) -> None:
        """Configure one pipeline `orders` from raw.shop.orders into staging.sales.orders."""
        entry: dict[str, Any] = {"name": "orders", "source": "raw.shop.orders", "destination": STAGED, **more}
        self.configure({**entry, "transforms": list(transforms)})

    @property
    def config_dir(self) -> Path:
        return self.folder / "config"

    @property
    def project(self) -> Project:
        return Project.load(self.config_dir)

    @property
    def lake(self) -> Lake:
        return open_lake(self.project.settings.lake)

    def raw(self, query: str, dataset: str = "raw/shop/orders", *, whole: bool = False, added: bool = True) -> Manifest:
        """Commit the rows of a query as a further generation of a raw table."""
        (self.folder / "lake").mkdir(exist_ok=True)
        log = TableLog(self.lake, dataset)
        at = f"TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL {len(log.generations)} DAY"
        provenance = (
            f", {at} AS _ingested_at, 'shop' AS _source, NULL::VARCHAR AS _source_file, 'r' AS _run_id, "
            "1 AS _schema_version"
        )
        query = f"SELECT * {provenance if added else ''} FROM ({query})"
        with duckdb.connect() as connection, self.lake.scratch() as scratch:
            connection.execute("SET TimeZone = 'UTC'")
            stored = stored_as(connection, query)
            files = write_query(connection, f"SELECT {select_list(stored)} FROM ({query})", scratch)
            draft = Draft(
                source="shop", table="t", columns=arrow_columns(stored), rows_read=sum(f.rows for f in files),
                files=files, extracted=Extracted(mode="full" if whole else "incremental", schema_version=1),
            )  # fmt: skip
            return log.commit(draft, "raw")

    def build(self, pipeline: str = "orders", **options: Any) -> PipelineReport:
        return build_pipeline(self.config_dir, pipeline, "run", **options)

    def build_all(self, *names: str, **options: Any) -> BuildReport:
        """Run pipelines as the flow does, one after the other."""

        def submit(pipeline: Any, planned: tuple[str, ...]) -> _Now:
            try:
                return _Now(self.build(pipeline.name, planned=planned, **options))
            except TidegateError as error:
                return _Now(error)

        reports = run_plan(plan_build(self.project, names), submit, 1)
        return collect_build(reports, "run", dry_run=bool(options.get("dry_run")))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with open_views(self.lake, self.project.settings) as connection:
            return connection.execute(query).fetchall()

    def rows(self, columns: str = "*", dataset: str = '"staging/sales".orders') -> list[tuple[Any, ...]]:
        """Return what readers see of a table."""
        return self.ask(f"SELECT {columns} FROM {dataset} ORDER BY ALL")

    def generations(self, dataset: str = "staging/sales/orders") -> list[Manifest]:
        return [generation.manifest for generation in TableLog(self.lake, dataset).generations]

    def records(self) -> list[RunRecord]:
        return read_run_records(self.lake)

    def quarantined(self, dataset: str = "staging/sales/orders") -> list[tuple[Any, ...]]:
        """Return the rows in quarantine of the newest generation."""
        files = [str(self.folder / "lake" / file.path) for file in self.generations(dataset)[-1].quarantine]
        return duckdb.sql(f"SELECT * FROM read_parquet({files}) ORDER BY ALL").fetchall() if files else []


@pytest.fixture
def build_bench(tmp_path: Path) -> BuildBench:
    """A project without pipelines and an empty lake."""
    return BuildBench(tmp_path / "project")
