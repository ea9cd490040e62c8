"""What a purge rests on can fall away between the export and the last batch: then nothing more is deleted."""

import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from service_bench import Bench

from blocks.delete_by_proof import KeyBatch
from blocks.open_source import source_of
from schemas.errors import ConfigError, ProofFailed
from tasks.purge import purge
from tidegate.demo.postgres import EmbeddedPostgres


def test_rows_that_came_after_a_crash_of_the_server_are_not_taken_for_those_that_it_lost(tmp_path: Path) -> None:
    """What was committed without waiting for the disk is lost by a crash, and its transaction numbers come again."""
    settings = {"wal_writer_delay": "10s", "autovacuum": "off", "bgwriter_lru_maxpages": "0"}
    with EmbeddedPostgres(settings=settings) as server:
        bench = Bench(server.url(), tmp_path / "project", {"to": "2024-02-01"})
        bench.sql("CREATE TABLE orders (id bigserial PRIMARY KEY, placed_at timestamptz, note text)")
        bench.sql("CHECKPOINT")
        insert = "INSERT INTO orders (placed_at, note) VALUES ('2024-01-05Z', $1)"
        job = bench.job()
        bench.sql("ALTER ROLE postgres SET synchronous_commit = off")
        bench.sql("CHECKPOINT")
        for _ in range(5):
            bench.sql(insert, "first life")
        (exported,) = bench.export(job)
        server.stop("immediate")
        server.start()
        assert bench.count() == 0
        for _ in range(8):
            bench.sql(insert, "second life")
        assert exported.manifest is not None
        receipt = bench.purge(exported.manifest)
        assert (receipt.deleted, bench.count()) == (0, 8)
        assert bench.run().totals["deleted"] == 8
        assert bench.lake_rows("note", "note") == [("first life",)] * 5 + [("second life",)] * 8


def test_a_file_that_is_written_again_after_the_proof_proves_nothing(bench: Bench) -> None:
    bench.fill_orders(20)
    (exported,) = bench.export()
    assert exported.manifest is not None
    verified = bench.prove(exported.manifest)
    (file,) = bench.lake_files()
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(bytes(data))
    with pytest.raises(ProofFailed, match="expected the file that was proven, found one written since"):
        purge(verified, bench.job(), "run")
    assert bench.count() == 20


def test_a_key_that_is_no_longer_unique_deletes_nothing(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz, code text NOT NULL)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-05Z', 'A'), (2, '2024-01-06Z', 'B')")
    bench.configure(key=["code"], purge={"mode": "none"}, to="2024-02-01")
    bench.run()
    bench.sql("INSERT INTO orders VALUES (3, '2024-01-08Z', 'A')")
    bench.configure(key=None, purge={"mode": "delete"}, holds=[{"name": "case", "where": "id = 1"}])
    (window,) = bench.failed_run().windows
    assert "was archived with the key (code), which is no unique key" in str(window.error)
    assert bench.sql("SELECT id FROM orders ORDER BY 1") == [(1,), (2,)], "number 3 was archived by its own key"


