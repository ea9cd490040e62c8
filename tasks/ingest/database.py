"""A table of a database into the raw layer."""

from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.open_source import reading_snapshot
from blocks.source import Slice
from schemas.config import Source
from schemas.extract_config import ExtractTable, read_as_a_whole
from schemas.extraction import Extraction
from schemas.ingest_report import TableReport, TableState
from tasks.current_state import current_state
from tasks.ingest.extract_table import extract_table
from tasks.ingest.inspect_table import inspect_table
from tasks.ingest.request import IngestRequest
from tasks.ingest.schema_drift import schema_drift
from tasks.ingest.watermark import begun_again, read_since


def ingest_database(request: IngestRequest[Source, ExtractTable]) -> TableReport:
    """Extract a table, or say what there would be to read.

    Raises:
        TidegateError: See `tasks.ingest.inspect_table` and `tasks.ingest.extract_table`.
    """
    entry = read_as_a_whole(request.entry, request.source.extract) if request.full else request.entry
    extraction = inspect_table(request.project, request.source, entry)
    return _planned(extraction) if request.dry_run else extract_table(extraction, request.run_id)


def _planned(extraction: Extraction) -> TableReport:
    lake = open_lake(extraction.settings.lake, extraction.settings.temp_dir)
    generations = current_state(Ledger(lake, extraction.dataset).generations())
    extraction = begun_again(extraction, generations)
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
