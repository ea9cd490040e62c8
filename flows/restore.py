"""Put archived rows back into their table or another one, all or none, and prove them equal.

python flows/restore.py flights --from 2013-02-01 --to 2013-03-01
python flows/restore.py flights --key 17 --key 42 --into public.flights_again
"""

from datetime import datetime
from pathlib import Path

from prefect import flow

from schemas.project import Project
from schemas.restore import OnConflict, RestoreReport, RestoreRequest
from tasks.prefect_tasks import restore_task
from tasks.publish_report import publish_restore


@flow(name="restore-table", flow_run_name="restore-{archive}")
def restore_table(
    archive: str,
    from_: datetime | None = None,
    to: datetime | None = None,
    keys: list[str] | None = None,
    into: str | None = None,
    on_conflict: OnConflict = "refuse",
    config_dir: Path = Path("config"),
) -> RestoreReport:
    """Take the newest versions of archived rows out of checked files, put them back, compare digests, commit.

    The lake keeps the rows. If they go back into the archive's own table, the next run of the archive recognises
    them, archives none of them again, and deletes them again if it purges.

    Args:
        archive: Name of the archive in archives.yaml.
        from_: Rows whose time is at or after this moment; without a time zone, the configured one is meant.
        to: Rows whose time is before this moment.
        keys: Rows with these keys; a key of several columns is a line of CSV (`a,7`).
        into: The table that receives the rows, as schema.table; the archive's own if not given.
        on_conflict: If the table holds a row with the same key: refuse all, or skip that row.
        config_dir: The project's configuration.

    Raises:
        ConfigError: The rows cannot be told, or do not fit into the table; nothing was touched.
        RestoreConflict: Rows are in the table already; nothing was touched.
        ProofFailed: The lake is damaged, or what arrived is not equal; nothing was changed.
    """
    project = Project.load(config_dir)
    request = RestoreRequest.of(from_=from_, to=to, keys=keys, into=into, on_conflict=on_conflict)
    return publish_restore(restore_task(project, project.member(archive), request))


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("restore")
