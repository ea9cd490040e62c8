"""Proves the committed generations of a lake once more, against their manifests. The source is not touched."""

import time
from pathlib import Path

from blocks.lake import Lake
from blocks.ledger import ROOT, Generation, datasets
from blocks.open_lake import open_lake
from blocks.progress import report_progress
from blocks.run_log import log_event
from schemas.audit import AuditReport, DatasetAudit
from schemas.config import Settings
from schemas.errors import LakeError, LakeUnavailable
from schemas.finding import Finding
from schemas.project import Project
from tasks.audit_records import DatasetRecords, read_records
from tasks.check_generation import check_generation
from tasks.checked_files import discard, fetch_checked


def audit(config_dir: Path, archive: str | None = None) -> AuditReport:
    """Prove every committed generation of one archive, or of all there are in the lake.

    Files are looked for, measured, their checksums compared, and their rows read back and digested. A damaged file
    or record is a finding and does not keep the others from being looked at. Without an archive's name, no source
    needs to be configured.

    Args:
        config_dir: The project's configuration.
        archive: Name of the archive in archives.yaml, or None for all datasets in the lake.

    Raises:
        ConfigError: The configuration is wrong, or there is no such archive.
        LakeError: The lake cannot be read at all.
        LakeUnavailable: It could not be reached; trying again can help.
    """
    if archive is None:
        return audit_datasets(Project.load_settings(config_dir), None)
    project = Project.load(config_dir)
    folders = [member.resolved_folder for member in project.archive(archive).family]
    return audit_datasets(project.settings, folders)


def audit_datasets(settings: Settings, names: list[str] | None) -> AuditReport:
    """Prove the datasets of these names, or all; see `audit`."""
    started = time.monotonic()
    lake = open_lake(settings.lake, settings.temp_dir)
    lake.check(write=False)
    known = datasets(lake)
    audits = tuple(_audit(lake, settings, name, known) for name in (known if names is None else names))
    report = AuditReport(lake=lake.url, datasets=audits, seconds=round(time.monotonic() - started, 3))
    log_event("audit_done", **report.totals)
    return report


def _audit(lake: Lake, settings: Settings, dataset: str, known: list[str]) -> DatasetAudit:
    records = read_records(lake, dataset)
    findings = list(records.findings)
    for generation in records.generations:
        window, rows = generation.manifest.window, _rows(generation)
        report_progress("verify", window, 0, rows)
        findings += _check(lake, settings, generation)
        report_progress("verify", window, rows, rows)
    kept = [f for g in records.generations for f in g.manifest.files if f.path not in g.removed]
    return DatasetAudit(
        dataset=dataset,
        generations=len(records.generations),
        files=len(kept),
        rows=sum(file.rows for file in kept),
        size_bytes=sum(file.size_bytes for file in kept),
        removed_files=sum(len(generation.removed) for generation in records.generations),
        findings=tuple(findings),
        orphans=tuple(_orphans(lake, dataset, records, known)),
    )


def _rows(generation: Generation) -> int:
    return sum(file.rows for file in generation.manifest.files if file.path not in generation.removed)


def _check(lake: Lake, settings: Settings, generation: Generation) -> list[Finding]:
    """Compare one generation, and what its gate put aside, with its manifest."""
    try:
        with lake.scratch() as scratch:
            findings = check_generation(lake, generation, settings, scratch)
            for file in generation.quarantine:
                result = fetch_checked(lake, file, scratch)
                if isinstance(result, Finding):
                    findings.append(result)
                else:
                    discard([result], scratch)
    except LakeUnavailable:
        raise
    except LakeError as error:  # a file that may not be read says nothing about the others
        path = generation.manifest.path
        return [Finding(check="unreadable", where=path, expected="the files that it names", found=error.what)]
    return findings


def _orphans(lake: Lake, dataset: str, records: DatasetRecords, known: list[str]) -> list[str]:
    named = {path for generation in records.generations for path in generation.files}
    named |= {file.path for generation in records.generations for file in generation.quarantine}
    named |= {file.path for manifest in records.superseded for file in (*manifest.files, *manifest.quarantine)}
    within = [f"{other}/" for other in known if other.startswith(f"{dataset}/")]
    orphans = []
    for root in ("", f"{ROOT}/quarantine/"):
        others = tuple(f"{root}{other}" for other in within)
        present = (entry.path for entry in lake.list(f"{root}{dataset}"))
        orphans += [path for path in present if path not in named and not (others and path.startswith(others))]
    return orphans
