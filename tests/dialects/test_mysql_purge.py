"""Rows leave MariaDB by proof only: writers at work, locks, triggers, foreign keys, lost connections, new columns."""

import random
import threading
import time
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
import pytest
from mysql_bench import MySQLBench
from service_tcp_proxy import Fault, TcpProxy

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch
from blocks.dialects.mysql.source import MySQL
from schemas.errors import Busy, ProofFailed, SourceError, SourceUnavailable
from tasks.verify import VerifiedGeneration
from tidegate.demo.mariadb import MariaDB


def exported(bench: MySQLBench, rows: int = 40, **options: Any) -> str:
    """Fill and export one window, and return its manifest."""
    bench.fill_orders(rows)
    bench.configure(window="year", purge={"mode": "delete", "batch_rows": 10, "lock_timeout_s": 1, **options})
    (one,) = bench.export()
    assert one.manifest is not None
    return one.manifest


def batch_of(verified: VerifiedGeneration) -> KeyBatch:
    *keys, digests = pq.read_table(verified.keys).combine_chunks().columns
    return KeyBatch(tuple(pa.array(key.to_pylist(), pa.string()) for key in keys), digests.to_numpy())


CHANGES = (
    "note = CONCAT(IFNULL(note, ''), ' ')", "note = IF(note IS NULL, '', NULL)", "note = UPPER(CONCAT(note, 'x'))",
    "placed_at = placed_at + INTERVAL 1 MICROSECOND", "placed_at = '2031-01-01'", "placed_at = NULL",
    "amount = amount + 0.0001", "amount = -amount", "open = NOT open", "open = NULL", "weight = weight + 1e-12",
    "weight = -weight", "payload = REPLACE(payload, '{', '{ ')", "shop = REPLACE(shop, 's', 'S')",
    "shop = CONCAT(shop, ' ')", "shop = REPLACE(shop, 'o', 'ö')", "id = id + 1000",
)  # fmt: skip


