"""Puts the results of an ingestion together, table by table: one that fails does not keep the others from it."""

from collections.abc import Iterable
from typing import Protocol

from schemas.any_source import AnySource, AnyTable
from schemas.errors import Interrupted, TidegateError
from schemas.ingest_report import IngestReport, TableReport, TableState


class Ingestion(Protocol):
    """A future of a table's ingestion."""

    def result(self) -> TableReport:
        """Return what was done, or raise its error."""
        ...


def collect_ingest(
    tables: Iterable[tuple[AnySource, AnyTable]],
    ingestions: Iterable[Ingestion],
    run_id: str,
    *,
    dry_run: bool,
    disabled: Iterable[str] = (),
) -> IngestReport:
    """Wait for the tables, which come in their order, and report what became of each."""
    reports = [_outcome(source, table, one) for (source, table), one in zip(tables, ingestions, strict=True)]
    failed = any(report.state is TableState.FAILED for report in reports)
    return IngestReport(
        state="failed" if failed else "planned" if dry_run else "done",
        run_id=run_id,
        tables=tuple(reports),
        disabled=tuple(disabled),
    )


def _outcome(source: AnySource, table: AnyTable, ingestion: Ingestion) -> TableReport:
    try:
        return ingestion.result()
    except Interrupted:
        raise
    except TidegateError as error:
        return TableReport(
            source=source.name,
            table=table.folder,
            dataset=source.raw_dataset(table),  # type: ignore[arg-type]  # a source's own table
            state=TableState.FAILED,
            error=str(error),
            exit_code=error.exit_code,
        )
