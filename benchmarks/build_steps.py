"""One contestant of `benchmarks/build.py`, as a process of its own: `build_steps.py tidegate|duckdb FOLDER`.

Both read the same Parquet files of the raw layer, make the same table of them within the same memory, check it, and
write it as Parquet with zstd.
"""

import json
import sys
import time
from pathlib import Path

MEMORY = "1GB"
SQL = """
SELECT cli_id AS cliente_id, cli_nom AS nombre, cli_email AS email, CAST(fecha_alta AS DATE) AS fecha_alta,
       CAST(activo AS BOOLEAN) AS activo, estado, importe, _ingested_at, _source, _source_file, _run_id, _schema_version
FROM read_parquet('{raw}/**/*.parquet', hive_partitioning = false)
WHERE estado != 'DELETED'
QUALIFY row_number() OVER (PARTITION BY cli_id ORDER BY _ingested_at DESC) = 1
"""
CHECKS = """
SELECT count(*), count(*) FILTER (cliente_id IS NULL OR nombre IS NULL),
       count(*) FILTER (estado NOT IN ('ACTIVO', 'INACTIVO', 'PENDIENTE')),
       (SELECT count(*) FROM (SELECT cliente_id FROM '{out}' GROUP BY cliente_id HAVING count(*) > 1))
FROM '{out}'
"""


def tidegate(folder: Path) -> dict[str, float]:
    from tasks.build.build_pipeline import build_pipeline

    report = build_pipeline(folder / "config", "ventas_staging", "bench", full=True)
    return {"rows": report.rows, "work_s": report.seconds}


def by_hand(folder: Path) -> dict[str, float]:
    import duckdb

    started = time.monotonic()
    out = folder / "by_hand.parquet"
    out.unlink(missing_ok=True)
    config = {"memory_limit": MEMORY, "preserve_insertion_order": "false", "temp_directory": str(folder / "spilled")}
    with duckdb.connect(config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = SQL.format(raw=folder / "lake/raw")
        connection.execute(f"COPY ({query}) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
        rows, missing, other, twice = connection.execute(CHECKS.format(out=out)).fetchone() or (0, 1, 1, 1)
        assert (missing, other, twice) == (0, 0, 0)
    return {"rows": rows, "work_s": time.monotonic() - started}


if __name__ == "__main__":
    contestant = {"tidegate": tidegate, "duckdb": by_hand}[sys.argv[1]]
    print(json.dumps(contestant(Path(sys.argv[2]))))