def test_a_row_that_changed_in_any_way_stays(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    for number, change in enumerate(CHANGES):
        assert bench.sql(f"SELECT COUNT(*) FROM orders WHERE id = {number + 1}") == [(1,)]
        bench.sql(f"UPDATE orders SET {change} WHERE id = {number + 1}")
    changed = {row for row in bench.content() if not 17 < int(row[0]) < 1000}
    receipt = bench.purge(manifest)
    assert set(bench.content()) == changed
    # A row with another key is gone, as far as the archived key can tell, and a new one.
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (23, 16, 1)


def test_a_row_that_came_back_as_it_was_leaves_and_one_with_other_values_or_letters_stays(
    mysql_bench: MySQLBench,
) -> None:
    bench = mysql_bench
    bench.sql("CREATE TABLE orders (id varchar(9) PRIMARY KEY, placed_at date, note text)")
    rows = "('a', '2024-01-01', 'x'), ('b', '2024-01-01', 'x'), ('c', '2024-01-01', 'x'), ('d ', '2024-01-01', 'x')"
    bench.sql(f"INSERT INTO orders VALUES {rows}")
    (one,) = bench.export()
    assert one.manifest is not None
    bench.sql("DELETE FROM orders WHERE id <> 'c'")
    bench.sql("INSERT INTO orders VALUES ('a', '2024-01-01', 'x'), ('b', '2024-01-01', 'y'), ('D', '2024-01-01', 'x')")
    bench.sql("UPDATE orders SET id = 'C' WHERE id = 'c'")
    receipt = bench.purge(one.manifest)
    assert bench.sql("SELECT id, note FROM orders ORDER BY id") == [("b", "y"), ("C", "x"), ("D", "x")]
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (1, 3, 0)


def test_writers_during_export_and_purge_lose_nothing(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(600)
    bench.configure(window="year", purge={"mode": "delete", "batch_rows": 20, "lock_timeout_s": 2})
    before = {(row[0], row[1]) for row in bench.sql("SELECT id, note FROM orders")}
    written: dict[int, str] = {}
    stop = threading.Event()

    def write(seed: int) -> None:
        chance, number = random.Random(seed), seed * 10_000
        with bench.connected() as connection, connection.cursor() as cursor:
            while not stop.is_set():
                number += 1
                key, note = chance.randrange(seed, 601, 3), f"written {number}"
                with suppress(pymysql.OperationalError):
                    if cursor.execute("UPDATE orders SET note = %s WHERE id = %s", (note, key)):
                        written[key] = note
                if number % 10 == 0:
                    cursor.execute(
                        "INSERT INTO orders (id, placed_at, note) VALUES (%s, '2024-01-01', %s)", (number, note)
                    )
                    written[number] = note
                time.sleep(0.001)

    writers = [threading.Thread(target=write, args=[seed]) for seed in (1, 2, 3)]
    for writer in writers:
        writer.start()
    try:
        (one,) = bench.export()
        assert one.manifest is not None
        receipt = bench.purge(one.manifest)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    lake = {(row[0], row[1]) for row in bench.lake_rows("id, note")}
    source = {(row[0], row[1]) for row in bench.sql("SELECT id, note FROM orders")}
    assert set(written.items()) <= lake | source
    assert before - lake <= {(key, note) for key, note in before if key in written}
    assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone == len(lake)
    assert receipt.deleted > 0 < receipt.changed_since
    assert {key for key, _ in before} <= {key for key, _ in lake | source}


def test_a_batch_that_meets_somebody_elses_lock_deletes_nothing_and_goes_on_later(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    verified, job = bench.prove(manifest), bench.job()
    batch = batch_of(verified)
    with MySQL(bench.url).locked(job.table) as session, bench.connected() as writer, writer.cursor() as cursor:
        deleter = session.deleter(job, verified.manifest)
        cursor.execute("BEGIN")
        cursor.execute("UPDATE orders SET note = 'mine' WHERE id = 31")
        with pytest.raises(Collision):
            deleter.delete(batch)
        assert bench.count() == 40
        assert batch.keys[0].filter(pa.array(deleter.locked(batch).rows)).to_pylist() == ["31"]
        cursor.execute("COMMIT")
        assert deleter.delete(batch) == BatchOutcome(by_fence=0, by_digest=39, changed_since=1)
    assert bench.sql("SELECT id, note FROM orders") == [(31, "mine")]


def test_a_deadlock_is_a_collision(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    verified, job = bench.prove(manifest), bench.job()
    bench.sql("CREATE TABLE big (id int PRIMARY KEY)")
    bench.sql("INSERT INTO big SELECT seq FROM seq_1_to_500")
    with MySQL(bench.url).locked(job.table) as session, bench.connected() as writer, writer.cursor() as cursor:
        deleter = session.deleter(job, verified.manifest)
        cursor.execute("BEGIN")
        cursor.execute("UPDATE big SET id = id + 1000")  # the larger transaction wins
        cursor.execute("UPDATE orders SET note = 'mine' WHERE id = 40")

        def close_the_circle() -> None:
            with suppress(pymysql.Error):
                cursor.execute("UPDATE orders SET note = 'mine' WHERE id = 1")
                writer.rollback()

        circle = threading.Timer(0.2, close_the_circle)
        circle.start()
        with pytest.raises(Collision, match="Deadlock found"):
            deleter.delete(batch_of(verified))
        circle.join()
    assert bench.count() == 40


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("CREATE TABLE items (id int PRIMARY KEY, o bigint, FOREIGN KEY (o) REFERENCES orders (id)); "
         "INSERT INTO items VALUES (1, 7)", "a foreign key constraint fails"),
        ("CREATE TRIGGER no_way BEFORE DELETE ON orders FOR EACH ROW BEGIN IF OLD.id = 7 THEN "
         "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'seven stays'; END IF; END", "seven stays"),
    ],
    ids=["foreign key", "trigger"],
)  # fmt: skip
def test_a_row_that_the_database_will_not_give_up_keeps_its_batch(
    setup: str, told: str, mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    manifest = exported(bench, references="check", triggers=["no_way"])
    for text in setup.split("; ") if "TABLE" in setup else [setup]:
        bench.sql(text)
    with pytest.raises(SourceError, match=told) as failure:
        bench.purge(manifest)
    assert not isinstance(failure.value, SourceUnavailable)
    assert "Of 40 proven rows" in failure.value.state
    assert bench.count() == 40  # of batches of ten, the first was refused


def test_a_column_that_came_after_the_proof_ends_the_purge(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    verified, job = bench.prove(manifest), bench.job()
    with MySQL(bench.url).locked(job.table) as session:
        deleter = session.deleter(job, verified.manifest)
        bench.sql("ALTER TABLE orders ADD COLUMN extra int DEFAULT 5")
        with pytest.raises(ProofFailed, match="columns that were not archived: extra"):
            deleter.delete(batch_of(verified))
    assert bench.count() == 40


def test_a_trigger_that_came_after_the_proof_ends_the_purge(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    verified, job = bench.prove(exported(bench)), bench.job()
    with MySQL(bench.url).locked(job.table) as session:
        deleter = session.deleter(job, verified.manifest)
        bench.sql("CREATE TRIGGER sweep AFTER DELETE ON orders FOR EACH ROW SET @swept = OLD.id")
        with pytest.raises(SourceError, match=r"triggers for DELETE that purge\.triggers does not name: sweep"):
            deleter.delete(batch_of(verified))
    assert bench.count() == 40


@pytest.mark.parametrize("one_is_gone", [False, True])
def test_equal_rows_under_a_key_that_is_none_any_more_all_stay(one_is_gone: bool, mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    verified, job = bench.prove(exported(bench)), bench.job()
    bench.sql("ALTER TABLE orders DROP PRIMARY KEY, ADD INDEX `PRIMARY KEY` (id)")
    bench.sql("INSERT INTO orders SELECT * FROM orders WHERE id = 7")
    bench.sql(f"DELETE FROM orders WHERE id = {8 if one_is_gone else 0}")
    with MySQL(bench.url).locked(job.table) as session, pytest.raises(SourceError, match="key might mean several rows"):
        session.deleter(job, verified.manifest).delete(batch_of(verified))
    assert bench.count() == (40 if one_is_gone else 41)


def test_keys_that_differ_only_to_the_letter_are_told_apart(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql(
        "CREATE TABLE orders (id varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, placed_at date, "
        "note text)"
    )
    bench.sql("INSERT INTO orders VALUES ('a', '2024-01-01', 'x'), ('A', '2024-01-01', 'x'), ('B', '2024-01-01', '')")
    (one,) = bench.export()
    assert one.manifest is not None
    bench.sql("DELETE FROM orders WHERE id IN ('a', 'B')")
    bench.sql("INSERT INTO orders VALUES ('b', '2024-01-01', '')")
    receipt = bench.purge(one.manifest)
    assert bench.sql("SELECT id FROM orders") == [("b",)]
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (1, 0, 2)


def test_a_second_archiver_is_told_who_holds_the_table(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    with MySQL(bench.url).locked(bench.job().table) as session:
        (holder,) = session.connection.one("SELECT CONNECTION_ID()")
        with pytest.raises(Busy, match=f"the connection {holder} of the server"):
            bench.purge(manifest)
    assert bench.purge(manifest).deleted == 40


def test_who_loses_the_connection_loses_the_lock_and_a_new_run_finishes(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    verified, job = bench.prove(manifest), bench.job()
    batch = batch_of(verified)
    first = KeyBatch(tuple(texts[:10] for texts in batch.keys), batch.raw_digests[:10])
    with pytest.raises(SourceUnavailable), MySQL(bench.url).locked(job.table) as session:
        deleter = session.deleter(job, verified.manifest)
        assert deleter.delete(first).by_digest == 10
        bench.sql(f"KILL {session.connection.one('SELECT CONNECTION_ID()')[0]}")
        deleter.delete(batch)
    assert bench.count() == 30
    receipt = bench.purge(manifest)
    assert (receipt.deleted, receipt.already_gone, bench.count()) == (30, 10, 0)


@pytest.mark.parametrize("action", ["cut", "lose_answer"])
def test_a_connection_that_breaks_at_the_commit_loses_no_row(
    action: Any, mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    before = set(bench.sql("SELECT id FROM orders"))
    with TcpProxy(mariadb.port) as proxy:
        direct = bench.url
        bench.url = direct.replace(f":{mariadb.port}/", f":{proxy.port}/")
        bench.configure()
        proxy.plan(Fault(action, on="\x03COMMIT", skip=1))
        with pytest.raises(SourceUnavailable):
            bench.purge(manifest)
        bench.url = direct
        bench.configure()
        left = set(bench.sql("SELECT id FROM orders"))
        assert len(left) == (20 if action == "lose_answer" else 30)
    receipt = bench.purge(manifest)
    # What the first batch deleted is on record; of the second, nobody heard whether it did.
    assert (receipt.deleted, receipt.already_gone) == ((30, 10) if action == "lose_answer" else (40, 0))
    assert set(bench.lake_rows("id")) == before
    assert bench.count() == 0


def test_rows_that_another_scope_leaves_out_by_now_stay(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    manifest = exported(bench)
    bench.configure(where="id > 30")
    receipt = bench.purge(manifest)
    assert (receipt.deleted, receipt.changed_since, bench.count()) == (10, 30, 30)
