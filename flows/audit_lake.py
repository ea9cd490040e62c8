"""Prove every committed generation in the lake once more, against its manifest, without asking any source.

python flows/audit_lake.py
python flows/audit_lake.py flights
"""

from pathlib import Path

from prefect import flow

from schemas.audit import AuditReport
from tasks.prefect_tasks import audit_task
from tasks.publish_report import publish_audit


@flow(name="audit-lake")
def audit_lake(archive: str | None = None, config_dir: Path = Path("config")) -> AuditReport:
    """Look for every file, compare its size and checksum, read its rows back, digest them, and tell what differs.

    Args:
        archive: Name of the archive in archives.yaml; all datasets in the lake if not given.
        config_dir: The project's configuration.

    Raises:
        AuditFailed: Something is not as its manifest says; it carries the report of all.
    """
    return publish_audit(audit_task(config_dir, archive))


if __name__ == "__main__":
    from tidegate.cli import run_flow

    run_flow("audit-lake")
