"""What an audit of a lake found."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.errors import ProofFailed
from schemas.finding import Finding


class DatasetAudit(BaseModel):
    """What is committed in one dataset, and what is not as its manifests say.

    Attributes:
        generations: Committed generations that were looked at; those with a damaged manifest are not among them.
        files: Their files, those that were removed on purpose left out.
        rows: Rows of these files, as the manifests say.
        size_bytes: Of these files, as the manifests say.
        removed_files: Files that were removed on purpose.
        findings: What is wrong, in the order of the windows.
        orphans: Files that no readable manifest names. That is no fault: a run that died has left them, or one that
            is at work writes them. The next run of the archive removes them, unless a manifest is damaged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    generations: int = 0
    files: int = 0
    rows: int = 0
    size_bytes: int = 0
    removed_files: int = 0
    findings: tuple[Finding, ...] = ()
    orphans: tuple[str, ...] = ()


class AuditReport(BaseModel):
    """What an audit found in all the datasets it looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lake: str
    datasets: tuple[DatasetAudit, ...] = ()
    seconds: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong."""
        return tuple(finding for dataset in self.datasets for finding in dataset.findings)

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 3 if anything is wrong."""
        return ProofFailed.exit_code if self.findings else 0

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all datasets."""
        names = ("generations", "files", "rows", "size_bytes", "removed_files")
        sums = {name: sum(getattr(dataset, name) for dataset in self.datasets) for name in names}
        return {**sums, "findings": len(self.findings), "orphans": sum(len(d.orphans) for d in self.datasets)}

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, `totals` included."""
        body = self.model_dump(mode="json")
        datasets = body.pop("datasets")
        return {**body, "state": "failed" if self.findings else "done", "totals": self.totals, "datasets": datasets}


class AuditFailed(ProofFailed):
    """The lake is not as its manifests say. Carries the report."""

    def __init__(self, report: AuditReport) -> None:
        super().__init__(
            f"{len(report.findings)} things in the lake {report.lake} are not as its manifests say:\n"
            + "\n".join(f"  {finding}" for finding in report.findings),
            state="Nothing was changed. What the other files hold was proven once more.",
            next_step="Restore what is named above from a backup or an older object version, then run the audit again. "
            "Rows that are still in the source can be archived again.",
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return AuditFailed, (self.report,)
