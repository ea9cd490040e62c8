"""Tidegate beside what people would use instead, on one table, in one run: ratios, not seconds.

    python benchmarks/archive.py                # 3M rows, then the memory at 12M
    python benchmarks/archive.py --rows 300000  # a quick look

Each contestant is a process of its own; its wall time, CPU and peak memory are the operating system's figures for
the whole process, imports included. PostgreSQL is the embedded one (fsync off) with its data on this machine's disk.
DuckDB's postgres_scanner needs duckdb 1.5.5 and gets an environment of its own in `benchmarks/.venv-duckdb`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psycopg
import yaml
from measured import Measured, aim, machine, measure

from tidegate.demo.postgres import EmbeddedPostgres

HERE = Path(__file__).parent
DUCKDB = "1.5.5"
START, END = "2022-01-01", "2024-01-01"  # 24 windows of a month

TABLE = """
CREATE TABLE {name} (
    id bigint PRIMARY KEY, shipped_at timestamptz NOT NULL, quantity int, price numeric(12,4), discount numeric(12,4),
    comment text, payload jsonb, reference uuid)
"""
FILL = """
INSERT INTO {name}
SELECT g, '{start}'::timestamptz + g * (('{end}'::timestamptz - '{start}'::timestamptz) / ({rows} + 1.0)),
       g % 50, (g::bigint * 7919 % 10000000) / 1e4, CASE WHEN g % 11 <> 0 THEN (g % 10) / 1e2 END,
       'order ' || g || ' of customer ' || g * 31 % 9973, jsonb_build_object('n', g, 'tags', array['a', g % 7 || '']),
       md5(g::text)::uuid
