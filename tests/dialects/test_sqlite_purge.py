"""Rows leave a SQLite file by proof only: writers at work, a busy database, triggers, kills and other archivers."""

import fcntl
import logging
import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlite_bench import SqliteBench

from blocks.delete_by_proof import Collision, KeyBatch, RowsKept
from blocks.dialects.sqlite.lock import archiver_lock, lock_path
from blocks.dialects.sqlite.source import SQLite
from schemas.errors import Busy, ProofFailed, SourceError
from tasks.verify import VerifiedGeneration

Rows = set[tuple[Any, ...]]


def exported(shop: SqliteBench, rows: int = 40) -> str:
    """Fill and export one window, and return its manifest."""
    shop.fill_orders(rows)
    shop.configure(window="year", purge={"mode": "delete", "batch_rows": 10, "lock_timeout_s": 0.05})
    (one,) = shop.export()
    assert one.manifest is not None
    return one.manifest


def batch_of(verified: VerifiedGeneration) -> KeyBatch:
    *keys, digests = pa.parquet.read_table(verified.keys).combine_chunks().columns
    return KeyBatch(tuple(key.combine_chunks() for key in keys), digests.to_numpy())


def lake_and_source(shop: SqliteBench) -> tuple[Rows, Rows]:
    """Return the rows of both as (id, note), of which the tests change nothing else."""
    return set(shop.lake_rows("id, note")), set(shop.sql("SELECT id, note FROM orders"))


def test_writers_during_a_purge_lose_nothing(shop: SqliteBench) -> None:
    manifest = exported(shop, 400)
    shop.configure(purge={"mode": "delete", "batch_rows": 10, "lock_timeout_s": 2})
    before = set(shop.sql("SELECT id, note FROM orders"))
    written: dict[int, str] = {}
    stop = threading.Event()

    def write() -> None:
        number = 0
        with shop.connected() as connection:
            while not stop.is_set() or number < 20:
                number += 1
                key, note = 400 - number * 7 % 400, f"written {number}"
                if connection.execute("UPDATE orders SET note = ? WHERE id = ?", (note, key)).rowcount:
                    written[key] = note
                insert = "INSERT INTO orders (id, placed_at, note) VALUES (?, '2024-01-01 00:00:00', ?)"
                connection.execute(insert, (1000 + number, note))
                written[1000 + number] = note
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    receipt = shop.purge(manifest)
    stop.set()
    writer.join()
    lake, source = lake_and_source(shop)
    assert (lake, source) == (before, set(written.items()))
    assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone == 400
    assert receipt.changed_since > 0


def test_a_batch_that_meets_another_writer_deletes_nothing_and_goes_on_later(shop: SqliteBench) -> None:
    manifest = exported(shop)
    verified, job = shop.prove(manifest), shop.job()
    batch = batch_of(verified)
    with SQLite(shop.url).locked(job.table) as session, shop.connected() as writer:
        deleter = session.deleter(job, verified.manifest)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE orders SET note = 'mine' WHERE id = 1")
        with pytest.raises(Collision, match="database is locked"):
            deleter.delete(batch)
        assert not deleter.locked(batch).rows.any()
        writer.execute("COMMIT")
        outcome = deleter.delete(batch)
    assert (outcome.by_digest, outcome.changed_since) == (39, 1)
    assert shop.sql("SELECT id, note FROM orders") == [(1, "mine")]


def test_in_a_rollback_journal_a_reader_holds_up_the_commit_only(tmp_path: Path) -> None:
    shop = SqliteBench.in_folder(tmp_path, wal=False)
    verified, job = shop.prove(exported(shop)), shop.job()
    with SQLite(shop.url).locked(job.table) as session, shop.connected() as reader:
        deleter = session.deleter(job, verified.manifest)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM orders").fetchone() == (40,)
        with pytest.raises(Collision):
            deleter.delete(batch_of(verified))
        assert reader.execute("SELECT count(*) FROM orders").fetchone() == (40,)
        reader.execute("COMMIT")
        assert shop.count() == 40
        assert deleter.delete(batch_of(verified)).by_digest == 40


