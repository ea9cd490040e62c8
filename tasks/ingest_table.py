"""One table of one source, from its entry in the configuration into the raw layer."""

from pathlib import Path

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import reading_snapshot
from blocks.source import Slice
from schemas.extract_config import read_as_a_whole
from schemas.extraction import Extraction
from schemas.ingest_report import TableReport, TableState
from schemas.project import Project
from tasks.current_state import current_state
from tasks.extract_table import extract_table
from tasks.inspect_table import inspect_table
from tasks.schema_drift import schema_drift
from tasks.watermark import read_since


def ingest_table(
    config_dir: Path, source: str, table: str, run_id: str, *, full: bool = False, dry_run: bool = False
) -> TableReport:
    """Extract a table, or say what there would be to read.

    Args:
        config_dir: The project's configuration; the source's secret is looked up there, now.
        source: Name of the source.
        table: The table's folder.
        run_id: Recorded in every row and in the manifest.
        full: Read it as a whole, whatever the configuration says.
        dry_run: Only count what would be read.

    Raises:
        TidegateError: See `tasks.inspect_table` and `tasks.extract_table`.
    """
    project = Project.load(config_dir)
    configured = project.source(source)
    entry = next(entry for entry in configured.tables if entry.folder == table)
    if full:
        entry = read_as_a_whole(entry, configured.extract)
    extraction = inspect_table(project, configured, entry)
    return _planned(extraction) if dry_run else extract_table(extraction, run_id)


def _planned(extraction: Extraction) -> TableReport:
    lake = open_lake(extraction.settings.lake, extraction.settings.temp_dir)
    generations = current_state(Ledger(lake, extraction.dataset).generations())
    schema = schema_drift(extraction, generations)
    since = read_since(extraction, generations)
    with reading_snapshot(extraction, ()) as snapshot:
        rows = snapshot.count(extraction, Slice(where=extraction.where, since=since))
    return TableReport(
        source=extraction.source,
        table=extraction.entry.folder,
        dataset=extraction.dataset,
        state=TableState.PLANNED,
        mode=extraction.options.mode,
        since=None if since is None else str(since.value),
        read=rows,
        schema_version=schema.version,
        drift=schema.drift,
    )
