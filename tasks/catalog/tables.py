"""What the catalog says of each table of a lake in one line, from its records alone: no data file is opened."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from blocks.ledger import Generation
from schemas.catalog import Layer, OtherRuns, Quality, TableSummary
from schemas.extract_config import LAYERS
from schemas.manifest import DataFile
from schemas.run_record import JobKind, RunRecord
from tasks.catalog.lake_records import LakeRecords
from tasks.catalog.sources import source_label
from tasks.current_state import current_places
from tasks.superseding import superseding


def tables_of(records: LakeRecords) -> list[TableSummary]:
    """Return what is known of each table, also of those of which nothing was ever committed, in order of layer."""
    runs = runs_by_table(records.runs)
    names = {*records.generations, *runs, *records.damaged} - {""}
    found = [
        _summary(
            name,
            records.generations.get(name, []),
            records.committed.get(name, 0),
            runs.get(name, []),
            "; ".join(records.damaged.get(name, ())) or None,
        )
        for name in names
    ]
    order = ("archive", *LAYERS)
    return sorted(found, key=lambda table: (order.index(table.layer), table.dataset))


def other_runs(runs: Iterable[RunRecord]) -> list[OtherRuns]:
    """Return the last run of each publication, with all its tables, and of whatever else has no table in the lake."""
    found: dict[tuple[JobKind, str], list[RunRecord]] = {}
    for run in runs:
        if run.dataset is None or run.job == "publish":
            together = found.setdefault((run.job, run.name), [])
            if together and together[-1].run_id != run.run_id:
                together.clear()
            together.append(run)
    return [_other(together) for _, together in sorted(found.items())]


def _other(runs: Sequence[RunRecord]) -> OtherRuns:
    states = [run.state for run in runs]
    return OtherRuns(
        job=runs[0].job,
        name=runs[0].name,
        last_run_at=runs[0].started_at,
        last_run_state="failed" if "failed" in states else "done" if "done" in states else "unchanged",
        rows=sum(run.rows for run in runs),
        last_error="\n".join(run.error for run in runs if run.error) or None,
    )


def runs_by_table(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Return the runs that read into a table, or built it, oldest first."""
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.dataset is not None and run.job != "publish":  # which only reads it
            found.setdefault(run.dataset, []).append(run)
    return found


def last_run(runs: Sequence[RunRecord]) -> RunRecord | None:
    """Return the last run of a table; of one that read files, the record of all of them."""
    whole = [run for run in runs if run.file is None]
    return (whole or runs)[-1] if runs else None


def last_checked(runs: Sequence[RunRecord]) -> RunRecord | None:
    """Return the last run that made checks."""
    return next((run for run in reversed(runs) if run.checks), None)


def current_rows(generations: Sequence[Generation]) -> tuple[int, bool]:
    """Return how many rows readers see now, and whether that is exact; if not, some are older versions of others."""
    current = current_places(generations)
    rows = sum(f.rows for place in current for f in _kept(generations[place]))
    if len(current) < 2 or not generations[-1].manifest.key:
        return rows, True
    found = superseding(list(generations))
    return rows, not (found.older.intersection(current) and found.newer.intersection(current))


def _summary(
    dataset: str,
    generations: list[Generation],
    committed: int,
    runs: list[RunRecord],
    damaged: str | None,
) -> TableSummary:
    current = [generations[place] for place in current_places(generations)]
    newest = generations[-1].manifest if generations else None
    rows, exact = current_rows(generations)
    last, checked = last_run(runs), last_checked(runs)
    good = next((run for run in reversed(runs) if run.state != "failed"), None)
    quarantined = sum(file.rows for generation in current for file in generation.quarantine)
    states = [check.state for check in checked.checks] if checked else []
    return TableSummary(
        dataset=dataset,
        layer=_layer(dataset, generations),
        source=source_label(dataset, generations[-1].manifest, current) if generations else "",
        rows=rows,
        rows_are="exact" if exact else "at_most",
        bytes=sum(file.size_bytes for generation in current for file in _kept(generation)),
        generations=committed,
        newest_data_at=newest.attestation.snapshot.taken_at if newest else None,
        checked_at=_latest(good.started_at if good else None, newest.committed_at if newest else None),
        last_run_at=last.started_at if last else _worked_on(generations),
        last_run_state=last.state if last else "done" if generations else None,
        last_error=last.error if last else None,
        quality=_quality(states, quarantined),
        warned=states.count("warned"),
        refused=states.count("refused"),
        quarantined=quarantined,
        damaged=damaged,
    )


def _kept(generation: Generation) -> list[DataFile]:
    return [file for file in generation.manifest.files if file.path not in generation.removed]


def _quality(states: Sequence[str], quarantined: int) -> Quality:
    if "refused" in states:
        return "refused"
    if quarantined:
        return "quarantined"
    if "warned" in states:
        return "warned"
    return "passed" if states else "none"


def _layer(dataset: str, generations: Sequence[Generation]) -> Layer:
    if generations and generations[-1].manifest.is_archived:
        return "archive"
    match dataset.partition("/")[0]:
        case "raw":
            return "raw"
        case "staging":
            return "staging"
        case "consume":
            return "consume"
        case _:
            return "archive"


def _worked_on(generations: Sequence[Generation]) -> datetime | None:
    """Return when an archive was last archived into, or purged."""
    moments = [g.manifest.committed_at for g in generations]
    moments += [receipt.finished_at for g in generations for receipt in g.receipts]
    return max(moments, default=None)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