def test_rows_changed_gone_and_written_again_are_told_apart(shop: SqliteBench) -> None:
    manifest = exported(shop)
    shop.sql("UPDATE orders SET note = 'x' WHERE id = 1")
    shop.sql("DELETE FROM orders WHERE id = 2")
    shop.sql("CREATE TABLE kept AS SELECT * FROM orders WHERE id IN (3, 4)")
    shop.sql("DELETE FROM orders WHERE id IN (3, 4)")
    shop.sql("INSERT INTO orders SELECT * FROM kept WHERE id = 3")  # equal: the same row
    shop.sql("INSERT INTO orders (id, placed_at) VALUES (4, '2024-01-02 00:00:00')")  # another one
    shop.sql("UPDATE orders SET placed_at = '2030-01-01 00:00:00' WHERE id = 5")  # moved to another window
    receipt = shop.purge(manifest)
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (36, 3, 1)
    assert shop.sql("SELECT id FROM orders") == [(1,), (4,), (5,)]


def test_rows_that_the_predicate_no_longer_holds_for_stay(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE hold (id)")
    shop.fill_orders(10)
    shop.configure(window="year", where="id NOT IN (SELECT id FROM hold)")
    (one,) = shop.export()
    shop.sql("INSERT INTO hold VALUES (3), (4)")
    assert one.manifest is not None
    receipt = shop.purge(one.manifest)
    assert (receipt.deleted, receipt.changed_since) == (8, 2)
    assert shop.sql("SELECT id FROM orders") == [(3,), (4,)]


def test_a_table_with_rows_that_changed_their_key_keeps_them(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, placed_at DATETIME)")
    shop.sql("INSERT INTO orders VALUES ('abc', '2024-01-01 00:00:00'), ('def', '2024-01-01 00:00:00')")
    (one,) = shop.export()
    shop.sql("UPDATE orders SET id = 'ABC' WHERE id = 'abc'")
    assert one.manifest is not None
    receipt = shop.purge(one.manifest)
    assert (receipt.deleted, receipt.changed_since) == (1, 1)
    assert shop.sql("SELECT id FROM orders") == [("ABC",)]


KEEPERS = {
    "ignores": "BEFORE DELETE ON orders BEGIN SELECT RAISE(IGNORE); END",
    "writes back": "AFTER DELETE ON orders BEGIN INSERT INTO orders (id, placed_at) "
    "VALUES (old.id, old.placed_at); END",
}


@pytest.mark.parametrize("name", KEEPERS)
def test_a_trigger_that_keeps_rows_is_named_and_nothing_is_deleted(name: str, shop: SqliteBench) -> None:
    verified = shop.prove(exported(shop))
    shop.sql(f'CREATE TRIGGER "{name}" {KEEPERS[name]}')
    shop.configure(purge={"mode": "delete", "triggers": [name]})
    before, job = shop.content(), shop.job()
    with SQLite(shop.url).locked(job.table) as session, pytest.raises(RowsKept, match=f"Its triggers: {name}"):
        session.deleter(job, verified.manifest).delete(batch_of(verified))
    assert shop.content() == before


def test_a_trigger_or_a_foreign_key_that_refuses_is_named_and_nothing_is_deleted(shop: SqliteBench) -> None:
    verified = shop.prove(exported(shop))
    shop.configure(purge={"mode": "delete", "triggers": ["no_way"]})
    before, job = shop.content(), shop.job()
    refusers = {
        "TABLE item (order_id INTEGER REFERENCES orders (id))": "FOREIGN KEY constraint failed",
        "TABLE later (order_id INTEGER REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)": "FOREIGN KEY",
        "TRIGGER no_way BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'no way'); END": "no way",
    }
    with SQLite(shop.url).locked(job.table) as session:
        for refuser, told in refusers.items():
            shop.sql(f"CREATE {refuser}")
            kind, name, *_ = refuser.split()
            if kind == "TABLE":
                shop.sql(f"INSERT INTO {name} VALUES (40)")
            with pytest.raises(SourceError, match=told) as refusal:
                session.deleter(job, verified.manifest).delete(batch_of(verified))
            assert "Its triggers: " in refusal.value.next_step
            assert shop.content() == before
            shop.sql(f"DROP {kind} {name}")
        assert session.deleter(job, verified.manifest).delete(batch_of(verified)).by_digest == 40


@pytest.mark.parametrize("reused", [True, False])
def test_a_key_that_sqlite_will_give_again_is_told(
    reused: bool, shop: SqliteBench, caplog: pytest.LogCaptureFixture
) -> None:
    more = "" if reused else " AUTOINCREMENT"
    shop.sql(f"CREATE TABLE orders (id INTEGER PRIMARY KEY{more}, placed_at DATETIME)")
    shop.sql("INSERT INTO orders VALUES (7, '2024-01-01 00:00:00'), (8, '2024-02-01 00:00:00')")
    with caplog.at_level(logging.INFO):
        shop.run()
    told = [record.getMessage() for record in caplog.records if "highest_key_deleted" in record.getMessage()]
    assert [" key=8 " in message for message in told] == ([True] if reused else [])


def test_a_trigger_that_keeps_a_log_is_fired(shop: SqliteBench) -> None:
    manifest = exported(shop)
    shop.sql("CREATE TABLE log (id)")
    shop.sql("CREATE TRIGGER logs AFTER DELETE ON orders BEGIN INSERT INTO log VALUES (old.id); END")
    shop.configure(purge={"mode": "delete", "triggers": ["logs"]})
    assert shop.purge(manifest).deleted == shop.count("log") == 40


@pytest.mark.parametrize("batches", [0, 1])
@pytest.mark.parametrize(
    ("comes", "told"),
    [
        ("TRIGGER late AFTER DELETE ON orders BEGIN DELETE FROM other; END", r"purge\.triggers does not name: late"),
        ("TABLE item (order_id REFERENCES orders (id) ON DELETE SET NULL)", "main.item .*, ON DELETE SET NULL"),
    ],
)
def test_a_trigger_or_a_cascade_that_comes_after_the_proof_ends_the_purge(
    comes: str, told: str, batches: int, shop: SqliteBench
) -> None:
    verified = shop.prove(exported(shop))
    shop.sql("CREATE TABLE other (id)")
    job, batch = shop.job(), batch_of(verified)
    with SQLite(shop.url).locked(job.table) as session:
        deleter = session.deleter(job, verified.manifest)
        for first in range(batches):
            part = KeyBatch(tuple(texts[first : first + 1] for texts in batch.keys), batch.raw_digests[first:][:1])
            assert deleter.delete(part).by_digest == 1
        shop.sql(f"CREATE {comes}")
        with pytest.raises(SourceError, match=told):
            deleter.delete(batch)
    assert shop.count() == 40 - batches


def test_keys_that_are_unique_by_another_collation_than_their_column_are_told_apart(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id TEXT COLLATE NOCASE NOT NULL, placed_at DATETIME, note)")
    shop.sql("CREATE UNIQUE INDEX to_the_letter ON orders (id COLLATE BINARY)")
    for key in ("a", "A", "b", "B", "c", "C"):
        shop.sql("INSERT INTO orders VALUES (?, '2024-01-01 00:00:00', 'x')", key)
    shop.configure(key=["id"], window="year")
    (one,) = shop.export()
    assert one.manifest is not None
    shop.sql("UPDATE orders SET note = 'y' WHERE id = 'B' COLLATE BINARY")
    shop.sql("DELETE FROM orders WHERE id = 'c' COLLATE BINARY")
    shop.purge(one.manifest)
    assert shop.sql("SELECT id, note FROM orders") == [("B", "y")]
    shop.sql("DELETE FROM orders")
    assert shop.restore().rows == 6
    assert sorted(shop.sql("SELECT id FROM orders")) == [("A",), ("B",), ("C",), ("a",), ("b",), ("c",)]


def test_equal_rows_under_a_key_that_is_none_any_more_all_stay(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id INTEGER NOT NULL, placed_at DATETIME)")
    shop.sql("CREATE UNIQUE INDEX only_once ON orders (id)")
    shop.sql("INSERT INTO orders VALUES (1, '2024-01-01 00:00:00')")
    shop.configure(key=["id"], window="year")
    (one,) = shop.export()
    assert one.manifest is not None
    verified, job = shop.prove(one.manifest), shop.job()
    shop.sql("DROP INDEX only_once")
    shop.sql("INSERT INTO orders SELECT * FROM orders")
    with SQLite(shop.url).locked(job.table) as session, pytest.raises(SourceError, match="several rows with the key"):
        session.deleter(job, verified.manifest).delete(batch_of(verified))
    assert shop.count() == 2


def test_a_batch_that_takes_too_long_is_interrupted_and_undone(shop: SqliteBench) -> None:
    verified = shop.prove(exported(shop, 400))
    shop.configure(purge={"mode": "delete", "statement_timeout_s": 0.001})
    job = shop.job()
    with SQLite(shop.url).locked(job.table) as session, pytest.raises(SourceError, match="interrupted") as refusal:
        session.deleter(job, verified.manifest).delete(batch_of(verified))
    assert "statement_timeout_s" in refusal.value.next_step
    assert shop.count() == 400


def test_one_archiver_a_table_in_threads_and_processes(shop: SqliteBench) -> None:
    shop.fill_orders(5)
    table = shop.job().table
    file = lock_path(shop.file, table)
    with SQLite(shop.url).locked(table):
        with pytest.raises(Busy, match=f"process {os.getpid()} on"), SQLite(shop.url).locked(table):
            pass
        other = table.model_copy(update={"name": "others"})
        with SQLite(shop.url).locked(other):
            pass
        assert file.exists()
    assert not file.exists()
    process = shop.in_another_process(
        "import time; from blocks.dialects.sqlite.source import SQLite\n"
        "with SQLite(bench.url).locked(bench.job().table):\n    print('held', flush=True); time.sleep(60)"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(Busy, match=f"process {process.pid} on"), SQLite(shop.url).locked(table):
        pass
    process.kill()
    process.wait()
    assert file.exists()  # left behind, and no lock
    with SQLite(shop.url).locked(table):
        pass
    assert not file.exists()


def test_a_lock_file_that_was_removed_in_between_does_not_let_two_in(
    shop: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill_orders(5)
    table = shop.job().table
    file, flock = lock_path(shop.file, table), fcntl.flock
    with ExitStack() as others:

        def late(handle: int, how: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            file.unlink()  # its holder ended between our opening the file and locking it,
            others.enter_context(archiver_lock(shop.file, table))  # and the next one has come
            flock(handle, how)

        monkeypatch.setattr(fcntl, "flock", late)
        with pytest.raises(Busy), archiver_lock(shop.file, table):
            pass


DIES = """
from blocks.dialects.sqlite.deleter import SqliteDeleter
whole = SqliteDeleter._delete
def dying(self, batch, seen=[]):
    self._connection.execute("PRAGMA cache_size = 1")  # so that unfinished pages are in the file already
    seen.append(batch)
    outcome = whole(self, batch)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome
SqliteDeleter._delete = dying
bench.run()
"""


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback journal"])
def test_a_purge_killed_in_mid_batch_is_finished_by_the_next_run(wal: bool, tmp_path: Path) -> None:
    shop = SqliteBench.in_folder(tmp_path, wal=wal)
    shop.fill_orders(400)
    shop.configure(window="year", purge={"mode": "delete", "batch_rows": 50})
    before = set(shop.sql("SELECT id, note FROM orders"))
    process = shop.in_another_process(DIES)
    assert process.wait(60) == -signal.SIGKILL
    if not wal:
        assert shop.file.with_name("shop.db-journal").stat().st_size > 0
    assert shop.job().key == ("id",)  # a session that only reads rolls back what was left
    lake, source = lake_and_source(shop)
    assert (lake, len(source)) == (before, 300)
    assert shop.sql("PRAGMA integrity_check") == [("ok",)]
    report = shop.run()
    assert (report.state, shop.count()) == ("done", 0)
    (receipt,) = shop.generations()[0].receipts
    assert (receipt.deleted, receipt.already_gone, receipt.interrupted_before) == (300, 100, 1)


def test_keys_are_counted_whatever_their_rows_hold(shop: SqliteBench) -> None:
    shop.fill_orders(10)
    job = shop.job()
    with SQLite(shop.url).session() as session:
        assert session.count_keys(job.table, job.key_columns, (pa.array(["3", "7", "99"]),)) == 2


def test_a_column_that_comes_between_two_batches_keeps_its_rows(shop: SqliteBench) -> None:
    manifest = exported(shop)
    verified, job = shop.prove(manifest), shop.job()
    with SQLite(shop.url).locked(job.table) as session:
        deleter = session.deleter(job, verified.manifest)
        shop.sql("ALTER TABLE orders ADD COLUMN late TEXT DEFAULT 'in no archived row'")
        with pytest.raises(ProofFailed, match="columns that were not archived: late"):
            deleter.delete(batch_of(verified))
    assert shop.count() == 40


def test_rows_that_a_new_where_takes_out_of_scope_stay(shop: SqliteBench) -> None:
    manifest = exported(shop)
    shop.configure(where="id > 10")
    shop.purge(manifest)
    assert shop.sql("SELECT min(id), max(id), count(*) FROM orders") == [(1, 10, 10)]
