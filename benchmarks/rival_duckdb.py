"""data_drain's engine: DuckDB's postgres_scanner to hive-partitioned ZSTD Parquet. Runs on duckdb 1.5.5."""

import json
import sys
import sysconfig

import duckdb

url, table, folder = sys.argv[1:]
site = sysconfig.get_path("purelib")
extension = f"{site}/duckdb_extension_postgres_scanner/extensions/v1.5.5/postgres_scanner.duckdb_extension"
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute(f"LOAD '{extension}'")
connection.execute("SET TimeZone = 'UTC'")
connection.execute(f"ATTACH '{url}' AS source (TYPE postgres, READ_ONLY)")
rows = connection.execute(
    f"COPY (SELECT *, year(shipped_at) AS year, month(shipped_at) AS month FROM source.public.{table}) "
    f"TO '{folder}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month))"
).fetchone()
print(json.dumps({"rows": rows[0]}))
