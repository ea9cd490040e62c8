"""A transformation of one's own: a Python function as a step of a pipeline.

    python examples/own_transform.py [FOLDER]

It makes a project with sample data in FOLDER (by default a temporary one), adds a pipeline that calls `spending_class`
below, runs it, and prints the table.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import polars as pl

from blocks.open_lake import open_lake
from schemas.project import Project
from tasks.build.build_pipeline import build_pipeline
from tasks.ingest.ingest_table import ingest_table
from tasks.views import query_lake
from tidegate.scaffold.new_project import new_project

PIPELINES = """
pipelines:
  - name: spending
    description: "Who buys how much"
    source: raw.shop.orders
    destination: {layer: consume, use_case: bi, table: spending}
    transforms:
      - {type: filter, condition: "status <> 'CANCELLED'"}
      - {type: python, function: "own_transform:spending_class"}
      - {type: select, columns: [customer_id, pieces, class]}
    quality_checks:
      - {type: unique, columns: [customer_id]}
      - {type: valid_values, column: class, values: [small, middle, big]}
"""


def spending_class(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Put customers into three classes of the same size, by the pieces that they have bought."""
    pieces = orders.group_by("customer_id").agg(pieces=pl.col("quantity").sum()).sort("pieces", "customer_id")
    third = (pl.int_range(pl.len()) * 3) // pl.len()
    return pieces.with_columns(
        **{"class": third.replace_strict([0, 1, 2], ["small", "middle", "big"], return_dtype=pl.String)}
    )


def main(folder: Path) -> None:
    """Make the project, run it, and show what came of it."""
    config = new_project(folder).folder / "config"
    (config / "pipelines.yaml").write_text(PIPELINES)
    # A step's module lies in the project's folder, or wherever Python finds it.
    shutil.copyfile(__file__, folder / "own_transform.py")

    # What the flows do for each table and each pipeline, by itself and without Prefect.
    ingest_table(config, "shop", "orders", run_id="example")
    build_pipeline(config, "spending", run_id="example")

    settings = Project.load(config).settings
    query = (
        'SELECT class, count(*) AS customers, sum(pieces) AS pieces FROM "consume/bi".spending GROUP BY 1 ORDER BY 3'
    )
    with query_lake(open_lake(settings.lake), settings, query) as answer:
        print(answer)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / "project")
