"""Plans a run: freezes the cut-off, finds the windows that hold rows, and what is left to do in each."""

from datetime import UTC, datetime

from blocks.ledger import Generation
from blocks.open_source import source_of
from blocks.source import Session, Slice, SourceSnapshot
from schemas.column_plan import Kind, same_plan
from schemas.job import Job
from schemas.plan import Plan, PlannedWindow
from schemas.window import Window, WindowUnit, as_moment, floor_to, windows_holding
from tasks.steady_predicate import is_steady


def plan_windows(job: Job, generations: list[Generation], now: datetime | None = None) -> Plan:
    """Return what a run of the job has to do, without changing anything.

    Args:
        job: The checked job.
        generations: All committed generations of its dataset and of its children's.
        now: The moment from which `older_than` counts; the clock's by default.

    Raises:
        SourceUnavailable: The source could not be reached.
    """
    since, until = scope(job, now or datetime.now(UTC))
    with source_of(job).session() as session:
        rows = _rows_by_window(session, job, since, until)
        without_time, beyond_time = session.rows_out_of_time(job)
        known = {g.manifest.window: 0 for g in generations if _within(g.manifest.window, since, until)}
        # A window of another unit or cut-off is no window of this run, but its generations still count (`earlier`).
        aligned = {w: n for w, n in known.items() if not any(w != other and w.overlaps(other) for other in rows)}
        windows = [
            _planned(session, job, window, count, [g for g in generations if g.manifest.window.overlaps(window)])
            for window, count in sorted({**aligned, **rows}.items(), key=lambda item: item[0].start)
        ]
    return Plan(
        since=since,
        until=until,
        windows=tuple(windows),
        rows_without_time=without_time,
        rows_beyond_time=beyond_time,
    )


def scope(job: Job, now: datetime) -> tuple[datetime | None, datetime]:
    """Return the frozen scope `[since, until)` as the time column has it.

    `older_than` is rounded down to the boundary of a window, so that a nightly run archives whole windows; `from`
    and `to` are taken to the letter. With neither, everything up to the window that is running now is in scope.
    """
    archive, aware = job.archive, job.time.kind is Kind.TIMESTAMPTZ
    since = as_moment(archive.from_, job.zone, aware=aware) if archive.from_ else None
    if archive.to:
        return since, as_moment(archive.to, job.zone, aware=aware)
    local = now.astimezone(job.zone)
    cut_off = archive.older_than.before(local) if archive.older_than else local
    return since, floor_to(as_moment(cut_off, job.zone, aware=aware), archive.window, job.zone)


def _rows_by_window(session: Session, job: Job, since: datetime | None, until: datetime) -> dict[Window, int]:
    if job.archive.window is WindowUnit.PARTITION:
        windows = [partition.window for partition in session.partitions(job).listed()]
        whole = [window for window in windows if window is not None and _within(window, since, until)]
        counted = {window: session.count(job, Slice(window, job.archive.where)) for window in whole}
        return {window: count for window, count in counted.items() if count}
    rows: dict[Window, int] = {}
    for moment, count in session.rows_by_window(job, since, until):
        for window in windows_holding(
            [max(moment, since) if since else moment], job.archive.window, job.zone, since=since, until=until
        ):
            rows[window] = rows.get(window, 0) + count
    return rows


def _within(window: Window, since: datetime | None, until: datetime) -> bool:
    aware = until.tzinfo is not None
    if (window.start.tzinfo is not None) != aware:
        return False
    return window.end <= until and (since is None or window.start >= since)


def _planned(session: Session, job: Job, window: Window, rows: int, generations: list[Generation]) -> PlannedWindow:
    # A generation with other columns can no longer be compared with the table, and one that is no longer whole proves
    # nothing: the rows that are left of them are exported anew.
    unpurged = tuple(
        g.manifest.path
        for g in generations
        if not g.is_purged(job.holds_digest)
        and not g.removed
        and same_plan(g.manifest.columns, job.of_dataset(g.manifest.dataset).columns)
    )
    earlier = tuple(g.manifest.path for g in generations)
    own = [g for g in generations if g.manifest.dataset == job.dataset]
    if not own or not rows:
        return PlannedWindow(window=window, rows=rows, export=rows > 0, unpurged=unpurged, earlier=earlier)
    unknown = unknown_rows(session, job, window, own)
    left = session.count(job, unknown) if unknown.written_after else rows
    return PlannedWindow(window=window, rows=rows, export=left > 0, unpurged=unpurged, earlier=earlier)


def unknown_rows(source: Session | SourceSnapshot, job: Job, window: Window, generations: list[Generation]) -> Slice:
    """Return the rows of a window but for those that earlier generations are known to hold.

    The newest generation's snapshot vouches for a row that has not changed since, provided that this generation
    looked at the same rows with the same columns. Rows that it put into quarantine are not in the lake, nor are
    those that were erased, or whose files were removed on purpose.
    """
    all_rows = Slice(window, job.archive.where)
    # A child that did not change may have got another window, and a parent may have stayed for the sake of its child:
    # only who reads them all learns which generations hold what is still there.
    if not generations or job.parent is not None or job.children:
        return all_rows
    newest = generations[-1].manifest
    same_table = (newest.source, newest.table) == (job.archive.source, str(job.archive.table))
    same_rows = same_table and newest.window == window and newest.where == job.archive.where
    gone = any(generation.removed or generation.manifest.erasures for generation in generations)
    all_there = newest.attestation.quarantined == 0 and not gone
    same_columns = same_plan(newest.columns, job.columns)
    # Without a key, equal rows are told apart by their number only; with a predicate that looks at the clock, or at
    # other tables, rows come into scope that are as old as ever.
    if not job.key or not is_steady(job.archive.where):
        return all_rows
    # Rows that came back after their purge, by a restore say: only reading them tells which generation holds them.
    came_back = newest.attestation.already_archived > 0 and any(generation.purged for generation in generations[:-1])
    if came_back:
        return all_rows
    if same_rows and all_there and same_columns and source.vouches_for(newest.attestation.snapshot):
        return Slice(window, job.archive.where, written_after=newest.attestation.snapshot)
    return all_rows
