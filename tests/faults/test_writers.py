"""Users write while rows are archived: what they wrote stays theirs, and the next runs archive it in turn."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
import service_bench
from oracle import Oracle
from service_bench import Bench
from service_shortcuts import shortcuts

from blocks.progress import Progress, listening
from schemas.errors import ConfigError
from schemas.exported import Exported
from schemas.report import RunFailed
from tasks.export import export_window
from tasks.purge import purge

ROWS = 240  # of three windows, in batches of 20

WRITES = [
    "INSERT INTO orders SELECT id + g * 1000, placed_at, 'late', g, NULL, NULL FROM orders, generate_series(1, 3) g "
    "WHERE id IN (5, 100, 200)",
    "UPDATE orders SET note = 'changed' WHERE id IN (6, 101, 201)",
    "UPDATE orders SET note = note WHERE id IN (7, 102, 202)",
    "UPDATE orders SET id = id + 7000 WHERE id IN (8, 103, 203)",
    "UPDATE orders SET placed_at = placed_at + interval '1 month' WHERE id IN (9, 104, 204)",
    "UPDATE orders SET placed_at = placed_at - interval '1 month' WHERE id IN (105, 205)",
    "UPDATE orders SET placed_at = '2029-01-01' WHERE id IN (10, 106, 206)",
    "DELETE FROM orders WHERE id IN (11, 107, 207)",
    "WITH gone AS (DELETE FROM orders WHERE id IN (12, 108, 208) RETURNING *) INSERT INTO orders SELECT id + 9000, "
    "placed_at, 'moved over', amount, note, payload FROM gone",
    # A key that is deleted and comes back: with other values, and with the very same.
    "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM orders WHERE id IN (13, 14, 109, 110, 209, 210); "
    "DELETE FROM orders WHERE id IN (SELECT id FROM kept); "
    "INSERT INTO orders SELECT id, placed_at, CASE WHEN id IN (13, 109, 209) THEN 'another' ELSE shop END, amount, "
    "note, payload FROM kept",
]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with shortcuts():
        yield


@pytest.fixture
def orders(bench: Bench) -> Bench:
    bench.configure(purge={"mode": "delete", "batch_rows": 20, "max_batch_rows": 20})
    bench.fill_orders(ROWS)
    return bench


def write_all(oracle: Oracle) -> None:
    for query in WRITES:
        oracle.write(query)


@contextmanager
def at_first(phase: str, act: Callable[[], None]) -> Iterator[list[Progress]]:
    """Act once, at the first progress of a phase: of an export, after its snapshot; of a purge, after a batch."""
    seen: list[Progress] = []

    def listener(progress: Progress) -> None:
        if progress.phase == phase and not seen:
            seen.append(progress)
            act()

    with listening(listener):
        yield seen
    assert seen, f"there was no {phase}"


def is_archived(bench: Bench, oracle: Oracle) -> None:
    """Find every row now; archive what is left; then nothing in scope is left."""
    oracle.check()
    bench.run("again")
    oracle.check()
    assert set(oracle.source().values()) <= {False}, "rows in scope are left"


def settles(bench: Bench, oracle: Oracle) -> None:
    """As `is_archived`, and a further run does nothing."""
    is_archived(bench, oracle)
    before = bench.records()
    bench.run("a third time")
    assert bench.records() == before


def test_rows_written_after_the_snapshot_of_their_window_stay(orders: Bench) -> None:
    oracle = Oracle(orders, scope="placed_at < '2025-01-01'")
    with at_first("export", lambda: write_all(oracle)):
        orders.run()
    settles(orders, oracle)


def test_rows_written_between_export_and_purge_stay(orders: Bench) -> None:
    oracle = Oracle(orders, scope="placed_at < '2025-01-01'")
    orders.run("export", purging=False)
    write_all(oracle)
    oracle.check()
    orders.run("purge")
    settles(orders, oracle)


def test_rows_written_between_proof_and_purge_stay(orders: Bench) -> None:
    oracle = Oracle(orders, scope="placed_at < '2025-01-01'")
    manifests = [str(exported.manifest) for exported in orders.export()]
    proofs = [orders.prove(manifest) for manifest in manifests]
    write_all(oracle)
    for proof in proofs:
        receipt = purge(proof, orders.job(), "run")
        assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone
        assert receipt.changed_since > 3 and receipt.already_gone > 1
    settles(orders, oracle)


def test_rows_written_between_two_batches_stay(orders: Bench) -> None:
    oracle = Oracle(orders, scope="placed_at < '2025-01-01'")
    with at_first("purge", lambda: write_all(oracle)) as seen:
        orders.run()
    assert seen[0].rows == 20 < seen[0].of_rows
    settles(orders, oracle)


@pytest.mark.parametrize("phase", ["export", "purge"])
def test_a_table_that_is_emptied_and_filled_anew_keeps_its_new_rows(orders: Bench, phase: str) -> None:
    """TRUNCATE leaves no row to lock or to find changed; the same keys come back with other values."""
    oracle = Oracle(orders)
    orders.sql("CREATE TABLE source AS SELECT * FROM orders WHERE id % 2 = 0")

    def refill() -> None:
        with oracle.user_acts():
            orders.sql("TRUNCATE orders")
            orders.sql("INSERT INTO orders SELECT id, placed_at, 'new', amount, note, payload FROM source")

    if phase == "export":
        orders.run("export", purging=False)
        refill()
        orders.run()
    else:
        with at_first("purge", refill):
            orders.run()
    settles(orders, oracle)
    assert sum(1 for row in orders.lake_rows("shop") if row == ("new",)) == ROWS // 2


ALTERATIONS = {
    "add": ["ALTER TABLE orders ADD COLUMN coupon text DEFAULT 'precious'"],
    "drop": ["ALTER TABLE orders DROP COLUMN note"],
    "change type": ["ALTER TABLE orders ALTER amount TYPE numeric(16,6)"],
    "rename": ["ALTER TABLE orders RENAME note TO remark"],
    # The same name and the same type in the same place: the catalog's description of the table is equal to before.
    "drop and add": [
        "ALTER TABLE orders DROP COLUMN payload",
        "ALTER TABLE orders ADD COLUMN payload jsonb DEFAULT '\"precious\"'",
    ],
    # Rows that are older than the export's snapshot, but that the export has never seen.
    "another table": ["ALTER TABLE orders RENAME TO orders_before", "ALTER TABLE orders_after RENAME TO orders"],
}


def alter(bench: Bench, oracle: Oracle, kind: str) -> None:
    with oracle.user_acts(), psycopg.connect(bench.url) as connection:
        for statement in ALTERATIONS[kind]:
            connection.execute(statement)


@pytest.fixture
def alterable(orders: Bench) -> Bench:
    """Of two windows."""
    orders.sql("DELETE FROM orders WHERE id <= 60 OR id > 150")
    orders.sql("CREATE TABLE orders_after (LIKE orders INCLUDING ALL)")
    orders.sql("INSERT INTO orders_after SELECT id, placed_at, 'precious', amount, note, payload FROM orders")
    return orders


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_a_table_that_is_altered_between_export_and_purge_loses_nothing(alterable: Bench, kind: str) -> None:
    oracle = Oracle(alterable)
    alterable.run("export", purging=False)
    alter(alterable, oracle, kind)
    is_archived(alterable, oracle)


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_a_table_that_is_altered_between_two_batches_loses_nothing(alterable: Bench, kind: str) -> None:
    oracle = Oracle(alterable)
    with at_first("purge", lambda: alter(alterable, oracle, kind)):
        try:
            alterable.run()
        except RunFailed as failure:
            errors = [str(window.error) for window in failure.report.windows if window.error]
            assert all("State:" in error and "Next:" in error for error in errors)
    is_archived(alterable, oracle)


@pytest.mark.parametrize("kind", ["add", "drop", "change type"])
def test_a_table_that_is_altered_between_two_windows_loses_nothing(
    alterable: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = Oracle(alterable)
    windows: list[object] = []

    def export_then_alter(*arguments: Any) -> Exported:
        exported = export_window(*arguments)
        if not windows:
            alter(alterable, oracle, kind)
        windows.append(exported)
        return exported

    monkeypatch.setattr(service_bench, "export_window", export_then_alter)
    report = alterable.failed_run()
    monkeypatch.undo()
    assert windows and {window.state.value for window in report.windows} == {"failed"}
    assert alterable.count() == 90
    is_archived(alterable, oracle)


def test_a_partition_that_takes_the_place_of_another_keeps_its_rows(bench: Bench) -> None:
    """Its rows are older than the export's snapshot and have keys that were archived, but no export has read them."""
    bench.sql("CREATE TABLE orders (id bigint, placed_at timestamptz, shop text, PRIMARY KEY (id, placed_at)) "
              "PARTITION BY RANGE (placed_at)")  # fmt: skip
    bounds = "FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')"
    bench.sql(f"CREATE TABLE january PARTITION OF orders {bounds}")
    bench.sql("CREATE TABLE february PARTITION OF orders FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')")
    bench.sql("CREATE TABLE another (LIKE orders INCLUDING ALL)")
    fill = "INSERT INTO {} SELECT g, '2024-01-05'::timestamptz, '{}' FROM generate_series(1, 50) g"
    bench.sql(fill.format("january", "archived"))
    bench.sql(fill.format("another", "precious"))
    bench.sql("INSERT INTO orders SELECT g, '2024-02-05', 'archived' FROM generate_series(1, 50) g")
    oracle = Oracle(bench)
    bench.run("export", purging=False)
    with oracle.user_acts():
        bench.sql("ALTER TABLE orders DETACH PARTITION january")
        bench.sql(f"ALTER TABLE orders ATTACH PARTITION another {bounds}")
    is_archived(bench, oracle)
    assert bench.lake_rows("shop").count(("precious",)) == 50


