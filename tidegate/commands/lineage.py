"""`tidegate lineage`: where the rows of a table come from, and where they go. Reads records only."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output


@command(
    "lineage",
    "Show where the rows of a table come from, and where they go.",
    examples=[
        "tidegate lineage flights",
        "tidegate lineage flights --columns",
        "tidegate lineage flights --mermaid > flights.mmd",
        "tidegate lineage flights --up --json",
    ],
)
@click.argument("table")
@click.option("--up", is_flag=True, help="Only what it is made from.")
@click.option("--down", is_flag=True, help="Only what is made from it.")
@click.option("--columns", is_flag=True, help="Column by column, as far as the transforms tell.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a Mermaid flowchart.")
def lineage(
    output: Output, config_dir: Path, *, table: str, up: bool, down: bool, columns: bool, as_mermaid: bool
) -> None:
    """Show what TABLE is made from, down to the sources, and what is made from it, down to what is published.

    TABLE is raw/shop/orders, raw.shop.orders, or as much of its end as is clear: orders. With --json the answer is
    {"table": …, "nodes": [{"id", "kind", "label", "in_lake"}], "edges": [{"from", "to"}], "columns": [{"table",
    "column", "made_of": [{"table", "column"}]}], "damaged": [...]}, whose edges have the direction of the rows.

    Exits with 3 if records are damaged; what all others tell is shown nevertheless.
    """
    if as_mermaid and (output.as_json or columns):
        raise click.UsageError("--mermaid is another form of the answer than --json and --columns; give one of them.")
    from schemas.catalog import RecordsDamaged
    from tasks.catalog.find_table import table_named
    from tasks.catalog.lake_records import read_records
    from tasks.catalog.lineage import lineage_of
    from tidegate.project_lake import project_lake
    from tidegate.show.lineage import mermaid, show_columns, show_lineage

    directions = {"up": up or not down, "down": down or not up}
    with project_lake(output, config_dir) as place:
        records = read_records(place.lake, whole=False)
        dataset = table_named(table, records, place.lake.url)
        graph = lineage_of(records)
        nodes, edges = graph.part(dataset, **directions)
        origins = graph.origins({node.id for node in nodes}) if columns else []
        body = {
            "lake": place.lake.url,
            "table": dataset,
            "nodes": [node.model_dump(mode="json") for node in nodes],
            "edges": [{"from": start, "to": end} for start, end in edges],
            "columns": [origin.as_json() for origin in origins],
            "damaged": list(records.all_damaged),
        }
        if as_mermaid:
            output.console.print(mermaid(nodes, edges, dataset))
        elif columns and not output.as_json:
            names = [column.name for g in records.generations.get(dataset, ())[-1:] for column in g.manifest.columns]
            show_columns(output.console, graph, dataset, names, **directions)
        elif not output.as_json:
            show_lineage(output.console, graph, dataset, **directions)
        if records.all_damaged:
            raise RecordsDamaged(body)
        output.give(body, lambda _: None)
