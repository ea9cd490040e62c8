"""dlt reads a table of PostgreSQL into Parquet in a folder: `rival_dlt.py URL TABLE FOLDER BACKEND`."""

import json
import os
import sys

import dlt
from dlt.sources.sql_database import sql_table

url, table, folder, backend = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = folder
pipeline = dlt.pipeline("bench", destination="filesystem", dataset_name="raw", pipelines_dir=f"{folder}/state")
options = {"backend_kwargs": {"conn": url, "return_type": "arrow_stream"}} if backend == "connectorx" else {}
resource = sql_table(
    url.replace("postgresql://", "postgresql+psycopg://"), table=table, backend=backend, chunk_size=50_000, **options
)
pipeline.run(resource, loader_file_format="parquet", write_disposition="replace")
counts = pipeline.last_trace.last_normalize_info.row_counts
print(json.dumps({"rows": counts[table]}))
