"""The usual way to purge: DELETE … WHERE id IN (SELECT id … LIMIT n), until nothing is left."""

import json
import sys
import time

import psycopg

url, table, until = sys.argv[1:]
batches: list[float] = []
deleted = 0
started = time.monotonic()
with psycopg.connect(url, autocommit=True) as connection:
    while True:
        batch = time.monotonic()
        count = connection.execute(
            f"DELETE FROM {table} WHERE id IN "  # type: ignore[arg-type]
            f"(SELECT id FROM {table} WHERE shipped_at < '{until}' LIMIT 5000)"
        ).rowcount
        batches.append(time.monotonic() - batch)
        deleted += count
        if not count:
            break
seconds = time.monotonic() - started
tenth = max(1, len(batches) // 10)
print(
    json.dumps(
        {
            "rows": deleted,
            "rows_per_s": deleted / seconds,
            "first_batches_ms": 1000 * sum(batches[:tenth]) / tenth,
            "last_batches_ms": 1000 * sum(batches[-tenth - 1 : -1]) / tenth,
        }
    )
)
