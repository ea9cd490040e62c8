"""`tidegate catalog`: which tables the lake holds, how fresh and how good they are. Reads records only."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from tidegate.project_lake import ProjectLake


@command(
    "catalog",
    "Show the tables of the lake: rows, freshness, quality.",
    examples=["tidegate catalog", "tidegate catalog flights", "tidegate catalog flights --json"],
)
@click.argument("table", required=False)
def catalog(output: Output, config_dir: Path, *, table: str | None) -> None:
    """Show all tables of the lake, or what is known of TABLE: columns, schema history, runs, checks, neighbours.

    TABLE is raw/shop/orders, raw.shop.orders, or as much of its end as is clear: orders. Only the lake's records are
    read; for one table whose rows have several versions by key, its keys are read too, and its rows counted (up to 20
    million). The same can be asked with SQL: tidegate query "SELECT * FROM catalog.tables" (also runs, generations,
    extractions, builds, publications, quality, statistics, files, schema_versions, lineage).

    Exits with 3 if records are damaged; all others are shown nevertheless.
    """
    from tidegate.project_lake import project_lake

    with project_lake(output, config_dir) as place:
        if table is None:
            _all_tables(output, place)
        else:
            _one_table(output, place, table)


def _all_tables(output: Output, place: "ProjectLake") -> None:
    from schemas.catalog import Catalog, RecordsDamaged
    from tasks.catalog.lake_records import read_records
    from tasks.catalog.tables import other_runs, tables_of
    from tidegate.show.catalog import say_what_to_run_first, show_catalog

    records = read_records(place.lake, whole=False)
    found = Catalog(
        lake=place.lake.url,
        tables=tuple(tables_of(records)),
        others=tuple(other_runs(records.runs)),
        damaged=records.all_damaged,
    )
    if not output.as_json:
        show_catalog(output.console, found)
        if not found.tables:
            say_what_to_run_first(output)
    if found.damaged:
        raise RecordsDamaged(found.as_json())
    output.give(found.as_json(), lambda _: None)


def _one_table(output: Output, place: "ProjectLake", name: str) -> None:
    from schemas.catalog import RecordsDamaged
    from tasks.catalog.find_table import table_named
    from tasks.catalog.lake_records import read_records, with_history
    from tasks.catalog.lineage import lineage_of
    from tasks.catalog.table_details import counted, table_details
    from tasks.catalog.tables import tables_of
    from tidegate.show.catalog_table import show_table

    records = read_records(place.lake, whole=False)
    dataset = table_named(name, records, place.lake.url)
    records = with_history(place.lake, records, dataset)
    [summary] = [table for table in tables_of(records) if table.dataset == dataset]
    summary = counted(place.lake, place.settings, summary)
    details = table_details(place.lake, records, summary, lineage_of(records))
    if not output.as_json:
        show_table(output.console, details)
        from tasks.views import view_name

        if summary.generations and not summary.damaged:
            output.console.print(f"Next: {output.command('query', f'SUMMARIZE {view_name(dataset)}')}")
            more = "status" if summary.layer == "archive" else "lineage"  # what was purged, or where it comes from
            output.console.print(f"      {output.command(more, dataset)}")
    if details.damaged:
        raise RecordsDamaged(details.as_json())
    output.give(details.as_json(), lambda _: None)
