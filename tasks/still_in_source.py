"""Whether the source still holds rows that are to be erased from the lake; if it does, they would come back."""

from blocks.source import Session, Slice
from schemas.config import Archive
from schemas.erasure import NOTHING_ERASED, ErasureReport, StillNeeded
from schemas.errors import ConfigError
from schemas.project import Project
from tasks.erasure_family import Member
from tasks.inspect_source import inspect_source


def still_in_source(project: Project, archive: Archive, session: Session, members: list[Member]) -> int:
    """Return how many rows with the found keys the source holds, whatever is in them now, in scope or not.

    Without a key no row can be told from another; then it is the rows that the source holds in the windows that the
    found ones were archived from.

    Raises:
        ConfigError: A table has no longer the columns of its key.
    """
    return sum(
        _with_these_keys(session, member) if member.rows.key_columns else _in_windows(project, archive, session, member)
        for member in members
    )


def _with_these_keys(session: Session, member: Member) -> int:
    table = session.describe(member.table)
    archived = member.rows.key_columns
    missing = [column.name for column in archived if not table.column(column.name)]
    if missing:
        raise ConfigError(
            f"{table.quoted} has no longer the key ({', '.join(column.name for column in archived)}), so whether it "
            "still holds the rows cannot be told.",
            state=NOTHING_ERASED,
            next_step="If none of them is there, erase them with --without-source.",
        )
    # The keys were written as the archive stores them, which the catalog does not know of.
    key = tuple(column if column.stored_by_choice else table.column(column.name) or column for column in archived)
    return sum(session.count_keys(table, key, keys) for keys in member.rows.key_texts())


def _in_windows(project: Project, archive: Archive, session: Session, member: Member) -> int:
    concerned = {one.manifest for one in member.planned()}
    found = [generation.manifest for generation in member.generations if generation.manifest.path in concerned]
    windows = {(manifest.window, manifest.where) for manifest in found}
    job = inspect_source(project, archive.with_overrides(purge=False)) if windows else None
    return sum(session.count(job, Slice(window, where)) for window, where in windows if job)


def refuse_if_needed(report: ErasureReport, archive: Archive) -> None:
    """Refuse an erasure of rows that a legal hold covers, or that the source still holds.

    Raises:
        StillNeeded: With what to do about it.
    """
    if report.held_by:
        raise StillNeeded(
            f"Some of the rows are under legal hold: {', '.join(report.held_by)}.",
            state=NOTHING_ERASED,
            next_step=f"Leave them out, or lift the hold in archives.yaml (archives[{archive.name}].holds).",
        )
    if report.in_source:
        what = (
            f"The source still holds {report.in_source} of the rows"
            if report.different_keys is not None
            else f"{archive.table} has no key to tell rows by, and still holds {report.in_source} rows of the windows "
            "concerned"
        )
        raise StillNeeded(
            f"{what}; the next run of the archive would bring them back into the lake.",
            state=NOTHING_ERASED,
            next_step="Delete them in the source first, then run the same command again.",
        )
