"""A test bench: a real database, a project that archives one of its tables, and the steps without Prefect."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg
import pytest
import yaml

from blocks.duck import read_files
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger, generations_of
from blocks.open_lake import open_lake
from schemas.errors import ConfigError, TidegateError
from schemas.exported import Exported
from schemas.job import Job
from schemas.plan import Plan, PlannedWindow
from schemas.project import Project
from schemas.purge_outcome import PurgeOutcome
from schemas.purge_records import Receipt
from schemas.report import RunFailed, RunReport
from tasks.collect_report import collect_report
from tasks.export import export_window
from tasks.inspect_source import inspect_source
from tasks.plan import plan_windows
from tasks.purge import purge
from tasks.purge_unit import in_units, purge_unit
from tasks.remove_orphans import remove_orphans
from tasks.verify import VerifiedGeneration, prove

ORDERS = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, placed_at timestamptz, shop text, amount numeric(12,4), note text, payload jsonb)
"""
FILL_ORDERS = """
INSERT INTO orders
SELECT g, '2024-01-01 00:00:00+00'::timestamptz + g * interval '7 hours 13 minutes', 'shop ' || g % 3, g * 1.37,
       CASE WHEN g % 5 = 0 THEN NULL WHEN g % 7 = 0 THEN '' ELSE 'note ' || g END, jsonb_build_object('n', g)
FROM generate_series(1, $1) g
"""


@dataclass
class Now:
    """A future that is already there."""

    work: Callable[[], Exported]

    def result(self) -> Exported:
        return self.work()


