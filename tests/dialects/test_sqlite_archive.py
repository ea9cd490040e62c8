"""SQLite tables of all shapes are archived, proven, purged and restored; late and changed rows come later."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlite_bench import SqliteBench

from blocks.dialects.sqlite.source import SQLite
from blocks.source import Slice
from schemas.column_plan import quote_identifier
from schemas.erasure import ErasureRequest, StillNeeded
from schemas.errors import ConfigError, SourceError
from schemas.restore import RestoreConflict
from schemas.window import Window
from tasks.erase import erase_rows

NAMES = ("select", "Mixed Case", "ünï😀", 'quo"te', "sin'gle", "semi;colon", "?", "?1", ":name", "rowid", "--",
         "digest", "[x]", "new\nline", "tidegate_digest")  # fmt: skip


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
def test_a_table_goes_into_the_lake_and_comes_back(wal: bool, tmp_path: Path) -> None:
    bench = SqliteBench.in_folder(tmp_path, wal=wal)
    bench.fill_orders()
    before = bench.content()
    report = bench.run()
    assert (report.state, bench.count(), len(bench.lake_rows())) == ("done", 0, len(before))
    records = bench.records()
    assert bench.run().state == "done"
    assert bench.records() == records
    assert bench.restore().rows == len(before)
    assert bench.content() == before
    assert {path.name for path in tmp_path.iterdir()} == {"project", "shop.db"}


def test_rows_that_come_late_or_change_become_a_further_generation(shop: SqliteBench) -> None:
    shop.fill_orders()
    shop.configure(purge=None)
    shop.run()
    shop.sql("INSERT INTO orders (id, placed_at) VALUES (1000, '2024-01-05 00:00:00')")
    shop.sql("UPDATE orders SET note = 'changed' WHERE id = 7")
    shop.sql("DELETE FROM orders WHERE id = 8")
    kept = shop.content()
    shop.configure(purge={"mode": "delete", "batch_rows": 50})
    assert shop.run().state == "done"
    assert (shop.count(), len(shop.generations())) == (0, 4)
    shop.sql("DELETE FROM orders")
    shop.restore()
    restored = shop.content()
    assert kept < restored
    assert len(restored) == len(kept) + 1  # row 8 is in the lake too


@pytest.mark.parametrize(
    ("window", "declared", "moments"),
    [
        ("hour", "DATETIME", ("2024-01-01 00:00:00", "2024-01-31 23:59:59.999999", "2024-02-01 00:00:00")),
        ("month", "DATETIME", ("2024-01-01T00:00:00Z", "2024-01-31T23:59:59.999999Z", "2024-02-01T00:00:00Z")),
        ("hour", "TIMESTAMP", (1704067200, 1706745599, 1706745600)),
        ("day", "DATE", ("2024-01-01", "2024-01-31", "2024-02-01")),
    ],
    ids=["text", "text in UTC", "unix", "date"],
)
def test_windows_cut_at_their_boundaries(
    window: str, declared: str, moments: tuple[Any, ...], shop: SqliteBench
) -> None:
    shop.sql(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at {declared})")
    for number, moment in enumerate(moments):
        shop.sql("INSERT INTO orders VALUES (?, ?)", number, moment)
    shop.configure(window=window, partition_by=["year"])
    assert shop.run().state == "done"
    ends = sorted((g.manifest.window.start, g.manifest.attestation.rows) for g in shop.generations())
    assert [rows for _, rows in ends] == ([2, 1] if window == "month" else [1, 1, 1])
    assert ends[0][0] == datetime(2024, 1, 1)
    shop.restore()
    assert [row[0] for row in shop.sql("SELECT placed_at FROM orders ORDER BY id")] == list(moments)


@pytest.mark.parametrize(("separator", "suffix"), [(" ", ""), ("T", "Z"), (" ", "+00:00")])
def test_bounds_within_a_second_are_kept_to_the_microsecond(separator: str, suffix: str, shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at DATETIME)")
    fractions = ["", ".000001", ".499999", ".500000", ".500001", ".999999"]
    for number, fraction in enumerate(fractions):
        shop.sql("INSERT INTO orders VALUES (?, ?)", number, f"2024-01-05{separator}00:00:00{fraction}{suffix}")
    shop.configure(**{"from": "2024-01-05T00:00:00.000001", "to": "2024-01-05T00:00:00.500001"})
    assert shop.run().state == "done"
    assert shop.sql("SELECT id FROM orders") == [(0,), (4,), (5,)]


def test_rows_without_a_usable_time_are_counted_and_stay(shop: SqliteBench) -> None:
    shop.fill_orders(20)
    odd = (None, "yesterday", "2024-13-01 00:00:00", "2024-01-01T00:00:00", 20240101, "9999-01-01 00:00:00")
    for number, moment in enumerate(odd):
        shop.sql("INSERT INTO orders (id, placed_at) VALUES (?, ?)", 100 + number, moment)
    plan = shop.plan()
    assert (plan.rows_without_time, plan.rows_beyond_time) == (1, 5)
    assert shop.failed_run().state == "failed"  # 2024-01-01T… lies in the window of January, in another format
    shop.sql("DELETE FROM orders WHERE placed_at LIKE '%T%'")
    assert shop.run().state == "done"
    assert shop.count() == 4


TABLES = {
    "WITHOUT ROWID": "CREATE TABLE t (id TEXT PRIMARY KEY, at DATETIME, v) WITHOUT ROWID",
    "STRICT": "CREATE TABLE t (id ANY PRIMARY KEY, at TEXT, v ANY, day INT) STRICT",
    "composite": "CREATE TABLE t (v, id TEXT, at DATETIME NOT NULL, PRIMARY KEY (at, id)) WITHOUT ROWID",
    "no case": "CREATE TABLE t (id TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, at DATETIME, v)",
    "blob key": "CREATE TABLE t (id BLOB NOT NULL PRIMARY KEY, at DATETIME, v)",
    "real key": "CREATE TABLE t (id REAL NOT NULL PRIMARY KEY, at DATETIME, v)",
    "any key": "CREATE TABLE t (id NOT NULL UNIQUE, at DATETIME, v)",
    "key of a moment": "CREATE TABLE t (id TEXT, at DATETIME NOT NULL PRIMARY KEY, v)",
    "replacing": "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, at DATETIME, "
    "v UNIQUE ON CONFLICT IGNORE)",
    "generated": "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, v, twice AS (id * 2), "
    "day TEXT GENERATED ALWAYS AS (date(at)) STORED)",
    "numbered": "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, at DATETIME, v DEFAULT 5)",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_every_shape_are_purged_and_restored(name: str, shop: SqliteBench) -> None:
    shop.sql(TABLES[name])
    for number in range(30):
        key: Any = {"blob key": b"k%d" % number, "real key": number / 3}.get(name, number)
        if name in {"WITHOUT ROWID", "no case", "composite"}:
            key = f"Key {number}"
        at = f"2024-01-{number % 28 + 1:02d} 10:00:{number:02d}"
        shop.sql("INSERT INTO t (id, at, v) VALUES (?, ?, ?)", key, at, [None, "a", b"a", 1.5, number][number % 5])
    key = {"composite": None, "key of a moment": None}.get(name, ["id"])
    shop.configure(table="t", time_column="at", key=key)
    before, rows = shop.content("t"), shop.count("t")
    assert rows >= 8
    report = shop.run()
    assert (report.state, shop.count("t")) == ("done", 0)
    assert shop.restore().rows == rows
    assert shop.content("t") == before


@pytest.mark.parametrize("name", ["Mixed 'Case", 'quo"te', "?1", "rowid"])
def test_tables_times_and_keys_may_have_any_name(name: str, shop: SqliteBench) -> None:
    quoted = quote_identifier(name)
    shop.sql(f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, {quote_identifier(name + ' 2')} DATETIME)")
    shop.sql(f"INSERT INTO {quoted} VALUES (1, '2024-01-30 00:00:00'), (2, '2024-02-01 00:00:00')")
    shop.configure(
        table=quoted, folder="odd", time_column=f"{name} 2", partition_by=[name], where=f"{quoted} > 0 -- no more"
    )
    assert shop.run().state == "done"
    assert shop.count(quoted) == 0
    assert len(shop.lake_rows(order="1")) == 2


def test_a_table_may_have_all_these_columns_at_once(shop: SqliteBench) -> None:
    names = [quote_identifier(name) for name in NAMES]
    shop.sql(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at DATETIME, {', '.join(names)})")
    values = ", ".join(f"'value {number}'" for number in range(len(names)))
    shop.sql(f"INSERT INTO orders VALUES (1, '2024-01-01 00:00:00', {values})")
    before = shop.content()
    assert (shop.run().state, shop.count()) == ("done", 0)
    assert shop.lake_rows()[0][2:] == tuple(f"'value {number}'" for number in range(len(names)))
    shop.restore()
    assert shop.content() == before


def test_a_table_may_have_more_columns_than_a_function_has_arguments(shop: SqliteBench) -> None:
    names = ", ".join(f"c{number} INTEGER" for number in range(400))
    shop.sql(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at DATETIME, {names})")
    shop.sql("INSERT INTO orders (id, placed_at, c0, c399) VALUES (1, '2024-01-01 00:00:00', 7, 8)")
    before = shop.content()
    assert shop.run().state == "done"
    assert shop.lake_rows("c0, c399") == [(7, 8)]
    shop.restore()
    assert shop.content() == before


def test_where_and_derived_columns(shop: SqliteBench) -> None:
    shop.fill_orders(40)
    shop.configure(
        where="shop <> 'shop 1' /* those",
        columns={"derive": {"cents": "CAST(round(amount * 100) AS INTEGER)", "tag": "shop || '!'", "mixed": "note"}},
    )
    with pytest.raises(Exception, match="where"):
        shop.job()
    shop.configure(where="shop <> 'shop 1' -- those")
    in_scope = shop.sql("SELECT count(*) FROM orders WHERE shop <> 'shop 1'")[0][0]
    assert shop.run().state == "done"
    assert shop.sql("SELECT DISTINCT shop FROM orders") == [("shop 1",)]
    rows = shop.lake_rows("cents, tag, amount, shop")
    assert len(rows) == in_scope
    assert all((cents, tag) == (round(amount * 100), f"{name}!") for cents, tag, amount, name in rows)


def test_a_table_without_a_key_is_archived_and_restored_by_its_content(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (placed_at DATETIME, note TEXT)")
    for number in range(10):
        shop.sql("INSERT INTO orders VALUES (?, ?)", f"2024-01-{number + 1:02d} 00:00:00", f"note {number}")
    shop.configure(purge=None)
    shop.run()
    before = shop.content()
    with pytest.raises(RestoreConflict):
        shop.restore()
    shop.sql("DELETE FROM orders WHERE note > 'note 4'")
    report = shop.restore(on_conflict="skip")
    assert (report.rows, report.skipped, shop.content() == before) == (5, 5, True)


def test_single_keys_are_restored_and_conflicts_are_named(shop: SqliteBench) -> None:
    shop.fill_orders(30)
    shop.run()
    assert shop.restore(from_=None, keys=("7", "08", "999")).missing_keys == ("999",)
    assert shop.sql("SELECT id FROM orders") == [(7,), (8,)]
    shop.sql("UPDATE orders SET note = 'mine' WHERE id = 8")
    with pytest.raises(RestoreConflict, match="those with key 7; 8"):
        shop.restore()
    assert shop.restore(on_conflict="skip").skipped == 2
    assert shop.sql("SELECT note FROM orders WHERE id = 8") == [("mine",)]
    assert shop.count() == 30


def test_a_restore_replaces_no_row_even_where_the_table_says_so(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at DATETIME, no UNIQUE ON CONFLICT REPLACE)")
    shop.sql("INSERT INTO orders VALUES (1, '2024-01-01 00:00:00', 5)")
    shop.run()
    shop.sql("INSERT INTO orders VALUES (2, '2026-01-01 00:00:00', 5)")
    with pytest.raises(SourceError, match="UNIQUE constraint failed"):
        shop.restore()
    assert shop.sql("SELECT id FROM orders") == [(2,)]


def test_a_trigger_that_alters_restored_rows_undoes_the_restore(shop: SqliteBench) -> None:
    shop.fill_orders(10)
    shop.run()
    shop.sql("CREATE TRIGGER alters AFTER INSERT ON orders BEGIN UPDATE orders SET note = 'x' WHERE id = new.id; END")
    with pytest.raises(Exception, match="They differ in: note"):
        shop.restore()
    assert shop.count() == 0


def test_writers_are_not_held_up_by_an_export_in_wal_mode(shop: SqliteBench) -> None:
    shop.fill_orders(10)
    with SQLite(shop.url).snapshot() as snapshot:
        shop.sql("DELETE FROM orders WHERE id = 1")
        job = shop.job()
        year = Slice(Window(start=datetime(2024, 1, 1), end=datetime(2025, 1, 1)))
        assert (snapshot.count(job, year), shop.count()) == (10, 9)
        assert sum(batch.rows.num_rows for batch in snapshot.read(job, year, digest=True)) == 10
        assert not snapshot.vouches_for(snapshot.record)


@pytest.mark.parametrize(
    ("declared", "moments"),
    [
        ("TEXT", ("2024-01-31T23:59:59.999Z", "2024-02-01T00:00:00.000Z")),
        ("VARCHAR(30)", ("2024-01-31", "2024-02-01")),
        ("INTEGER", (1706745599999, 1706745600000)),
    ],
)
def test_windows_can_be_cut_by_a_column_whose_type_says_nothing_of_time(
    declared: str, moments: tuple[Any, ...], shop: SqliteBench
) -> None:
    shop.sql(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at {declared} NOT NULL)")
    assert shop.plan().windows == ()
    for number, moment in enumerate(moments):
        shop.sql("INSERT INTO orders VALUES (?, ?)", number, moment)
    before = shop.content()
    assert shop.run().state == "done"
    assert [g.manifest.attestation.rows for g in shop.generations()] == [1, 1]
    assert shop.lake_rows("typeof(placed_at), month(placed_at)") == [("TIMESTAMP", 1), ("TIMESTAMP", 2)]
    assert (shop.count(), shop.run().state) == (0, "done")
    shop.restore()
    assert shop.content() == before
    shop.sql("UPDATE orders SET placed_at = CASE WHEN typeof(placed_at) = 'text' THEN 'soon' ELSE -1 END")
    with pytest.raises(ConfigError, match=f"placed_at is of type {re.escape(declared)}; windows need"):
        shop.job()


def test_a_column_of_mixed_values_is_kept_as_text_when_told(shop: SqliteBench) -> None:
    shop.fill_orders(8)
    for number, value in enumerate(["n/a", b"\x01", 5.5, "it's", 7, None]):
        shop.sql("UPDATE orders SET shop = ?, weight = ?, picture = ?, day = ? WHERE id = ?", *[value] * 4, number + 1)
    shop.sql("UPDATE orders SET amount = 0.1 + 0.2, open = 'maybe' WHERE id = 1")
    before = shop.content()
    assert "cannot be kept exactly" in str(shop.failed_run())
    mixed = ["shop", "weight", "picture", "day", "amount", "open"]
    shop.configure(columns={"as_text": mixed})
    assert shop.run().state == "done"
    assert shop.lake_rows("weight, amount")[:4] == [
        ("'n/a'", "0.30000000000000004"), ("x'01'", "2.74"), ("5.5", "4.11"), ("'it''s'", "5.48")
    ]  # fmt: skip
    shop.restore()
    assert shop.content() == before
    shop.configure(columns={"as_text": [*mixed, "note"]})  # another plan: what is left is archived anew, by it
    assert (shop.run().state, shop.count()) == ("done", 0)
    shop.restore()
    assert shop.content() == before


def test_a_key_that_is_kept_as_text_is_found_in_the_lake_and_in_the_source(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id TEXT NOT NULL PRIMARY KEY, placed_at DATETIME, note TEXT)")
    for key in ("7", b"7", "it's"):
        shop.sql("INSERT INTO orders VALUES (?, '2024-01-01 00:00:00', 'a')", key)
    shop.configure(columns={"as_text": ["id"]})
    shop.run()
    rows = ErasureRequest.of(keys=["x'37'"])
    shop.sql("INSERT INTO orders VALUES (x'37', '2026-01-01 00:00:00', 'somebody')")
    with pytest.raises(StillNeeded, match="still holds 1 of the rows"):
        erase_rows(shop.project, shop.project.archives[0], rows, "run")
    shop.sql("DELETE FROM orders")
    report = erase_rows(shop.project, shop.project.archives[0], rows, "run")
    assert report.totals["rows"] == 1
    assert shop.restore().rows == 2


def test_a_key_may_be_null_where_nothing_is_purged(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id TEXT PRIMARY KEY, placed_at DATETIME, note)")
    for key, note in ((None, 1), ("a", 2)):
        shop.sql("INSERT INTO orders VALUES (?, '2024-01-01 00:00:00', ?)", key, note)
    shop.configure(purge=None)
    shop.run()
    before = shop.content()
    report = shop.restore(on_conflict="skip")
    assert (report.rows, report.skipped) == (0, 2)
    shop.sql("DELETE FROM orders")
    assert shop.restore().rows == 2
    assert shop.content() == before
