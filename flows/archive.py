"""Archive a table window by window, prove each window to be in the lake, and delete only what is proven.

python flows/archive.py flights
python flows/archive.py flights --older-than "90 days" --dry-run
"""

from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.ledger import Ledger, generations_of
from blocks.open_lake import open_lake
from blocks.open_source import source_of
from flows.verify_and_purge import verify_and_purge
from schemas.project import Project
from schemas.report import RunReport
from tasks.ask_approval import ask_for_approval, prove_and_seal, still_approved
from tasks.collect_report import collect_report, planned_report
from tasks.drop_partition import take_back_partitions
from tasks.prefect_tasks import at_most, export_task, inspect_task, orphans_task, plan_task
from tasks.publish_report import publish_report


@flow(name="archive-table", flow_run_name="archive-{archive}")
def archive_table(
    archive: str,
    from_: datetime | None = None,
    to: datetime | None = None,
    older_than: str | None = None,
    purge: bool | None = None,
    dry_run: bool = False,
    approve_as: str | None = None,
    ask_for_s: int | None = None,
    config_dir: Path = Path("config"),
) -> RunReport:
    """Plan windows, export each through the gate and commit it, then verify and purge all that is committed.

    Args:
        archive: Name of the archive in archives.yaml.
        from_: Rows from here on; the archive's own `from` if not given.
        to: Rows before this moment; takes the place of the archive's `to` or `older_than`.
        older_than: Such as "90 days"; takes the place of the archive's `older_than` or `to`.
        purge: Whether to delete what is proven; the archive's purge.mode if not given.
        dry_run: Only say what would be done.
        approve_as: Approves what the archive wants to have approved (`approve: true`) at once, in this name.
        ask_for_s: How long the run pauses with a form for that approval; by default a day if it runs from a
            deployment, and else not. Without an answer, the plan waits for `tidegate approve`.
        config_dir: The project's configuration.

    Raises:
        ConfigError: Something is wrong with the configuration or what it names; nothing was touched.
        RunFailed: Some windows failed; it carries the report of all.
    """
    project = Project.load(config_dir)
    wanted = project.archive(archive).with_overrides(from_=from_, to=to, older_than=older_than, purge=purge)
    job = inspect_task(project, wanted)
    lake, run_id = open_lake(job.settings.lake, job.settings.temp_dir), str(flow_run.id)
    if dry_run:
        return planned_report(job, plan_task(job, generations_of(lake, job)), run_id)

    lake.check(write=True)
    with source_of(job).locked(job.table) as session:
        take_back_partitions(session, job)
        for member in job.family:
            orphans_task(lake, Ledger(lake, member.dataset))
        plan = plan_task(job, generations_of(lake, job))
        exports = at_most(
            job.settings.parallel_windows,
            export_task,
            (
                {"job": job, "window": w.window, "earlier": w.earlier, "run_id": run_id}
                for w in plan.windows
                if w.export
            ),
        )
        report = collect_report(job, plan, exports, run_id)
    if job.archive.purge.mode != "none":
        if job.archive.approve:
            report.sealed(prove_and_seal(job, report.to_purge, run_id))
            report.decided(ask_for_approval(job, report.plan, approve_as, ask_for_s))
            report.to_purge = still_approved(job, report.to_purge)
        report.purged(verify_and_purge(archive, report.to_purge, job.config_dir, run_id))
    return publish_report(report.finished())


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("archive")