@dataclass
class Bench:
    """A project under test; `archive` is the one entry of its archives.yaml."""

    url: str
    folder: Path
    archive: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    replica: str | None = None

    def __post_init__(self) -> None:
        (self.folder / "config").mkdir(parents=True, exist_ok=True)
        self.configure()

    @property
    def config_dir(self) -> Path:
        return self.folder / "config"

    @property
    def lake(self) -> Lake:
        return open_lake(self.project.settings.lake)

    @property
    def project(self) -> Project:
        return Project.load(self.config_dir)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.lake, self.project.archives[0].resolved_folder)

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with changes to the archive's entry; None removes a key."""
        defaults = {
            "name": "orders", "source": "shop", "table": "public.orders", "time_column": "placed_at",
            "window": "month", "to": "2025-01-01", "purge": {"mode": "delete", "batch_rows": 50},
        }  # fmt: skip
        self.archive = {**defaults, **self.archive, **changes}
        entry = {key: value for key, value in self.archive.items() if value is not None}
        purge = entry.get("purge", {})
        if "batch_rows" in purge:  # so that a test knows what is in which batch, however fast the machine is
            entry["purge"] = {"max_batch_rows": purge["batch_rows"], **purge}
        source: dict[str, Any] = {"name": "shop", "type": "postgresql", "connection": {"url": self.url}}
        if self.replica:
            source["replica"] = {"url": self.replica}
        self._write("settings", {"lake": "./lake", **self.settings})
        self._write("sources", {"sources": [source]})
        self._write("archives", {"archives": [entry]})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.config_dir / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement in a transaction of its own and return its rows."""
        with psycopg.connect(self.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            cursor = connection.execute(query, parameters or None)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str = "orders") -> int:
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def fill_orders(self, rows: int = 200) -> None:
        """Create the table `orders` with rows of the first months of 2024."""
        self.sql(ORDERS)
        self.sql(FILL_ORDERS, rows)

    def job(self, purge: bool | None = None) -> Job:
        project = self.project
        return inspect_source(project, project.archives[0].with_overrides(purge=purge))

    def plan(self) -> Plan:
        return plan_windows(self.job(), generations_of(self.lake, self.job()))

    def export(self, job: Job | None = None) -> list[Exported]:
        """Export every window that has something new."""
        job = job or self.job()
        plan = plan_windows(job, generations_of(self.lake, job))
        return [export_window(job, w.window, w.earlier, "run") for w in plan.windows if w.export]

    def prove(self, manifest: str, scratch: Path | None = None) -> VerifiedGeneration:
        folder = scratch or self.folder / "scratch"
        folder.mkdir(exist_ok=True)
        return prove(self.job(), manifest, folder)

    def purge(self, manifest: str) -> Receipt:
        """Prove and purge one generation."""
        return purge(self.prove(manifest), self.job(), "run")

    def run(self, run_id: str = "run", purging: bool | None = None) -> RunReport:
        """Do what the flow does, without Prefect; raises RunFailed as the flow does."""
        job = self.job(purging)
        self.lake.check(write=True)
        remove_orphans(self.lake, self.ledger)
        plan = plan_windows(job, generations_of(self.lake, job))

        def export(planned: PlannedWindow) -> Now:
            return Now(lambda: export_window(job, planned.window, planned.earlier, run_id))

        report = collect_report(job, plan, (export(w) for w in plan.windows if w.export), run_id)
        if job.archive.purge.mode != "none":
            for unit, _ in in_units(job, report.to_purge, report.to_purge):
                report.purged(self._outcomes(job, unit, run_id))
        finished = report.finished()
        if finished.state == "failed":
            raise RunFailed(finished)
        return finished

    def _outcomes(self, job: Job, unit: list[str], run_id: str) -> list[PurgeOutcome]:
        with TemporaryDirectory(dir=self.folder) as scratch:
            try:
                receipts = purge_unit([prove(job, manifest, Path(scratch)) for manifest in unit], job, run_id)
            except TidegateError as error:
                return [PurgeOutcome(manifest=m, error=str(error), exit_code=error.exit_code) for m in unit]
            return [PurgeOutcome.of(receipt) for receipt in receipts]

    def failed_run(self) -> RunReport:
        with pytest.raises(RunFailed) as failure:
            self.run()
        return failure.value.report

    def refusal(self, purging: bool | None = None) -> ConfigError:
        """Run what is to be refused, and find that neither the source nor the lake was touched."""
        before = self.rows_of_all_tables()
        with pytest.raises(ConfigError) as refused:
            self.run(purging=purging)
        assert refused.value.state and refused.value.next_step
        assert self.rows_of_all_tables() == before
        assert not (self.folder / "lake").exists()
        return refused.value

    def rows_of_all_tables(self) -> dict[str, int]:
        tables = self.sql("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
        return {table: self.count(table) for (table,) in tables}

    def in_another_process(self, code: str) -> subprocess.Popen[bytes]:
        """Start a process that runs `code` with this bench as `bench`; for runs that are to be killed."""
        setup = (
            "import os, signal, sys; from pathlib import Path; from service_bench import Bench; "
            f"bench = Bench({self.url!r}, Path({str(self.folder)!r}), {self.archive!r}, {self.settings!r})\n"
        )
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        return subprocess.Popen([sys.executable, "-c", setup + code], env={**os.environ, "PYTHONPATH": path})

    def generations(self) -> list[Generation]:
        return self.ledger.generations()

    def lake_files(self) -> list[Path]:
        return [self.folder / "lake" / path for g in self.generations() for path in g.files]

    def lake_rows(self, columns: str = "*", order: str = "id") -> list[tuple[Any, ...]]:
        """Return what the committed files hold, read by DuckDB."""
        files = [str(path) for path in self.lake_files()]
        if not files:
            return []
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(f"SELECT {columns} FROM {read_files(files)} ORDER BY {order}").fetchall()

    def records(self) -> dict[str, bytes]:
        """Return everything in the lake: what a run that mutates nothing leaves as it is."""
        lake = self.lake  # one: on S3 each has connections of its own
        paths = [entry.path for entry in lake.list("")]
        return dict(zip(paths, lake.read_many(paths), strict=True))


@pytest.fixture
def bench(database: str, tmp_path: Path) -> Iterator[Bench]:
    """A project over a fresh database and a fresh local lake."""
    yield Bench(database, tmp_path / "project")
