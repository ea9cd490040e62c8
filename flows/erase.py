"""Erase rows from the lake for good: every version of them, in every generation.

python flows/erase.py flights --key 17 --dry-run
python flows/erase.py flights --where "carrier = 'XX'" --reason "case 4711" --yes

There is no deployment of it: Prefect's server would keep the parameters of such a run, and with them what is to be
forgotten. Called from here or by `tidegate erase`, keys and predicate reach the server as asterisks.
"""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from pydantic import SecretStr

from schemas.erasure import ErasureReport, ErasureRequest
from schemas.project import Project
from tasks.prefect_tasks import erase_task
from tasks.publish_erasure import publish_erasure


@flow(name="erase-rows", flow_run_name="erase-{archive}")
def erase_from_lake(
    archive: str,
    keys: list[SecretStr] | None = None,
    where: SecretStr | None = None,
    reason: str | None = None,
    without_source: bool = False,
    dry_run: bool = False,
    config_dir: Path = Path("config"),
) -> ErasureReport:
    """Find the rows, write the files that hold them again without them, and let these take the place of the old ones.

    Args:
        archive: Name of the archive in archives.yaml.
        keys: Rows with these keys; a key of several columns is a line of CSV (`a,7`).
        where: Rows for which this predicate holds: one expression of DuckDB's SQL over the archived columns.
        reason: Why; it is stored for good.
        without_source: Do not ask the source, which is gone.
        dry_run: Only say what would be done.
        config_dir: The project's configuration.

    Raises:
        ConfigError: The rows cannot be told, or there are none.
        StillNeeded: The source still holds some of them, or a legal hold covers them; nothing was erased.
        ProofFailed: The lake is damaged; nothing was erased.
    """
    project = Project.load(config_dir)
    request = ErasureRequest.of(keys=keys, where=where, reason=reason)
    report = erase_task(
        project,
        project.archive(archive),
        request,
        str(flow_run.id),
        dry_run=dry_run,
        without_source=without_source,
    )
    return publish_erasure(report)


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("erase")
