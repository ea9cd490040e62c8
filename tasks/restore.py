"""Puts archived rows back into a table, in one transaction, and proves that they are equal to the archived ones.

Rows come from committed generations only, the newest version of each key (`tasks.pick_versions`), out of files
whose size and checksum are those of their manifest. Nothing is removed from the lake, and no receipt is touched: a
restored row is simply in the source again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from blocks.duck import duck
from blocks.ledger import Generation, Ledger
from blocks.open_lake import open_lake
from blocks.open_source import open_source
from blocks.run_log import log_event
from blocks.source import Session, Source
from blocks.staging import Staging
from schemas.config import Archive
from schemas.errors import ConfigError, ProofFailed, SourceError, SourceUnavailable
from schemas.manifest import Manifest
from schemas.project import Project
from schemas.restore import UNTOUCHED, RestoreConflict, RestoreReport, RestoreRequest, RestoreUnknown, key_values
from schemas.restore_target import Fit, Target, Total, fit
from tasks.archived_keys import key_columns
from tasks.pick_versions import WantedKeys, pick_versions
from tasks.read_picked import PickedRows


def restore_rows(project: Project, archive: Archive, request: RestoreRequest) -> RestoreReport:
    """Put the newest versions of archived rows back, all of them or none.

    It holds the archiver lock of the table that receives the rows, bypasses no trigger and no constraint of it, and
    in the end has the database digest the rows that it now holds: anything but the lake's own digest undoes it all.

    Args:
        project: The project.
        archive: The archive that holds the rows.
        request: Which rows, into which table, and what to do about rows that are there already.

    Raises:
        ConfigError: There is nothing archived, a key cannot be read, or the rows do not fit into the table.
        RestoreConflict: The table holds rows with the same keys already, and `on_conflict` is `refuse`.
        ProofFailed: A file of the lake is damaged, or the rows that arrived are not equal to the archived ones.
        Busy: An archiver, or another restore, works on the table.
        SourceUnavailable, LakeUnavailable: Trying again can help.
        RestoreUnknown: The connection was lost in the moment of the commit.
    """
    started = time.monotonic()
    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    lake.check(write=False)
    generations = Ledger(lake, archive.resolved_folder).generations()
    if not generations:
        raise ConfigError(
            f"Nothing of {archive.name} is in the lake {lake.url} (folder {archive.resolved_folder}).",
            state=UNTOUCHED,
            next_step=f"tidegate archive {archive.name} puts it there.",
        )
    source = open_source(project.database(archive.source))
    with source.session() as session:
        target = session.target(request.into or archive.table)
        wanted = _wanted(session, generations[-1], request)
    with duck(project.settings) as reader, lake.scratch() as scratch:
        selection = pick_versions(reader, lake, generations, request, project.settings.zone, wanted, scratch)
        rows = [PickedRows(reader, lake, scratch, picked) for picked in selection.picked]
        loads = [_Load(r, _fit(target, r.picked.generation.manifest)) for r in rows if r.picked.rows]
        for unpicked in (r for r in rows if not r.picked.rows):
            unpicked.check()
        restored, skipped = _restore(source, target, loads, request)
    log_event("restore_done", archive=archive.name, table=target.table.quoted, rows=restored, skipped=skipped)
    return RestoreReport(
        archive=archive.name,
        table=str(request.into or archive.table),
        rows=restored,
        skipped=skipped,
        superseded=selection.superseded,
        missing_keys=tuple(key for n, key in enumerate(request.wanted_keys or ()) if n in selection.missing),
        generations=len(loads),
        not_proven=tuple(dict.fromkeys(name for load in loads for name in load.fit.not_proven)),
        defaulted=tuple(dict.fromkeys(name for load in loads for name in load.fit.defaulted)),
        seconds=round(time.monotonic() - started, 3),
        hint=_hint(archive) if restored and request.into in {None, archive.table} else "",
        finished_at=datetime.now(UTC),
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """The picked rows of one generation, and how they fit into the table."""

    rows: PickedRows
    fit: Fit


def _wanted(session: Session, newest: Generation, request: RestoreRequest) -> WantedKeys:
    if not request.wanted_keys:
        return None
    columns = key_columns(newest.manifest)
    if not columns:
        raise ConfigError(
            f"{newest.manifest.table} is archived without a key, so no single row of it can be named.",
            state=UNTOUCHED,
            next_step="Restore a range of time (--from, --to).",
        )
    return [session.canonical_key(columns, key_values(key, newest.manifest.key)) for key in request.wanted_keys]


def _fit(target: Target, manifest: Manifest) -> Fit:
    return fit(target, manifest.columns, f"Window {manifest.window}, generation {manifest.generation},")


def _restore(source: Source, target: Target, loads: list[_Load], request: RestoreRequest) -> tuple[int, int]:
    """Return (restored, skipped) rows. One transaction: whatever fails, nothing has changed."""
    if not loads:
        return 0, 0
    proven = False
    try:
        with source.locked(target.table) as session, session.transaction():
            staged = _stage(session, target, loads)
            skipped = _settle_conflicts(target, staged, request)
            _insert(target, staged, loads[0].rows.picked.generation.manifest.archive)
            restored = sum(staging.total().rows for staging in staged)
            proven = True
    except SourceUnavailable as error:
        if not proven:
            raise _untouched(error) from None
        raise RestoreUnknown(
            f"The connection was lost while the restore was being committed: {error.what}",
            state=f"Either all of the rows are in {target.table.quoted} now, or none of them.",
            next_step="Run the same command again: if the rows are there, it says so and changes nothing.",
        ) from None
    except SourceError as error:
        raise _untouched(error) from None
    return restored, skipped


def _untouched(error: SourceError) -> SourceError:
    error.state = error.state or UNTOUCHED
    error.next_step = error.next_step or "Correct what the database objects to, or restore into another table (--into)."
    return error


def _stage(session: Session, target: Target, loads: Sequence[_Load]) -> list[Staging]:
    """Send the rows to the database: generations with the same columns share a staging table."""
    staged: dict[tuple[Fit, tuple[str, ...], str], Staging] = {}
    expected: dict[tuple[Fit, tuple[str, ...], str], Total] = {}
    for load in loads:
        manifest = load.rows.picked.generation.manifest
        alike = (load.fit, manifest.key, manifest.time_column)
        if alike not in staged:
            staged[alike] = session.staging(target, load.fit, manifest.key, manifest.time_column, len(staged))
            expected[alike] = Total()
        staged[alike].copy(load.rows.batches(load.fit))
        expected[alike] += load.rows.total
        if load.rows.total.rows != load.rows.picked.rows:
            raise ProofFailed(
                f"Window {manifest.window}: {load.rows.picked.rows} rows were picked from the lake, but "
                f"{load.rows.total.rows} were read from the same files.",
                state=UNTOUCHED,
                next_step="Run the same command again; if it happens again, please report it.",
            )
        log_event("restore_staged", window=manifest.window.id, rows=load.rows.total.rows)
    for alike, staging in staged.items():
        if staging.total() != expected[alike]:
            raise ProofFailed(
                f"The database received {staging.total()} where the lake holds {expected[alike]}.",
                state=UNTOUCHED,
                next_step="Run the same command again; if it happens again, please report it.",
            )
    return list(staged.values())


def _settle_conflicts(target: Target, staged: list[Staging], request: RestoreRequest) -> int:
    """Return how many rows were skipped, as the table holds rows with their keys already."""
    if request.on_conflict == "skip":
        return sum(staging.skip() for staging in staged)
    conflicts = sum(staging.conflicts() for staging in staged)
    if conflicts:
        rows = sum(staging.total().rows for staging in staged)
        examples = [example for staging in staged for example in staging.examples()]
        raise RestoreConflict(
            f"{conflicts} of {rows} rows are in {target.table.quoted} already, for example those with key "
            f"{'; '.join(examples[:5])}.",
            state=UNTOUCHED,
            next_step="--on-conflict skip restores the others and leaves these as they are in the table; "
            "--into schema.table restores all into another one.",
        )
    return 0


def _insert(target: Target, staged: list[Staging], archive: str) -> None:
    """Put the staged rows into the table, and when all are there, prove that it holds them as they were archived."""
    inserted = [staging.insert() for staging in staged]
    for staging, rows in zip(staged, inserted, strict=True):
        expected, found = staging.total(), staging.total_in_table()
        if rows == expected.rows and found == expected:
            continue
        differing = staging.differing_columns()
        columns = f" They differ in: {', '.join(differing)}." if differing else ""
        raise ProofFailed(
            f"The rows that {target.table.quoted} made of the archived ones are not equal to them: {expected} "
            f"were sent, {rows} were inserted, {found} are there.{columns}",
            state=UNTOUCHED,
            next_step="A trigger, a rule, a row security policy or a generated column of the table changes rows. "
            f"Restore into a table without it: tidegate restore {archive} --into schema.table",
        )


def _hint(archive: Archive) -> str:
    return (
        f"The rows are in {archive.table} again, and still in the lake. The next `tidegate archive {archive.name}` "
        "knows them by their digests: it archives none of them a second time, and deletes them again if it purges. "
        "Keep them out of its scope (from, older_than, where) if they are to stay."
    )
