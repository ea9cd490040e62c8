"""Legal holds: which rows they cover, for whoever is about to make rows go away."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import duck
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.run_log import run_logger
from blocks.source import Session
from schemas.column_plan import Column
from schemas.config import Archive, Settings
from schemas.erasure import NOTHING_ERASED
from schemas.hold import ReadHold
from schemas.job import Job
from schemas.table import Table
from tasks.archived_keys import key_columns
from tasks.exchange_keys import exchange_keys
from tasks.matched_rows import MatchedRows
from tasks.row_predicate import check_predicate


def read_holds(session: Session, archive: Archive, table: Table, key: tuple[Column, ...]) -> tuple[ReadHold, ...]:
    """Return an archive's holds with their keys as the source reads them.

    A key that is in no row of the table is warned of: what is misspelt holds nothing. (A row that was purged before
    is in the lake only.)

    Raises:
        ConfigError: A hold cannot be read. Nothing may go while nobody knows what it covers.
    """
    found = []
    for hold in archive.holds:
        what = f"archives[{archive.name}].holds[{hold.name}]"
        if hold.where is not None:
            check_predicate(hold.where, f"{what}.where", "")
            found.append(ReadHold(what=what, where=hold.where))
        else:
            keys = exchange_keys(session, key, hold.row_keys or (), f"{what}.keys", "")
            there = [tuple(texts) for texts in keys if texts is not None]
            columns = tuple(pa.array(list(texts), pa.string()) for texts in zip(*there, strict=True))
            missing = len(keys) - (session.count_keys(table, key, columns) if there else 0)
            if missing > 0:
                run_logger().warning("%s: %d of %d keys are in no row of %s.", what, missing, len(keys), table.quoted)
            found.append(ReadHold(what=what, row_keys=tuple(there)))
    return tuple(found)


def write_held_keys(job: Job, lake: Lake, generation: Generation, target: Path) -> bool:
    """Write the keys (`k0`, `k1`, …, exchange texts) of the rows of a generation that a legal hold covers.

    Args:
        job: The job, with its holds.
        lake: The lake.
        generation: The generation.
        target: A Parquet file to write; not written if no row is covered.

    Returns:
        Whether there are such rows.

    Raises:
        ConfigError: A hold cannot be evaluated.
    """
    if not job.holds:
        return False
    state = "No row was deleted on account of this generation."
    generations = Ledger(lake, job.dataset).generations()
    with duck(job.settings) as connection:
        rows = MatchedRows(
            connection, lake, generations, state, [generation], key_columns=key_columns(generation.manifest)
        )
        for hold in job.holds:
            if hold.where is not None:
                rows.find_where(hold.where, f"{hold.what}.where", all_versions=False)
            else:
                rows.find_keys([list(texts) for texts in hold.row_keys])
        names = [f"k{i}" for i in range(len(rows.key_columns))]
        tables = [pa.table(dict(zip(names, texts, strict=True))) for texts in rows.key_texts()]
    if tables:
        pq.write_table(pa.concat_tables(tables), target)
    return bool(tables)


def holding(archive: Archive, rows: MatchedRows, session: Session | None, key: tuple[Column, ...]) -> tuple[str, ...]:
    """Return the names of the holds that cover some of the found rows.

    Args:
        archive: The archive, with its holds.
        rows: The rows that are to go.
        session: To the source, which reads keys; None if it is not asked.
        key: The key's columns, as the newest generation has them.

    Raises:
        ConfigError: A hold cannot be read. Nothing may go while nobody knows what it covers.
    """
    names = []
    for hold in archive.holds:
        what = f"archives[{archive.name}].holds[{hold.name}]"
        if hold.row_keys is not None:
            covers = rows.has_keys(exchange_keys(session, key, hold.row_keys, f"{what}.keys", NOTHING_ERASED))
        else:
            assert hold.where is not None
            check_predicate(hold.where, f"{what}.where", NOTHING_ERASED)
            covers = rows.has_where(hold.where, f"{what}.where")
        if covers:
            names.append(hold.name)
    return tuple(names)


def holds_by_file(
    archive: Archive,
    settings: Settings,
    lake: Lake,
    generations: list[Generation],
    among: list[Generation],
    session: Session | None,
    state: str,
) -> dict[str, list[str]]:
    """Return the names of the holds that cover rows of some generations, by the path of the file that these are in.

    Args:
        archive: The archive, with its holds.
        settings: DuckDB's limits.
        lake: The lake.
        generations: All current generations of the dataset, oldest snapshot first.
        among: Those to look at.
        session: To the source, which reads keys; None if it is not asked.
        state: What state the data is in, for errors.

    Raises:
        ConfigError: A hold cannot be read.
    """
    found: dict[str, list[str]] = {}
    for hold in archive.holds:
        what = f"archives[{archive.name}].holds[{hold.name}]"
        with duck(settings) as connection:
            rows = MatchedRows(connection, lake, generations, state, among)
            if hold.row_keys is not None:
                key = key_columns(generations[-1].manifest)
                rows.find_keys(exchange_keys(session, key, hold.row_keys, f"{what}.keys", state))
            else:
                assert hold.where is not None
                check_predicate(hold.where, f"{what}.where", state)
                rows.find_where(hold.where, f"{what}.where", all_versions=False)
            for place in rows.places():
                found.setdefault(place.path, []).append(hold.name)
    return found
