"""Builds a lake as ingestions, builds and publications leave it: generations, and the run log's records."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, stored_as
from blocks.run_records import append_run_record
from blocks.table_log import Draft, TableLog
from blocks.write_query import write_query
from schemas.built import Built
from schemas.extracted import Extracted, Origin
from schemas.manifest import Manifest
from schemas.run_record import CheckResult, ColumnStatistics, RunRecord

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PASSED = CheckResult(check="unique(id)", severity="error", state="passed", checked=3, failed=0)
WARNED = CheckResult(
    check="range(amount)", severity="warn", state="warned", checked=3, failed=2, examples=("-1", "-2"), message="low"
)
REFUSED = CheckResult(
    check="not_null(id)", severity="error", state="refused", checked=3, failed=1, examples=("NULL",), message="missing"
)


@dataclass
class CatalogLake:
    """A lake and what is put into it; each run is a minute after the one before."""

    lake: Lake
    scratch: Path
    runs: int = field(default=0, init=False)

    def commit(self, dataset: str, query: str = "SELECT 1 AS id", *, aside: str = "", **more: Any) -> Manifest:
        """Commit a generation of the rows of a query; those of `aside` are quarantined."""
        log = TableLog(self.lake, dataset)
        with duckdb.connect() as connection:
            files = write_query(connection, query, self.scratch)
            quarantine = write_query(connection, aside, self.scratch) if aside else []
            columns = arrow_columns(stored_as(connection, query))
        rows = sum(file.rows for file in (*files, *quarantine))
        values: dict[str, Any] = {"source": "shop", "table": "", **more}
        return log.commit(Draft(columns=columns, rows_read=rows, files=files, quarantine=quarantine, **values), "run")

    def read_file(
        self, dataset: str, path: str, query: str = "SELECT 1 AS id", version: int = 1, **more: Any
    ) -> Manifest:
        """Commit what a file of the source `partners` held; `replaces` is the manifest of its earlier version."""
        origin = Origin(
            path=path, size_bytes=7, modified_at=LONG_AGO, sha256="ab" * 32, takes_place_of=more.pop("replaces", None)
        )
        extracted = Extracted(mode="incremental", schema_version=version, origin=origin, drift=more.pop("drift", ()))
        return self.commit(dataset, query, source="partners", table=path, extracted=extracted, **more)

    def ask_api(self, dataset: str, path: str, query: str = "SELECT 1 AS id") -> Manifest:
        """Commit what an API of the source `rates` answered."""
        extracted = Extracted(mode="full", schema_version=1)
        return self.commit(dataset, query, source="rates", table=path, extracted=extracted)

    def build(
        self, dataset: str, inputs: tuple[str, ...], query: str = "SELECT 1 AS id", mode: str = "replace", **more: Any
    ) -> Manifest:
        """Commit what a pipeline built, with the pipeline named after the table."""
        name = dataset.rpartition("/")[2]
        built = Built(pipeline=name, mode=mode, definition="d", inputs=dict.fromkeys(inputs, ()))
        return self.commit(dataset, query, source=name, table=query, built=built, **more)

    def ran(
        self, name: str, dataset: str | None = None, job: str = "build", state: str = "done", **more: Any
    ) -> RunRecord:
        """Note a run."""
        self.runs += 1
        at = more.pop("at", datetime.now(UTC) - timedelta(days=1) + timedelta(minutes=self.runs))
        values = {"run_id": f"run{self.runs}", "seconds": 1.5, "started_at": at, **more}
        record = RunRecord(
            id=f"id{self.runs:04d}",
            name=name,
            dataset=dataset,
            job=job,
            state=state,
            **values,
        )
        append_run_record(self.lake, record)
        return record

    def shop(self) -> "CatalogLake":
        """Fill the lake: files and an API in, two layers built of them, one publication."""
        orders = "SELECT i AS id, i * 2 AS amount, 'x' AS note FROM range(3) r(i)"
        self.read_file("raw/partners/orders", "a.csv", orders)
        self.read_file("raw/partners/orders", "b.csv", orders)
        self.ran("partners.orders", "raw/partners/orders", "ingest", file="a.csv", read=3, rows=3)
        self.ran(
            "partners.orders", "raw/partners/orders", "ingest", "failed", file="c.csv", error="c.csv: line 7 is ragged."
        )
        self.ran("partners.orders", "raw/partners/orders", "ingest", read=6, rows=6)
        self.ask_api("raw/rates/latest", "/latest")
        self.ran("rates.latest", "raw/rates/latest", "ingest", "unchanged")
        inputs = ("raw/partners/orders", "raw/rates/latest")
        self.build("staging/shop/orders", inputs, orders, aside="SELECT 9 AS id")
        self.ran(
            "orders", "staging/shop/orders", checks=(PASSED, WARNED), read=6, rows=3, inputs=inputs,
            statistics=(
                ColumnStatistics(column="id", type="BIGINT", nulls=0, distinct=3, minimum="0", maximum="2"),
                ColumnStatistics(column="note", type="VARCHAR", nulls=1, distinct=1, minimum="x", maximum="x"),
            ),
            lineage={
                "id": ("raw/partners/orders.id",),
                "amount": ("raw/partners/orders.amount", "raw/rates/latest.id"),
            },
        )  # fmt: skip
        self.build("consume/bi/top", ("staging/shop/orders",), "SELECT 1 AS total")
        lineage = {"total": ("staging/shop/orders.amount",)}
        self.ran("top", "consume/bi/top", inputs=("staging/shop/orders",), lineage=lineage, rows=1)
        self.ran("top", "consume/bi/top", state="failed", checks=(PASSED, REFUSED), error="not_null(id) failed.")
        self.ran("warehouse", None, "publish", inputs=("consume/bi/top",), rows=1)
        return self