OTHER_WAYS_TO_ANOTHER_TABLE = {
    "the schema": ["ALTER SCHEMA public RENAME TO before", "ALTER SCHEMA after RENAME TO public"],
    "a child": ["ALTER TABLE after.orders INHERIT orders", "DELETE FROM ONLY orders"],
}


@pytest.mark.parametrize("way", OTHER_WAYS_TO_ANOTHER_TABLE)
def test_rows_that_come_by_the_name_of_the_table_are_not_taken_for_archived(orders: Bench, way: str) -> None:
    orders.sql("CREATE SCHEMA after")
    orders.sql("CREATE TABLE after.orders (LIKE orders INCLUDING ALL)")
    orders.sql("INSERT INTO after.orders SELECT id, placed_at, 'precious', amount, note, payload FROM orders")
    (*manifests,) = (str(exported.manifest) for exported in orders.export())
    proofs, job = [orders.prove(manifest) for manifest in manifests], orders.job()
    with psycopg.connect(orders.url) as connection:
        for statement in OTHER_WAYS_TO_ANOTHER_TABLE[way]:
            connection.execute(statement)
    for proof in proofs:
        with suppress(ConfigError):  # a table that inherits is named before anything is deleted
            assert purge(proof, job, "run").deleted == 0
    assert orders.sql("SELECT count(*) FROM public.orders WHERE shop = 'precious'") == [(ROWS,)]


