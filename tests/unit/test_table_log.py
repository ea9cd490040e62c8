"""Tables that no database locks: one line of generations, and whoever is late looks again."""

from pathlib import Path

import duckdb
import pytest

from blocks.lake import Lake
from blocks.lake_types import arrow_columns, stored_as
from blocks.ledger import Ledger
from blocks.table_log import Draft, TableLog
from blocks.write_query import write_query
from schemas.built import Built
from schemas.config import Settings
from schemas.errors import Busy
from tasks.check_generation import check_generation
from tasks.views import open_views


def draft(folder: Path, query: str = "SELECT 1 AS id", mode: str = "append") -> Draft:
    with duckdb.connect() as connection:
        columns = arrow_columns(stored_as(connection, query))
        files = write_query(connection, query, folder)
    built = Built(pipeline="p", mode=mode, definition="d", inputs={})
    return Draft(source="p", table="t", columns=columns, rows_read=1, files=files, built=built)


def ids(lake: Lake) -> list[int]:
    with open_views(lake, Settings()) as connection:
        return [id_ for (id_,) in connection.execute('SELECT id FROM "staging/shop".orders ORDER BY id').fetchall()]


def test_what_is_committed_is_read(any_lake: Lake, tmp_path: Path) -> None:
    log = TableLog(any_lake, "staging/shop/orders")
    log.commit(draft(tmp_path), "run")
    log.commit(draft(tmp_path, "SELECT 2 AS id"), "run")
    assert ids(any_lake) == [1, 2]
    log.commit(draft(tmp_path, "SELECT 3 AS id", "replace"), "run")
    assert ids(any_lake) == [3]
    assert [check_generation(any_lake, g, Settings(), tmp_path) for g in log.generations] == [[], [], []]


def test_who_did_not_see_the_last_generation_cannot_commit(any_lake: Lake, tmp_path: Path) -> None:
    late, quick = TableLog(any_lake, "staging/shop/orders"), TableLog(any_lake, "staging/shop/orders")
    quick.commit(draft(tmp_path), "quick")
    with pytest.raises(Busy, match="stored something in staging/shop/orders at the same time"):
        late.commit(draft(tmp_path, "SELECT 2 AS id"), "late")
    assert ids(any_lake) == [1]
    late.refresh()
    late.commit(draft(tmp_path, "SELECT 2 AS id"), "late")
    assert ids(any_lake) == [1, 2]


def test_only_what_can_commit_no_more_is_swept_away(any_lake: Lake, tmp_path: Path) -> None:
    dead, alive = TableLog(any_lake, "staging/shop/orders"), TableLog(any_lake, "staging/shop/orders")
    alive.commit(draft(tmp_path), "run")
    with pytest.raises(Busy):
        dead.commit(draft(tmp_path), "dead")
    alive.refresh()
    assert alive.sweep() == 1
    assert Ledger(any_lake, alive.dataset).intents() == []
    assert ids(any_lake) == [1]
    assert alive.sweep() == 0
