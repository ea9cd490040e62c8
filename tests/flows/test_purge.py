"""Delete by proof: what is deleted, what stays, and that every row is accounted for."""

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from service_bench import Bench

from blocks.delete_by_proof import BatchOutcome, KeyBatch
from blocks.dialects.postgresql.deleter import PostgresDeleter
from schemas.errors import Busy, Interrupted, ProofFailed, SourceUnavailable
from schemas.purge_records import Receipt
from schemas.restore import RestoreRequest
from tasks import delete_batches
from tasks.purge import purge
from tasks.restore import restore_rows
from tasks.verify import VerifiedGeneration


@pytest.fixture
def exported(bench: Bench) -> Bench:
    """Rows of one window, exported and not yet purged."""
    bench.fill_orders(100)
    bench.export()
    return bench


def only_manifest(bench: Bench) -> str:
    (generation,) = bench.generations()
    return generation.manifest.path


def counts(receipt: Receipt) -> tuple[int, int, int]:
    return receipt.deleted, receipt.changed_since, receipt.already_gone


def test_unchanged_rows_are_deleted_by_the_fence_alone(exported: Bench) -> None:
    receipt = exported.purge(only_manifest(exported))
    assert counts(receipt) == (100, 0, 0)
    assert receipt.by_fence == 100
    assert exported.count() == 0


def test_row_updated_after_export_stays_in_the_source(exported: Bench) -> None:
    exported.sql("UPDATE orders SET note = 'changed' WHERE id = 7")
    receipt = exported.purge(only_manifest(exported))
    assert counts(receipt) == (99, 1, 0)
    assert exported.sql("SELECT id, note FROM orders") == [(7, "changed")]


def test_row_updated_to_the_same_values_is_deleted_by_its_digest(exported: Bench) -> None:
    exported.sql("UPDATE orders SET note = note WHERE id <= 10")
    receipt = exported.purge(only_manifest(exported))
    assert counts(receipt) == (100, 0, 0)
    assert receipt.by_fence == 90


def test_row_deleted_by_somebody_else_is_already_gone(exported: Bench) -> None:
    exported.sql("DELETE FROM orders WHERE id = 7")
    assert counts(exported.purge(only_manifest(exported))) == (99, 0, 1)


def test_key_deleted_and_inserted_again_with_other_values_stays(exported: Bench) -> None:
    exported.sql("DELETE FROM orders WHERE id = 7")
    exported.sql("INSERT INTO orders SELECT 7, placed_at, 'another', 1, NULL, NULL FROM orders WHERE id = 8")
    assert counts(exported.purge(only_manifest(exported))) == (99, 1, 0)
    assert exported.sql("SELECT shop FROM orders") == [("another",)]


def test_key_deleted_and_inserted_again_with_equal_values_is_deleted_by_its_digest(exported: Bench) -> None:
    exported.sql("CREATE TABLE copy AS SELECT * FROM orders WHERE id = 7")
    exported.sql("DELETE FROM orders WHERE id = 7")
    exported.sql("INSERT INTO orders SELECT * FROM copy")
    assert counts(exported.purge(only_manifest(exported))) == (100, 0, 0)


def test_row_moved_to_another_window_stays(exported: Bench) -> None:
    exported.sql("UPDATE orders SET placed_at = placed_at + interval '1 year' WHERE id = 7")
    assert counts(exported.purge(only_manifest(exported))) == (99, 1, 0)
    assert exported.count() == 1


def test_row_written_by_a_transaction_in_flight_at_the_snapshot_stays(bench: Bench) -> None:
    bench.fill_orders(100)
    with psycopg.connect(bench.url) as writer:
        writer.execute("UPDATE orders SET note = 'late' WHERE id = 7")
        writer.execute("INSERT INTO orders SELECT 1000, placed_at, 'late', 1, NULL, NULL FROM orders WHERE id = 8")
        bench.export()
    receipt = bench.purge(only_manifest(bench))
    assert counts(receipt) == (99, 1, 0)
    assert bench.sql("SELECT id FROM orders ORDER BY id") == [(7,), (1000,)]