def test_another_table_under_the_same_folder_is_not_taken_for_archived(orders: Bench) -> None:
    """By default the folder is the table's name, whatever its schema."""
    orders.sql("CREATE SCHEMA sales")
    orders.sql("CREATE TABLE sales.orders (LIKE orders INCLUDING ALL)")
    orders.sql("INSERT INTO sales.orders SELECT id, placed_at, 'precious', amount, note, payload FROM orders")
    orders.run("export", purging=False)
    orders.configure(table="sales.orders")
    orders.run("again")
    assert sum(row == ("precious",) for row in orders.lake_rows("shop")) == ROWS
    assert (orders.count(), orders.count("sales.orders")) == (ROWS, 0)
    deleted = {(g.manifest.table, receipt.deleted > 0) for g in orders.generations() for receipt in g.receipts}
    assert deleted == {("public.orders", False), ("sales.orders", True)}


def test_rows_that_a_new_where_takes_out_of_scope_stay(orders: Bench) -> None:
    orders.run("export", purging=False)
    orders.configure(where="shop <> 'shop 1'")
    orders.run("again")
    assert orders.sql("SELECT DISTINCT shop, count(*) FROM orders GROUP BY 1") == [("shop 1", ROWS // 3)]
    assert len(orders.lake_rows()) == ROWS


def random_write(dice: random.Random) -> str:
    key, other = dice.randint(1, ROWS), dice.randint(1, ROWS)
    value = f"n{dice.randint(0, 10**9)}"
    month = f"'2024-0{dice.randint(1, 3)}-{dice.randint(1, 28):02} 12:00Z'"
    return dice.choice(
        [
            f"UPDATE orders SET note = '{value}' WHERE id BETWEEN {key} AND {key + 9}",
            f"UPDATE orders SET placed_at = {month} WHERE id = {key}",
            f"UPDATE orders SET note = note WHERE id BETWEEN {key} AND {key + 9}",
            f"DELETE FROM orders WHERE id = {key}",
            f"INSERT INTO orders VALUES ({key}, {month}, '{value}', 1, NULL, NULL) ON CONFLICT DO NOTHING",
            f"INSERT INTO orders VALUES ({other}, {month}, 'same', 1, NULL, NULL) ON CONFLICT (id) DO UPDATE "
            f"SET shop = '{value}'",
        ]
    )


def test_users_who_never_stop_writing_lose_nothing(orders: Bench) -> None:
    """Random statements in a thread, run after run; some of them meet the archiver's deletes and are refused."""
    oracle, dice, done = Oracle(orders), random.Random(20240), threading.Event()
    written: list[str] = []

    def write() -> None:
        while not done.is_set():
            query = random_write(dice)
            try:
                oracle.write(query)
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                continue
            written.append(query)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        runs = 0
        while runs < 3 or len(written) < 60:
            runs += 1
            orders.run(f"run {runs}")
    finally:
        done.set()
        writer.join()
    settles(orders, oracle)
