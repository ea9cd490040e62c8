"""A CSV file into the raw layer, through a gate: beside DuckDB's own COPY, in one run.

    python benchmarks/ingest_csv.py                  # 1,000 MB
    python benchmarks/ingest_csv.py --megabytes 100  # a quick look

Each contestant is a process of its own; wall time, CPU and peak memory are the operating system's figures for the whole
process, imports included. Tidegate's part is the whole ingestion: it finds out the dialect and the types, looks through
all bytes for other encodings and NULs, checks of every value that its type keeps it, counts the records by another
reader, has every row judged by a Pandera model, and commits with checksums. DuckDB's part is
`COPY (FROM read_csv(…)) TO … (FORMAT parquet, COMPRESSION zstd)`.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import duckdb
import yaml
from measured import Measured, aim, machine, measure

from blocks.duck import duck, text_literal
from schemas.config import Settings

HERE = Path(__file__).parent
MEMORY_LIMIT = "1GB"
ROW_BYTES = 133.3

ROWS = """
SELECT g AS id, TIMESTAMP '2023-01-01' + to_seconds(g * 7) AS created_at,
       DATE '2020-01-01' + (g % 1500)::INTEGER AS day,
       (g * 7919 % 10000000) / 100.0 AS price, g % 50 AS quantity, lpad((g * 31 % 100000)::VARCHAR, 5, '0') AS zip,
       'customer ' || g * 31 % 9973 AS customer,
       CASE WHEN g % 11 <> 0 THEN 'order no. ' || g || ', "' || g % 13 || '"' END AS comment, g % 3 = 0 AS paid,
       md5(g::VARCHAR) AS reference
FROM range({rows}) AS rows(g)
"""


def generate(path: Path, megabytes: int) -> int:
    """Write a CSV file of about that size, and return its size in bytes."""
    rows = ROWS.format(rows=int(megabytes * 1e6 / ROW_BYTES))
    duckdb.execute(f"COPY ({rows}) TO {text_literal(str(path))} (FORMAT csv, HEADER)")
    return path.stat().st_size


def by_duckdb(path: Path, folder: Path) -> dict[str, float]:
    with duck(Settings(memory_limit=MEMORY_LIMIT)) as connection:
        connection.execute("SET preserve_insertion_order = true")
        row = connection.execute(
            f"COPY (FROM read_csv({text_literal(str(path))})) TO {text_literal(str(folder / 'duck.parquet'))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    assert row is not None
    return {"rows": row[0]}


def by_tidegate(path: Path, folder: Path) -> dict[str, float]:
    from tasks.ingest.ingest_table import ingest_table

    table = {"name": "orders", "files": path.name, "gate": "ingest_csv_gate:Orders"}
    source = {"name": "drops", "type": "files", "path": str(path.parent), "settle_s": 0, "tables": [table]}
    (folder / "config").mkdir()
    for name, content in (
        ("settings", {"lake": "./lake", "memory_limit": MEMORY_LIMIT}),
        ("sources", {"sources": [source]}),
    ):
        (folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    report = ingest_table(folder / "config", "drops", "orders", "bench")
    if report.error:
        raise SystemExit(report.error)
    return {"rows": report.rows}


def compare(path: Path, folder: Path, rounds: int) -> dict[str, Measured]:
    figures = {"DuckDB's COPY": Measured(), "Tidegate, with a gate": Measured()}
    for _ in range(rounds):
        for contestant, measured in figures.items():
            with tempfile.TemporaryDirectory(dir=folder) as out:
                measure(measured, [sys.executable, __file__, "--contestant", contestant, str(path), out])
    if len({said["rows"] for measured in figures.values() for said in measured.said}) != 1:
        raise SystemExit("the contestants read different numbers of rows")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contestant", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        contestant, path, folder = options.contestant
        run = by_tidegate if contestant != "DuckDB's COPY" else by_duckdb
        print(json.dumps(run(Path(path), Path(folder))))
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        path = Path(name) / "orders.csv"
        size_bytes = generate(path, options.megabytes)
        figures = compare(path, Path(name), options.rounds)
    rival, ours = figures["DuckDB's COPY"], figures["Tidegate, with a gate"]
    ratio = median(a / b for a, b in zip(ours.wall_s, rival.wall_s, strict=True))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. CSV of {size_bytes / 1e6:,.0f} MB, "
        f"{ours.said[0]['rows']:,} rows × 10 columns, {options.rounds} rounds: medians.",
        "",
        "| | wall s | CPU s | peak MB |",
        "|---|---|---|---|",
        *(f"| {name} | {m.row()[0]:.1f} | {m.row()[1]:.1f} | {m.row()[2]:.0f} |" for name, m in figures.items()),
        "",
        "| aim | measured | |",
        "|---|---|---|",
        aim("with the gate, at most 1.5 × DuckDB's COPY", f"{ratio:.2f} ×", ratio <= 1.5),
        aim("peak memory under 1,300 MB with a limit of 1 GB", f"{ours.row()[2]:.0f} MB", ours.row()[2] < 1300),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results" / "ingest_csv.md").write_text(text)


if __name__ == "__main__":
    main()
