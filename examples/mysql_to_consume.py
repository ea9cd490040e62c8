"""A table of MySQL or MariaDB from its source to the consume layer.

    export MYSQL_HOST=127.0.0.1 MYSQL_PORT=3306 MYSQL_DATABASE=shop MYSQL_USER=reader MYSQL_PASSWORD=…
    export MYSQL_TABLE=orders MYSQL_KEY=id MYSQL_GROUP_BY=status
    python examples/mysql_to_consume.py FOLDER

FOLDER is the project that is made, with the lake in it. Run again, it reads the table again, and builds only what has
changed. `MYSQL_KEY` is a column that tells rows apart, `MYSQL_GROUP_BY` one to count them by.
"""

import sys
from pathlib import Path

from blocks.open_lake import open_lake
from schemas.project import Project
from tasks.build.build_pipeline import build_pipeline
from tasks.ingest.ingest_table import ingest_table
from tasks.views import query_lake

# Variables are filled in when the files are read: no password is written anywhere.
SOURCES = """
sources:
  - name: shop
    type: mysql
    connection:
      host: ${MYSQL_HOST}
      port: ${MYSQL_PORT:-3306}
      database: ${MYSQL_DATABASE}
      user: ${MYSQL_USER}
      password: ${MYSQL_PASSWORD}
    tables:
      - {table: "${MYSQL_TABLE}", name: source_table}
"""

PIPELINES = """
pipelines:
  - name: cleaned
    source: raw.shop.source_table
    destination: staging.shop.cleaned
    transforms:
      - {type: trim}
      - {type: deduplicate, keys: ["${MYSQL_KEY}"]}
    quality_checks:
      - {type: not_null, columns: ["${MYSQL_KEY}"]}
      - {type: unique, columns: ["${MYSQL_KEY}"]}

  - name: counted
    source: staging.shop.cleaned
    destination: {layer: consume, use_case: bi, table: counted}
    transforms:
      - {type: aggregate, group_by: ["${MYSQL_GROUP_BY}"], measures: {rows: "count(*)"}}
    quality_checks:
      - {type: row_count, min: 1}
"""


def main(folder: Path) -> None:
    """Write the configuration, read the table, build both layers, and show the last one."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "sources.yaml").write_text(SOURCES)
    (config / "pipelines.yaml").write_text(PIPELINES)

    # What `tidegate ingest` and `tidegate run --all` do for each table and each pipeline, here without Prefect.
    print(ingest_table(config, "shop", "source_table", run_id="example"))
    for pipeline in ("cleaned", "counted"):
        print(build_pipeline(config, pipeline, run_id="example"))

    settings = Project.load(config).settings
    with query_lake(open_lake(settings.lake), settings, 'SELECT * FROM "consume/bi".counted ORDER BY ALL') as answer:
        print(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "mysql_to_consume"))
