"""`tidegate ingest`: read the tables of sources into the raw layer of the lake."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.ingest_report import IngestReport


@command(
    "ingest",
    "Read sources into the raw layer.",
    examples=[
        "tidegate ingest --dry-run",
        "tidegate ingest shop",
        "tidegate extract shop --table orders",
        "tidegate ingest shop --full --json",
    ],
)
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option("--table", "tables", multiple=True, metavar="TABLE", help="Only this table; may be given again.")
@click.option("--full", is_flag=True, help="Read tables as a whole, whatever extract.mode says.")
@click.option("--dry-run", is_flag=True, help="Only show what would be read; nothing is written.")
def ingest(
    output: Output,
    config_dir: Path,
    *,
    sources: tuple[str, ...],
    tables: tuple[str, ...],
    full: bool,
    dry_run: bool,
) -> None:
    """Read the tables of each SOURCE into the lake, or those of all enabled sources; `tidegate extract` is the same.

    A table lies in raw/SOURCE/TABLE, by the day on which it was read. With mode full it is stored again whenever
    something in it is different; with mode incremental only rows from the last watermark on are read, less an overlap,
    and stored once. Nothing that was stored is ever changed. The source is only read.
    """
    from schemas.ingest_report import IngestFailed
    from schemas.project import Project

    # What is wrong with the configuration is said at once, before Prefect takes its seconds to start.
    project = Project.load(config_dir)
    project.extractable(sources, tables)

    from tidegate.call_flow import call_flow
    from tidegate.show.ingest import show_ingest

    try:
        report: IngestReport = call_flow(
            output,
            "flows.ingest:ingest_sources",
            sources=list(sources) or None,
            tables=list(tables) or None,
            full=full,
            dry_run=dry_run,
            config_dir=config_dir,
        )
    except IngestFailed as failure:
        if not output.as_json:
            show_ingest(output, failure.report, project.settings)
        raise
    output.give(report.as_json(), lambda _: show_ingest(output, report, project.settings))
