"""Read the tables of sources into the raw layer of the lake: as a whole, or what is new since the last time.

python flows/ingest.py
python flows/ingest.py shop --table orders --dry-run
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.open_lake import open_lake
from blocks.stop import stop_request
from schemas.ingest_report import IngestReport
from schemas.project import Project
from tasks.catalog.tidy_run_log import tidy_run_log
from tasks.ingest.collect_ingest import collect_ingest
from tasks.prefect_tasks import at_most, ingest_task
from tasks.publish_report import publish_ingest


@flow(name="ingest-sources")
def ingest_sources(
    sources: list[str] | None = None,
    tables: list[str] | None = None,
    full: bool = False,
    dry_run: bool = False,
    config_dir: Path = Path("config"),
) -> IngestReport:
    """Extract each table in a snapshot of its own, and commit what the lake does not hold yet.

    A table that fails does not keep the others from being read.

    Args:
        sources: Names of sources in sources.yaml; all that are enabled if not given.
        tables: Names of tables; all of these sources if not given.
        full: Read the tables as a whole, whatever `extract.mode` says.
        dry_run: Only say what would be read.
        config_dir: The project's configuration.

    Raises:
        ConfigError: The configuration is wrong, or names what is not there; nothing was touched.
        IngestFailed: Some tables failed; it carries the report of all.
    """
    project = Project.load(config_dir)
    chosen = project.extractable(sources or (), tables or ())
    run_id = str(flow_run.id)
    if not dry_run:
        open_lake(project.settings.lake, project.settings.temp_dir).check(write=True)
    disabled = [] if sources else [source.name for source in project.sources if not source.enabled]
    with stop_request() as stop:
        ingestions = at_most(
            project.settings.parallel_windows,
            ingest_task,
            (
                {
                    "config_dir": config_dir,
                    "source": source.name,
                    "table": table.folder,
                    "run_id": run_id,
                    "full": full,
                    "dry_run": dry_run,
                }
                for source, table in chosen
            ),
            stop,
        )
        report = collect_ingest(chosen, ingestions, run_id, dry_run=dry_run, disabled=disabled)
    if not dry_run:
        tidy_run_log(project.settings)
    return publish_ingest(report)


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("ingest")
