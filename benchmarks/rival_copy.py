"""The floor of one connection: COPY … (FORMAT binary) to nowhere."""

import json
import sys

import psycopg

url, table = sys.argv[1:]
size = 0
copy_out = f"COPY {table} TO STDOUT (FORMAT binary)"
with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(copy_out) as copy:  # type: ignore[arg-type]
    for chunk in copy:
        size += len(chunk)
print(json.dumps({"bytes": size}))
