"""Lets archived data go whose retention is over: whole generations of windows that ended long enough ago.

Readers see them no more from the moment of the record on; then the files leave the lake. A generation stays whole if a
legal hold covers one of its rows. It stays as well if its rows may still be in the source: they would be archived
again.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from blocks.erasures import Erasures
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.open_lake import open_lake
from blocks.run_log import log_event
from blocks.source import Slice
from schemas.config import Archive
from schemas.expiry import ExpiryReport, GenerationExpiry, Outcome
from schemas.manifest import DataFile, Removal
from schemas.project import Project
from schemas.window import Window, as_moment
from tasks.archive_source import ArchiveSource, archive_source
from tasks.holds import holds_by_file
from tasks.inspect_source import inspect_source
from tasks.remove_orphans import remove_orphans
from tasks.sweep_erased import due_files

NOTHING_EXPIRED = "Nothing left the lake."


def expire_windows(
    project: Project,
    archive: Archive,
    run_id: str,
    *,
    dry_run: bool = False,
    without_source: bool = False,
    now: datetime | None = None,
) -> ExpiryReport:
    """Remove the generations whose retention is over from the lake, and the old copies of erased rows.

    Ended in between, it has removed rows for readers before it removes a file; run again, it goes on.

    Args:
        project: The project.
        archive: The archive; without a retention, nothing of it expires.
        run_id: For the report.
        dry_run: Only say what would be done.
        without_source: Do not ask the source; then what was not purged stays.
        now: The moment from which the retention counts back; the clock's by default.

    Raises:
        ConfigError: A hold cannot be read. Nothing expires while nobody knows what it covers.
        Busy: An archiver works on the table.
        SourceUnavailable, LakeUnavailable: Trying again can help.
    """
    started = time.monotonic()
    moment = now or datetime.now(UTC)
    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    lake.check(write=not dry_run)
    ledgers = [Ledger(lake, folder) for folder in archive.folders]
    expired: list[_Expired] = []
    stay: list[GenerationExpiry] = []
    with archive_source(project, archive, NOTHING_EXPIRED, locked=not dry_run, without_source=without_source) as source:
        old_copies = sum(len(due_files(ledger, Erasures(lake, ledger.dataset), moment)) for ledger in ledgers)
        expiry = _Expiry(project, archive, lake, source, moment)
        for ledger in ledgers:  # that of the archive itself first: what it holds back, its children hold back, too
            if not dry_run:
                remove_orphans(lake, ledger, now)
            goes, stays = expiry.of(ledger.generations())
            if not dry_run:
                _remove(lake, ledger, goes, f"retention {archive.retention}")
            expired += goes
            stay += stays
    report = ExpiryReport(
        archive=archive.name,
        dataset=archive.resolved_folder,
        state="planned" if dry_run else "done",
        run_id=run_id,
        retention=str(archive.retention) if archive.retention else None,
        before=archive.retention.before(moment.astimezone(project.settings.zone)) if archive.retention else None,
        generations=tuple(
            sorted(
                (*(one.told for one in expired), *stay),
                key=lambda told: (told.window.id, told.dataset, told.generation),
            )
        ),
        old_copies=old_copies,
        seconds=round(time.monotonic() - started, 3),
    )
    log_event("expire_planned" if dry_run else "expire_done", dataset=report.dataset, **report.totals)
    return report


@dataclass(frozen=True, slots=True)
class _Expired:
    """A generation that goes: what is told of it, and the paths of its files."""

    told: GenerationExpiry
    paths: tuple[str, ...]


def _remove(lake: Lake, ledger: Ledger, expired: list[_Expired], reason: str) -> None:
    """Remove files by a record first, so that no reader sees them, and then for good."""
    paths = tuple(path for one in expired for path in one.paths)
    if paths:
        rows = sum(one.told.rows for one in expired)
        removal = Removal(dataset=ledger.dataset, paths=paths, rows=rows, reason=reason, removed_at=datetime.now(UTC))
        ledger.record_removal(removal, f"expire-{uuid4().hex}")
        lake.delete(paths)


class _Expiry:
    """Decides what goes."""

    def __init__(
        self, project: Project, archive: Archive, lake: Lake, source: ArchiveSource | None, now: datetime
    ) -> None:
        self._project, self._archive, self._lake, self._source, self._now = project, archive, lake, source, now
        self._in_window: dict[tuple[str, Window, str | None], int] = {}
        self._held_back: dict[Window, tuple[str, ...]] = {}

    def of(self, generations: list[Generation]) -> tuple[list[_Expired], list[GenerationExpiry]]:
        """Return the generations that go, and those whose time is over as well, but that have to stay."""
        over = [g for g in generations if self._is_over(g) and (g.files or g.quarantine)]
        if not over:
            return [], []
        session, settings = self._source.session if self._source else None, self._project.settings
        is_own = over[0].manifest.dataset == self._archive.resolved_folder
        held = (
            holds_by_file(self._archive, settings, self._lake, generations, over, session, NOTHING_EXPIRED)
            if is_own
            else {}
        )
        goes: list[_Expired] = []
        stays: list[GenerationExpiry] = []
        for generation in over:
            data = [file for file in generation.manifest.files if file.path not in generation.removed]
            aside = list(generation.quarantine)
            names = {name for file in (*data, *aside) for name in held.get(file.path, ())}
            if is_own and names:
                self._held_back[generation.manifest.window] = tuple(sorted(names))
            holds = tuple(sorted(names)) if is_own else self._held_back.get(generation.manifest.window, ())
            left = self._rows_left(generation) if not holds and (aside or not generation.purge_finished) else 0
            if holds or (left and not generation.purge_finished):
                outcome = Outcome.HELD if holds else Outcome.IN_SOURCE
                stays.append(self._told(generation, outcome, data, [], holds))
                continue
            aside = [] if left else aside  # what a gate put aside was never deleted from the source
            if data or aside:
                told = self._told(generation, Outcome.EXPIRED, data, aside, ())
                goes.append(_Expired(told, tuple(file.path for file in (*data, *aside))))
        return goes, stays

    def _is_over(self, generation: Generation) -> bool:
        if self._archive.retention is None:
            return False
        window = generation.manifest.window
        zone = self._project.settings.zone
        cut = self._archive.retention.before(self._now.astimezone(zone))
        return window.end <= as_moment(cut, zone, aware=window.end.tzinfo is not None)

    def _rows_left(self, generation: Generation) -> int:
        """Return how many rows the source holds in the generation's window; 1 if it cannot be asked."""
        manifest = generation.manifest
        if self._source is None:
            return 1
        place = (manifest.dataset, manifest.window, manifest.where)
        if place not in self._in_window:
            job = inspect_source(self._project, self._archive.with_overrides(purge=False)).of_dataset(manifest.dataset)
            self._in_window[place] = self._source.session.count(job, Slice(manifest.window, manifest.where))
        return self._in_window[place]

    def _told(
        self,
        generation: Generation,
        outcome: Outcome,
        data: list[DataFile],
        aside: list[DataFile],
        holds: tuple[str, ...],
    ) -> GenerationExpiry:
        return GenerationExpiry(
            dataset=generation.manifest.dataset,
            manifest=generation.manifest.path,
            window=generation.manifest.window,
            generation=generation.manifest.generation,
            outcome=outcome,
            files=len(data) + len(aside),
            rows=sum(file.rows for file in data),
            size_bytes=sum(file.size_bytes for file in (*data, *aside)),
            quarantined=sum(file.rows for file in aside),
            held_by=holds,
        )
