"""A table of PostgreSQL into Parquet: the raw layer beside dlt, in one run.

    python benchmarks/ingest_sql.py                # 3M rows
    python benchmarks/ingest_sql.py --rows 300000  # a quick look

Each contestant is a process of its own; wall time, CPU and peak memory are the operating system's figures for the whole
process, imports included. Tidegate counts and digests the rows in the snapshot that it reads, commits by a manifest and
remembers a watermark; dlt, which gets an environment of its own in `benchmarks/.venv-dlt`, does not compare anything.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from archive import Bench
from measured import Measured, machine, measure

from tidegate.demo.postgres import EmbeddedPostgres

HERE = Path(__file__).parent
PACKAGES = ["dlt[filesystem,parquet,sql_database]", "sqlalchemy>=2", "connectorx==0.4.6", "psycopg[binary]>=3.2"]
INGEST = (
    "import json, sys; from pathlib import Path; from tasks.ingest.ingest_table import ingest_table;"
    " print(json.dumps({'rows': ingest_table(Path(sys.argv[1]), 'bench', 'lineitem', 'bench').rows}))"
)


def dlt_python() -> str:
    """Return the interpreter of the environment with dlt."""
    folder = HERE / ".venv-dlt"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def configure(bench: Bench) -> None:
    """Write the project, with an empty lake."""
    shutil.rmtree(bench.folder / "lake", ignore_errors=True)
    source = {"name": "bench", "type": "postgresql", "connection": {"url": bench.url}, "tables": ["public.lineitem"]}
    source["extract"] = {"mode": "incremental", "key_column": "shipped_at"}
    (bench.folder / "config" / "settings.yaml").write_text(yaml.safe_dump({"lake": "./lake", "memory_limit": "1GB"}))
    (bench.folder / "config" / "sources.yaml").write_text(yaml.safe_dump({"sources": [source]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    figures = {name: Measured() for name in ("tidegate ingest", "dlt, connectorx", "dlt, pyarrow")}
    dlt = dlt_python()
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres() as server:
        bench = Bench(server, Path(folder))
        bench.load("lineitem", arguments.rows)
        for _ in range(arguments.rounds):
            configure(bench)
            measure(figures["tidegate ingest"], [sys.executable, "-c", INGEST, str(bench.folder / "config")])
            for backend in ("connectorx", "pyarrow"):
                out = bench.folder / f"dlt-{backend}"
                shutil.rmtree(out, ignore_errors=True)
                command = [dlt, str(HERE / "rival_dlt.py"), bench.url, "lineitem", str(out), backend]
                measure(figures[f"dlt, {backend}"], command)
    for name, measured in figures.items():
        if any(said["rows"] != arguments.rows for said in measured.said):
            raise SystemExit(f"{name} stored {measured.said} of {arguments.rows} rows")
    lines = [f"{machine()}. {arguments.rows:,} rows × 8 columns, {arguments.rounds} rounds.", ""]
    lines += ["| | wall s | CPU s (client) | peak MB | of tidegate's wall |", "|---|---|---|---|---|"]
    ours = figures["tidegate ingest"].row()[0]
    for name, measured in figures.items():
        wall, cpu, peak = measured.row()
        lines.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {wall / ours:.2f} × |")
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results" / "ingest_sql.md").write_text(text)


if __name__ == "__main__":
    main()