FROM generate_series(1, {rows}) g
"""


class Bench:
    """A server with the table, and a project that archives it."""

    def __init__(self, server: EmbeddedPostgres, folder: Path) -> None:
        self.url, self.folder = server.url(), folder
        (folder / "config").mkdir()

    def sql(self, text: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(text)  # type: ignore[arg-type]

    def load(self, name: str, rows: int) -> None:
        self.sql(f"DROP TABLE IF EXISTS {name}")
        self.sql(TABLE.format(name=name))
        self.sql(FILL.format(name=name, start=START, end=END, rows=rows))
        self.sql(f"CREATE INDEX ON {name} (shipped_at)")
        self.sql(f"VACUUM ANALYZE {name}")
        self.sql("CHECKPOINT")

    def configure(self, proof: str) -> None:
        """Write the project, with an empty lake."""
        shutil.rmtree(self.folder / "lake", ignore_errors=True)
        archive = {
            "name": "lineitem", "source": "bench", "table": "public.lineitem", "time_column": "shipped_at",
            "window": "month", "partition_by": ["year", "month"], "to": END, "proof": proof,
            "purge": {"mode": "delete", "batch_rows": 5000, "min_batch_rows": 5000, "max_batch_rows": 5000},
        }  # fmt: skip
        source = {"name": "bench", "type": "postgresql", "connection": {"url": self.url}}
        for name, content in (
            ("settings", {"lake": "./lake", "memory_limit": "1GB"}),
            ("sources", {"sources": [source]}),
            ("archives", {"archives": [archive]}),
        ):
            (self.folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def tidegate(self, into: Measured, *steps: str) -> None:
        measure(into, [sys.executable, str(HERE / "tidegate_steps.py"), str(self.folder / "config"), *steps])


def duckdb_python() -> str:
    """Return the interpreter of the environment with duckdb 1.5.5 and its postgres_scanner."""
    folder = HERE / ".venv-duckdb"
    python = folder / "bin" / "python"
    if not python.exists():
        packages = [f"duckdb=={DUCKDB}", f"duckdb-extension-postgres-scanner=={DUCKDB}", "pytz"]
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def compare(bench: Bench, rows: int, rounds: int) -> dict[str, Measured]:
    """Run all contestants in turn, `rounds` times."""
    names = (
        "COPY to nowhere", "DuckDB export", "export, proof: counts", "export, proof: rows", "verify", "LIMIT loop",
        "purge by proof", "DuckDB export + LIMIT loop", "export + verify + purge",
    )  # fmt: skip
    figures = {name: Measured() for name in names}
    duck = duckdb_python()
    for _ in range(rounds):
        bench.load("lineitem", rows)
        measure(figures["COPY to nowhere"], [sys.executable, str(HERE / "rival_copy.py"), bench.url, "lineitem"])
        shutil.rmtree(bench.folder / "duck", ignore_errors=True)
        out = str(bench.folder / "duck")
        measure(figures["DuckDB export"], [duck, str(HERE / "rival_duckdb.py"), bench.url, "lineitem", out])
        bench.configure("counts")
        bench.tidegate(figures["export, proof: counts"], "export")
        bench.configure("rows")
        bench.tidegate(figures["export, proof: rows"], "export")
        bench.tidegate(figures["verify"], "verify")
        bench.tidegate(figures["purge by proof"], "purge-alone")
        bench.load("lineitem", rows)
        measure(figures["LIMIT loop"], [sys.executable, str(HERE / "rival_loop.py"), bench.url, "lineitem", END])
        whole = Measured()
        bench.load("lineitem", rows)
        bench.configure("rows")
        bench.tidegate(whole, "export", "purge")
        add(figures["export + verify + purge"], whole)
        add(figures["DuckDB export + LIMIT loop"], last(figures["DuckDB export"]), last(figures["LIMIT loop"]))
    return figures


def last(measured: Measured) -> Measured:
    return Measured(measured.wall_s[-1:], measured.cpu_s[-1:], measured.peak_mb[-1:], measured.said[-1:])


def add(into: Measured, *parts: Measured) -> None:
    """Add processes that ran one after the other as one."""
    into.wall_s.append(sum(part.wall_s[-1] for part in parts))
    into.cpu_s.append(sum(part.cpu_s[-1] for part in parts))
    into.peak_mb.append(max(part.peak_mb[-1] for part in parts))
    into.said.append(parts[-1].said[-1])


def ratio(figures: dict[str, Measured], ours: str, theirs: str) -> float:
    """Return the median over the rounds of ours / theirs, pair by pair."""
    return median(a / b for a, b in zip(figures[ours].wall_s, figures[theirs].wall_s, strict=True))


def table(figures: dict[str, Measured], rows: int) -> list[str]:
    lines = ["| | wall s | CPU s (client) | peak MB | rows/s |", "|---|---|---|---|---|"]
    for name, measured in figures.items():
        wall, cpu, peak = measured.row()
        deletes = name in {"LIMIT loop", "purge by proof"}  # whose processes do other things as well
        rate = median(said["rows_per_s"] for said in measured.said) if deletes else rows / wall
        lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {rate:,.0f} |")
    return lines


def aims(figures: dict[str, Measured]) -> list[str]:
    """Return each aim with what was measured, missed ones too."""
    loop, purge = figures["LIMIT loop"].said, figures["purge by proof"].said
    speed = median(p["rows_per_s"] / q["rows_per_s"] for p, q in zip(purge, loop, strict=True))
    flat = median(p["last_batches_ms"] / p["first_batches_ms"] for p in purge)
    loop_flat = median(p["last_batches_ms"] / p["first_batches_ms"] for p in loop)
    counts = ratio(figures, "export, proof: counts", "DuckDB export")
    proof = ratio(figures, "export, proof: rows", "DuckDB export")
    whole = ratio(figures, "export + verify + purge", "DuckDB export + LIMIT loop")
    peak = max(max(measured.peak_mb) for name, measured in figures.items() if name.startswith(("export", "verify")))
    return [
        "| aim | measured | |",
        "|---|---|---|",
        aim("export, proof: counts: at most 1 × DuckDB's export", f"{counts:.2f} ×", counts <= 1),
        aim("export, proof: rows: at most 2 × DuckDB's export", f"{proof:.2f} ×", proof <= 2),
        aim("purge by proof: at least 1.5 × the LIMIT loop's rows per second", f"{speed:.2f} ×", speed >= 1.5),
        aim("last batches as fast as the first", f"{flat:.2f} × (the loop: {loop_flat:.2f} ×)", flat <= 1.25),
        aim("whole cycle with proof: at most 1 × DuckDB's export + loop, without any", f"{whole:.2f} ×", whole <= 1),
        aim("peak memory under 400 MB", f"{peak:.0f} MB", peak < 400),
    ]


def memory(bench: Bench, rows: int) -> Measured:
    """Return the figures of one whole cycle over another number of rows."""
    figures = Measured()
    bench.load("lineitem", rows)
    bench.configure("rows")
    bench.tidegate(figures, "export", "purge")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--memory-rows", type=int, default=12_000_000, help="0 leaves the larger table out")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    with (
        EmbeddedPostgres(settings=settings) as server,
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder,
    ):
        bench = Bench(server, Path(folder))
        figures = compare(bench, options.rows, options.rounds)
        lines = [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {options.rows:,} rows × 8 columns, 24 windows, "
            f"{options.rounds} rounds: medians.",
            "",
            *table(figures, options.rows),
            "",
            *aims(figures),
        ]
        if options.memory_rows:
            larger = memory(bench, options.memory_rows).row()
            smaller = figures["export + verify + purge"].row()
            lines.append(
                aim(
                    f"peak memory equal at {options.rows:,} and {options.memory_rows:,} rows",
                    f"{smaller[2]:.0f} and {larger[2]:.0f} MB",
                    larger[2] < smaller[2] * 1.1 and larger[2] < 400,
                )
            )
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results" / "archive.md").write_text(text)


if __name__ == "__main__":
    main()