def test_rows_of_a_transaction_that_ended_after_an_older_one_began_are_deleted_by_digest(bench: Bench) -> None:
    """An open transaction holds the horizon back: the fence is unsure of what came after it, the digest is not."""
    bench.fill_orders(50)
    with psycopg.connect(bench.url) as old:
        old.execute("SELECT pg_current_xact_id()")
        bench.sql("UPDATE orders SET note = 'younger' WHERE id <= 20")
        bench.export()
        receipt = bench.purge(only_manifest(bench))
    assert counts(receipt) == (50, 0, 0)
    assert receipt.by_fence == 30


@pytest.mark.parametrize("fence", [True, False], ids=["by fence", "by digest"])
@pytest.mark.parametrize("change", ["UPDATE orders SET note = 'new' WHERE id = 7", "DELETE FROM orders WHERE id = 7"])
def test_row_that_changes_while_the_delete_waits_for_its_lock_is_not_deleted(
    exported: Bench, change: str, fence: bool
) -> None:
    exported.configure(purge={"mode": "delete", "lock_timeout_s": 20})
    if not fence:
        exported.sql("UPDATE orders SET note = note")
    verified = exported.prove(only_manifest(exported))
    receipts: list[Receipt] = []
    with psycopg.connect(exported.url) as writer:
        writer.execute(change)  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: receipts.append(purge(verified, exported.job(), "run")))
        thread.start()
        wait_until(lambda: exported.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'") != [])
        writer.commit()
        thread.join(30)
    (receipt,) = receipts
    stayed = 1 if change.startswith("UPDATE") else 0
    assert counts(receipt) == (99, stayed, 1 - stayed)
    assert exported.count() == stayed


def test_a_lock_that_is_not_given_back_ends_the_purge_without_losing_count(
    exported: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete_batches, "PASSES_S", (0.05,))
    exported.configure(purge={"mode": "delete", "lock_timeout_s": 0.05, "batch_rows": 10})
    with psycopg.connect(exported.url) as writer:
        writer.execute("SELECT FROM orders WHERE id = 55 FOR UPDATE")
        with pytest.raises(SourceUnavailable, match=r"(?s)99 were deleted; 1 were locked.*0 were not looked at"):
            exported.purge(only_manifest(exported))
    assert exported.sql("SELECT id FROM orders") == [(55,)]
    receipt = exported.purge(only_manifest(exported))
    assert counts(receipt) == (100, 0, 0), "what the stopped attempt had deleted counts as deleted"
    assert receipt.interrupted_before == 0


def test_a_second_archiver_is_refused_and_told_who_holds_the_table(exported: Bench) -> None:
    from blocks.dialects.postgresql.lock import archiver_lock

    verified = exported.prove(only_manifest(exported))
    with (
        archiver_lock(exported.url, exported.job().table),
        pytest.raises(Busy, match=r"(?s)Another archiver.*process \d+"),
    ):
        purge(verified, exported.job(), "run")
    assert exported.count() == 100


def test_a_runner_that_lost_its_connection_lost_its_lock_and_deletes_no_more(
    exported: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held by the connection that deletes, so the server takes both away together."""
    verified = exported.prove(only_manifest(exported))
    delete = PostgresDeleter.delete

    def cut_after_first(deleter: PostgresDeleter, batch: KeyBatch) -> BatchOutcome:
        outcome = delete(deleter, batch)
        exported.sql("SELECT pg_terminate_backend($1)", deleter._connection.info.backend_pid)
        return outcome

    monkeypatch.setattr(PostgresDeleter, "delete", cut_after_first)
    with pytest.raises(SourceUnavailable, match="50 were deleted"):
        purge(verified, exported.job(), "run")
    assert exported.count() == 50


@pytest.mark.parametrize("reason", [signal.SIGTERM, signal.SIGINT, "file"], ids=str)
def test_purge_stops_within_one_batch(exported: Bench, reason: signal.Signals | str) -> None:
    stop_file = exported.folder / "stop"
    exported.configure(purge={"mode": "delete", "batch_rows": 10, "stop_file": str(stop_file), "pause_s": 0.05})
    before = signal.getsignal(signal.SIGTERM)
    asked_at: list[int] = []

    def ask() -> None:
        wait_until(lambda: exported.count() <= 70)
        asked_at.append(exported.count())
        if isinstance(reason, signal.Signals):
            os.kill(os.getpid(), reason)
        else:
            stop_file.touch()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted, match=r"(?s)Stopped by .*were deleted.*goes on from there"):
        exported.purge(only_manifest(exported))
    asking.join()
    assert asked_at[0] - exported.count() <= 20, "the batch that ran, and none after it"
    assert signal.getsignal(signal.SIGTERM) is before
    stop_file.unlink(missing_ok=True)
    assert counts(exported.purge(only_manifest(exported))) == (100, 0, 0)


def test_a_killed_purge_leaves_a_receipt_that_says_so(exported: Bench) -> None:
    """What a killed attempt deleted cannot be told from what others deleted; the receipt does not pretend."""
    exported.configure(purge={"mode": "delete", "batch_rows": 10, "pause_s": 0.1})
    child = exported.in_another_process("bench.run()")
    wait_until(lambda: exported.count() < 100)
    child.kill()
    child.wait()
    left = exported.count()
    assert 0 < left < 100
    receipt = exported.purge(only_manifest(exported))
    assert counts(receipt) == (left, 0, 100 - left)
    assert receipt.interrupted_before == 1


def test_rows_of_another_cluster_are_compared_by_digest(exported: Bench) -> None:
    """Transaction numbers of another server say nothing about these rows."""
    (generation,) = exported.generations()
    snapshot = generation.manifest.attestation.snapshot.model_copy(update={"cluster": "another"})
    attestation = generation.manifest.attestation.model_copy(update={"snapshot": snapshot})
    foreign = generation.manifest.model_copy(update={"attestation": attestation})
    Path(exported.folder / "lake" / foreign.path).write_bytes(foreign.to_bytes())
    exported.sql("UPDATE orders SET note = 'changed' WHERE id = 7")
    receipt = exported.purge(foreign.path)
    assert counts(receipt) == (99, 1, 0)
    assert receipt.by_fence == 0


def test_a_column_added_after_the_export_stops_the_purge(exported: Bench) -> None:
    exported.sql("ALTER TABLE orders ADD COLUMN coupon text DEFAULT 'none'")
    with pytest.raises(ProofFailed, match="coupon was not archived"):
        exported.purge(only_manifest(exported))
    assert exported.count() == 100


def test_a_truncated_table_is_already_gone(exported: Bench) -> None:
    exported.sql("TRUNCATE orders")
    assert counts(exported.purge(only_manifest(exported))) == (0, 0, 100)


def test_only_verify_can_make_evidence(exported: Bench) -> None:
    (generation,) = exported.generations()
    with pytest.raises(TypeError, match=r"only tasks\.verify"):
        VerifiedGeneration(generation.manifest, Path("keys.parquet"), object())


def test_the_session_limits_of_a_purge_do_not_outlive_it(exported: Bench) -> None:
    exported.purge(only_manifest(exported))
    assert exported.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidegate'") == [(0,)]


def wait_until(condition: object, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_restored_row_is_purged_also_if_a_later_generation_was_archived_without_a_purge(exported: Bench) -> None:
    """The later generation's snapshot vouches for the row, and only the earlier one can delete it."""
    exported.purge(only_manifest(exported))
    request = RestoreRequest.of(keys=["7"])
    restore_rows(exported.project, exported.project.archives[0], request)
    exported.sql("INSERT INTO orders (id, placed_at) SELECT 1000, placed_at FROM orders WHERE id = 7")
    assert exported.run("later", purging=False).totals["archived"] == 1
    assert exported.count() == 2
    assert exported.run("last").totals["archived"] == 0
    assert exported.count() == 0
