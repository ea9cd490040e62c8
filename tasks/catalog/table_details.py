"""All that the records of a lake say of one table."""

from collections.abc import Sequence

from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.catalog import ColumnSummary, RunSummary, TableDetails, TableSummary
from schemas.column_plan import duckdb_type
from schemas.config import Settings
from schemas.run_record import RunRecord
from tasks.catalog.lake_records import LakeRecords
from tasks.catalog.lineage import Lineage
from tasks.catalog.schema_history import schema_history
from tasks.catalog.tables import last_checked, runs_by_table
from tasks.common_columns import common_columns
from tasks.current_state import current_state

MOST_RUNS = 20
# Reading the keys of more rows than these would keep whoever only looks at a table waiting.
COUNTED_ROWS = 20_000_000


def table_details(lake: Lake, records: LakeRecords, table: TableSummary, lineage: Lineage) -> TableDetails:
    """Return what is known of a table.

    Args:
        lake: The lake.
        records: Its records, those of all of the table's generations among them.
        table: What `tasks.catalog.tables` says of it.
        lineage: The lake's graph.
    """
    generations = records.generations.get(table.dataset, [])
    runs = runs_by_table(records.runs).get(table.dataset, [])
    newest = generations[-1].manifest if generations else None
    measured = next((run for run in reversed(runs) if run.statistics), None)
    checked = last_checked(runs)
    return TableDetails(
        lake=lake.url,
        table=table,
        key=newest.key if newest else (),
        partition_by=newest.partition_by if newest else (),
        columns=tuple(_columns(generations, measured)),
        statistics_at=measured.started_at if measured else None,
        statistics_rows=measured.rows if measured else None,
        schema_versions=tuple(schema_history(generations)),
        runs=tuple(_run(run) for run in reversed(runs[-MOST_RUNS:])),
        checks_at=checked.started_at if checked else None,
        checks=checked.checks if checked else (),
        upstream=tuple(lineage.nodes[node] for node in lineage.up.get(table.dataset, ())),
        downstream=tuple(lineage.nodes[node] for node in lineage.down.get(table.dataset, ())),
        damaged=records.all_damaged,
    )


def counted(lake: Lake, settings: Settings, table: TableSummary) -> TableSummary:
    """Return the summary with the rows that readers see, counted if the records do not tell and it is not too dear.

    Raises:
        LakeError: A file could not be read.
    """
    if table.rows_are == "exact" or table.rows > COUNTED_ROWS:
        return table
    from tasks.views import open_views, view_name  # brings DuckDB

    with open_views(lake, settings, only=[table.dataset]) as connection:
        row = connection.execute(f"SELECT count(*) FROM {view_name(table.dataset)}").fetchone()
    assert row is not None
    return table.model_copy(update={"rows": row[0], "rows_are": "exact"})


def _columns(generations: Sequence[Generation], measured: RunRecord | None) -> list[ColumnSummary]:
    current = current_state(generations)
    types = {c.name: duckdb_type(c) for c in common_columns(generation.manifest for generation in current)}
    found = {statistics.column: statistics for statistics in measured.statistics} if measured else {}
    if not types:  # of a build that committed nothing, what it found is known all the same
        types = {name: statistics.type for name, statistics in found.items()}
    rows = measured.rows if measured else 0
    columns = []
    for name, kind in types.items():
        statistics = found.get(name)
        columns.append(
            ColumnSummary(
                name=name,
                type=kind,
                nulls=statistics.nulls if statistics else None,
                null_share=statistics.nulls / rows if statistics and rows >= statistics.nulls and rows else None,
                distinct=statistics.distinct if statistics else None,
                minimum=statistics.minimum if statistics else None,
                maximum=statistics.maximum if statistics else None,
            )
        )
    return columns


def _run(run: RunRecord) -> RunSummary:
    return RunSummary.model_validate(run.model_dump(include=set(RunSummary.model_fields)))
