"""Erases rows from the lake: every version of them, in every generation and in quarantine, all at once for readers.

Only the files that hold such rows are written again. New generations, with the snapshots, receipts and rights of the
old ones, take the place of these in one put-if-absent; the old files leave the lake some time later
(`tasks.sweep_erased`). A row that the source still holds is not erased: the next run would archive it again. Rows of
children that refer to the rows go before them.
"""

import time

from blocks.erasures import Erasures
from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.run_log import log_event
from schemas.config import Archive
from schemas.erasure import (
    NOTHING_ERASED,
    Erasure,
    ErasureReport,
    ErasureRequest,
    GenerationErasure,
    NothingToErase,
)
from schemas.project import Project
from tasks.archive_source import archive_source
from tasks.archived_keys import key_columns
from tasks.commit_erasure import commit_erasure
from tasks.erasure_family import erasure_family
from tasks.holds import holding
from tasks.remove_orphans import remove_orphans
from tasks.row_predicate import check_predicate
from tasks.still_in_source import refuse_if_needed, still_in_source
from tasks.sweep_erased import sweep_erased


def erase_rows(
    project: Project,
    archive: Archive,
    request: ErasureRequest,
    run_id: str,
    *,
    dry_run: bool = False,
    without_source: bool = False,
) -> ErasureReport:
    """Erase rows of an archive, and the rows of its children that refer to them.

    Killed at any moment, it has done all of a dataset or, for readers, nothing of it; run again, it does the rest.

    Args:
        project: The project.
        archive: The archive that holds the rows.
        request: Which rows.
        run_id: Recorded in the erasure and in the new manifests.
        dry_run: Only count; nothing is written.
        without_source: Do not ask the source, neither for its lock nor whether it still holds the rows.

    Raises:
        ConfigError: There is nothing archived, or the request cannot be read.
        NothingToErase: No archived row is among those that were asked for.
        StillNeeded: The source still holds some of the rows, or a legal hold covers them.
        ProofFailed: A file of the lake is damaged, or a new one is not what it should be.
        Busy: An archiver works on the table.
        SourceUnavailable, LakeUnavailable: Trying again can help.
    """
    started = time.monotonic()
    if request.where is not None:
        check_predicate(request.where.get_secret_value(), "--where", NOTHING_ERASED)
    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    lake.check(write=not dry_run)
    ledgers = [Ledger(lake, folder) for folder in archive.folders]
    with archive_source(project, archive, NOTHING_ERASED, locked=not dry_run, without_source=without_source) as source:
        if not dry_run:
            for ledger in ledgers:
                remove_orphans(lake, ledger)
        with erasure_family(project, archive, lake, request, source) as members:
            own = members[-1]
            session = source.session if source else None
            key = key_columns(own.generations[-1].manifest)
            plans = [member.planned() for member in members]
            report = ErasureReport(
                archive=archive.name,
                dataset=own.ledger.dataset,
                state="planned" if dry_run else "done",
                run_id=run_id,
                reason=request.reason,
                different_keys=own.rows.different_keys,
                missing_keys=own.rows.missing(len(request.wanted_keys)) if request.wanted_keys else (),
                in_source=still_in_source(project, archive, session, members) if session else None,
                held_by=holding(archive, own.rows, session, key),
                generations=tuple(one for planned in plans for one in planned),
            )
            _refuse_nothing(report, own.ledger)
            if not dry_run:
                refuse_if_needed(report, archive)
                erased: list[Erasure] = []
                done: list[GenerationErasure] = []
                for member, planned in zip(members, plans, strict=True):
                    if planned:
                        erasure, replaced = commit_erasure(
                            lake, member, planned, run_id=run_id, reason=request.reason,
                            grace=project.settings.erase_grace,
                            before_commit=source.still_there if source else lambda: None,
                        )  # fmt: skip
                        erased.append(erasure)
                        done += replaced
                report = report.model_copy(
                    update={
                        "erasures": tuple(erasure.id for erasure in erased),
                        "generations": tuple(done),
                        "old_copies_until": max(erasure.old_copies_until for erasure in erased),
                    }
                )
        if not dry_run:
            # With a grace of nothing, the old copies go at once.
            swept = sum(sweep_erased(lake, ledger, Erasures(lake, ledger.dataset)) for ledger in ledgers)
            report = report.model_copy(update={"swept_files": swept})
    log_event("erase_done" if not dry_run else "erase_planned", dataset=report.dataset, **report.totals)
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _refuse_nothing(report: ErasureReport, ledger: Ledger) -> None:
    if report.generations:
        return
    last = next((erasure for erasure in reversed(ledger.erasures()) if not erasure.void), None)
    before = (
        f" The last erasure was at {last.erased_at:%Y-%m-%d %H:%M:%S} UTC: {last.rows + last.quarantined} rows, by run "
        f"{last.run_id}."
        if last
        else ""
    )
    raise NothingToErase(
        f"No row of {report.dataset} in the lake is among those that were to be erased.{before}",
        state=NOTHING_ERASED,
        next_step="If they were erased before, that is done. Otherwise correct the keys or the predicate; "
        "tidegate query shows the archived rows.",
    )
