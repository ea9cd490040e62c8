"""A pipeline from raw to staging beside the same SQL written by hand, in one run: ratios, not seconds.

    python benchmarks/build.py                # 5M rows
    python benchmarks/build.py --rows 500000  # a quick look

Each contestant is a process of its own; its wall time, CPU and peak memory are the operating system's figures for the
whole process, imports included. Both may use a gigabyte. The hand-written SQL checks what Tidegate's quality checks
do, and leaves out all else: statistics, checksums, manifests, flushing to the disk.
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import duckdb
import yaml
from build_steps import MEMORY
from measured import Measured, aim, machine, measure

from blocks.lake_types import arrow_columns, stored_as
from blocks.local_lake import LocalLake
from blocks.table_log import Draft, TableLog
from blocks.write_query import write_query
from schemas.extracted import Extracted

HERE = Path(__file__).parent
DAYS = 10
PIPELINE = {
    "name": "ventas_staging",
    "source": {"layer": "raw", "domain": "mysql_ventas", "table": "clientes"},
    "destination": {"layer": "staging", "domain": "ventas", "table": "clientes"},
    "transforms": [
        {"type": "rename", "columns": {"cli_id": "cliente_id", "cli_nom": "nombre", "cli_email": "email"}},
        {"type": "cast", "columns": {"fecha_alta": "date", "activo": "boolean"}},
        {"type": "filter", "condition": "estado != 'DELETED'"},
        {"type": "deduplicate", "keys": ["cliente_id"]},
    ],
    "quality_checks": [
        {"type": "not_null", "columns": ["cliente_id", "nombre"]},
        {"type": "unique", "columns": ["cliente_id"]},
        {"type": "valid_values", "column": "estado", "values": ["ACTIVO", "INACTIVO", "PENDIENTE"]},
    ],
}
# A tenth of the keys comes again on a later day; one row in twenty is deleted.
ROWS = """
SELECT (g * 7919) % {keys} AS cli_id, 'Cliente ' || g AS cli_nom, 'c' || g || '@example.es' AS cli_email,
       CAST(DATE '2015-01-01' + CAST(g % 3650 AS INTEGER) AS VARCHAR) AS fecha_alta, CAST(g % 2 AS SMALLINT) AS activo,
       CASE WHEN g % 20 = 0 THEN 'DELETED' ELSE ['ACTIVO', 'INACTIVO', 'PENDIENTE'][1 + g % 3] END AS estado,
       CAST(g % 100000 / 7 AS DECIMAL(12, 2)) AS importe,
       TIMESTAMPTZ '2026-01-01 00:00Z' + INTERVAL {day} DAY AS _ingested_at, 'mysql_ventas' AS _source,
       NULL::VARCHAR AS _source_file, 'run {day}' AS _run_id, 1 AS _schema_version
FROM range({first}, {last}) t(g)
"""


def fill(folder: Path, rows: int) -> None:
    """Write the project, and a raw layer of some days."""
    (folder / "config").mkdir()
    (folder / "lake").mkdir()
    sources = [{"name": "shop", "type": "sqlite", "connection": {"url": "sqlite:///shop.db"}, "tables": ["t"]}]
    for name, content in (
        ("settings", {"lake": "./lake", "memory_limit": MEMORY}),
        ("sources", {"sources": sources}),
        ("pipelines", {"pipelines": [PIPELINE]}),
    ):
        (folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    lake = LocalLake(folder / "lake")
    log = TableLog(lake, "raw/mysql_ventas/clientes")
    extracted = Extracted(mode="incremental", schema_version=1)
    for day in range(DAYS):
        with duckdb.connect() as connection, lake.scratch() as scratch:
            first, last = rows * day // DAYS, rows * (day + 1) // DAYS
            query = ROWS.format(keys=rows * 9 // 10, first=first, last=last, day=day)
            columns = arrow_columns(stored_as(connection, query))
            files = write_query(connection, query, scratch)
            draft = Draft(
                source="mysql_ventas", table="clientes", columns=columns, rows_read=last - first, files=files,
                folder=f"year=2026/month=01/day={day + 1:02d}", extracted=extracted,
            )  # fmt: skip
            log.commit(draft, "bench")


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over the rounds of ours / theirs, pair by pair."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    figures = {"DuckDB SQL by hand": Measured(), "tidegate run": Measured()}
    hand, ours = figures.values()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        fill(folder, options.rows)
        for _ in range(options.rounds):
            for into, contestant in ((hand, "duckdb"), (ours, "tidegate")):
                measure(into, [sys.executable, str(HERE / "build_steps.py"), contestant, str(folder)])
    assert hand.said[0]["rows"] == ours.said[0]["rows"], "the two did not build the same table"
    whole, work = ratio(ours.wall_s, hand.wall_s), ratio(*([s["work_s"] for s in m.said] for m in (ours, hand)))
    peak = max(ours.peak_mb)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {options.rows:,} rows × 12 columns of the raw layer: rename, "
        f"cast, filter, deduplicate, three checks. {options.rounds} rounds: medians.",
        "",
        "| | wall s | of this without start and imports | CPU s | peak MB | rows/s |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {m.row()[0]:.1f} | {median(s['work_s'] for s in m.said):.1f} | {m.row()[1]:.1f} "
            f"| {m.row()[2]:.0f} | {options.rows / m.row()[0]:,.0f} |"
            for name, m in figures.items()
        ),
        "",
        "| aim | measured | |",
        "|---|---|---|",
        aim("at most 2 × the same SQL by hand", f"{whole:.2f} × (without start and imports {work:.2f} ×)", whole <= 2),
        aim("peak memory under 1 GB for DuckDB and 400 MB for all else", f"{peak:.0f} MB", peak < 1400),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results" / "build.md").write_text(text)


if __name__ == "__main__":
    main()