def test_more_rows_than_were_proven_are_never_deleted(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (placed_at timestamptz, code text NOT NULL)")
    bench.sql("INSERT INTO orders VALUES ('2024-01-05Z', 'A'), ('2024-01-06Z', 'B')")
    bench.configure(key=["code"], purge={"mode": "none"}, to="2024-02-01")
    (exported,) = bench.export()
    assert exported.manifest is not None
    verified, job = bench.prove(exported.manifest), bench.job()
    bench.sql("INSERT INTO orders SELECT * FROM orders WHERE code = 'A'; UPDATE orders SET code = code")  # no fence
    with source_of(job).locked(job.table) as session:
        batch = KeyBatch.of(pq.read_table(verified.keys).to_batches()[0])
        with pytest.raises(ProofFailed, match="the keys of 2 proven rows are those of 3 rows"):
            session.deleter(job, verified.manifest).delete(batch)
    assert bench.count() == 3


MEANWHILE: dict[str, tuple[str, str]] = {
    "a foreign key": (
        "CREATE TABLE notes (order_id bigint REFERENCES orders ON DELETE CASCADE); INSERT INTO notes VALUES (1)",
        "would change rows of another table",
    ),
    "a trigger": (
        "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM orders; RETURN NULL; END'; "
        "CREATE TRIGGER too_much AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION gone()",
        "too_much",
    ),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_came_to_the_table_since_the_run_began_is_seen_before_the_first_batch(bench: Bench, what: str) -> None:
    change, told = MEANWHILE[what]
    bench.fill_orders(20)
    job = bench.job()
    (exported,) = bench.export(job)
    assert exported.manifest is not None
    verified = bench.prove(exported.manifest)
    bench.sql(change)
    with pytest.raises(ConfigError, match=told):
        purge(verified, job, "run")
    assert bench.count() == 20


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_comes_to_the_table_during_a_purge_ends_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    change, told = MEANWHILE[what]
    bench.fill_orders(20)
    bench.configure(purge={"mode": "delete", "batch_rows": 5, "pause_s": 0.2})
    job = bench.job()
    (exported,) = bench.export(job)
    assert exported.manifest is not None
    verified = bench.prove(exported.manifest)
    monkeypatch.setattr("tasks.purge_progress.LOOK_AGAIN_S", 0.0)
    threading.Timer(0.1, bench.sql, [change.partition("; INSERT")[0]]).start()
    with pytest.raises(ConfigError, match=told) as ended:
        purge(verified, job, "run")
    assert 0 < bench.count() < 20
    assert "goes on from there" in ended.value.next_step


def test_a_legal_hold_that_was_written_since_the_run_began_holds(bench: Bench) -> None:
    bench.fill_orders(20)
    job = bench.job()
    (exported,) = bench.export(job)
    assert exported.manifest is not None
    verified = bench.prove(exported.manifest)
    bench.configure(holds=[{"name": "case", "where": "id = 7"}])
    with pytest.raises(ConfigError, match="the legal holds are others than when this run began"):
        purge(verified, job, "run")
    assert bench.count() == 20
    bench.run()
    assert bench.sql("SELECT id FROM orders") == [(7,)]


SCOPES: dict[str, tuple[str, str]] = {
    "the clock": ("due_at < now()", "SELECT pg_sleep(1.2)"),
    "another table": ("id IN (SELECT id FROM done)", "INSERT INTO done VALUES (2)"),
}


@pytest.mark.parametrize("what", SCOPES)
def test_rows_that_come_into_scope_without_being_written_are_archived(bench: Bench, what: str) -> None:
    where, change = SCOPES[what]
    bench.sql("CREATE TABLE done (id int); INSERT INTO done VALUES (1)")
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at timestamptz, due_at timestamptz)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-05Z', '2024-01-05Z'), (2, '2024-01-05Z', now() + '1 second')")
    bench.configure(where=where, purge={"mode": "none"})
    assert bench.run().totals["archived"] == 1
    bench.sql(change)
    assert bench.run().totals["archived"] == 1
    assert bench.run().totals["archived"] == 0
    assert bench.lake_rows("id") == [(1,), (2,)]


def test_equal_rows_of_a_table_without_a_key_are_archived_as_often_as_they_are_there(bench: Bench) -> None:
    def rows() -> list[tuple[Any, ...]]:
        return bench.lake_rows("note", "note")

    bench.sql("CREATE TABLE orders (placed_at timestamptz, note text)")
    insert = "INSERT INTO orders SELECT '2024-01-05Z', $1 FROM generate_series(1, $2)"
    bench.configure(purge={"mode": "none"})
    bench.sql(insert, "a", 2)
    bench.run()
    bench.sql(insert, "a", 1)
    bench.sql(insert, "b", 2)
    assert bench.run().totals["archived"] == 3
    assert rows() == [("a",)] * 3 + [("b",)] * 2
    assert bench.run().totals["archived"] == 0
