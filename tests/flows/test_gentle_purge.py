"""A purge gives way: to replicas, locks, other sessions, dead rows, the clock and the operator; it says to what."""

import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer
from service_replica import Replica

from blocks.delete_by_proof import BatchOutcome, KeyBatch
from blocks.dialects.postgresql import session as session_module
from blocks.dialects.postgresql.deleter import PostgresDeleter
from blocks.dialects.postgresql.session import session, statement
from blocks.dialects.postgresql.vacuum import vacuum
from blocks.progress import Progress, listening
from schemas.errors import ConfigError, Interrupted, ProofFailed, SourceUnavailable, TidegateError, is_transient
from schemas.purge_outcome import PurgeOutcome
from schemas.purge_records import Receipt
from tasks import delete_batches
from tasks.purge import purge
from tasks.vacuum_source import vacuum_source
from tidegate.demo.postgres import EmbeddedPostgres


@dataclass
class Running:
    """A purge in a thread: what it logs, what it shows, and how it ends."""

    bench: Bench
    caplog: pytest.LogCaptureFixture
    progress: list[Progress] = field(default_factory=list)
    ended: list[Receipt | TidegateError] = field(default_factory=list)

    def events(self, name: str) -> list[str]:
        return [text for record in self.caplog.records if (text := record.getMessage()).startswith(f"event={name} ")]

    def waits_for(self, reason: str) -> str:
        """Return what people are shown while the purge waits for this, and see that it does wait."""
        wait_until(lambda: any(f"reason={reason} " in event for event in self.events("purge_waits")), self.ended)
        wait_until(lambda: bool(self.progress and self.progress[-1].waits), self.ended)
        left = self.bench.count()
        time.sleep(0.3)
        assert (self.bench.count(), self.ended) == (left, [])
        return str(self.progress[-1].waits)

    def receipt(self) -> Receipt:
        wait_until(lambda: bool(self.ended))
        (receipt,) = self.ended
        assert isinstance(receipt, Receipt), receipt
        return receipt


def wait_until(condition: Callable[[], bool], ended: Sequence[object] = (), timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert not ended, f"it ended before: {ended}"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def exported(bench: Bench) -> Bench:
    bench.fill_orders(100)
    bench.export()
    return bench


@contextmanager
def purge_in_a_thread(bench: Bench, caplog: pytest.LogCaptureFixture, **options: Any) -> Iterator[Running]:
    """Start a purge, ten rows a batch, with these options; wait for it at the end."""
    caplog.set_level(logging.INFO, "tidegate")
    stop_file = bench.folder / "stop"
    bench.configure(purge={"mode": "delete", "batch_rows": 10, "stop_file": str(stop_file), **options})
    verified, job = bench.prove(only_manifest(bench)), bench.job()
    running = Running(bench, caplog)

    def work() -> None:
        try:
            running.ended.append(purge(verified, job, "run"))
        except TidegateError as error:
            running.ended.append(error)

    context = contextvars.copy_context()  # Prefect's settings are in it
    thread = threading.Thread(target=lambda: context.run(work))
    with listening(running.progress.append):
        thread.start()
        try:
            yield running
        except BaseException:
            stop_file.touch()
            raise
        finally:
            thread.join(30)


@pytest.fixture
def purging(exported: Bench, caplog: pytest.LogCaptureFixture) -> Any:
    """Return what starts a purge of the exported rows in a thread."""
    return partial(purge_in_a_thread, exported, caplog)


def only_manifest(bench: Bench) -> str:
    (generation,) = bench.generations()
    return generation.manifest.path


# Reasons to wait


def test_a_replica_that_falls_behind_holds_the_purge_back_until_it_has_caught_up(
    purging: Any, standby: Replica, exported: Bench
) -> None:
    with psycopg.connect(standby.url(), autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        with purging(max_replica_lag_s=0.2, pause_s=0.1) as running:
            shown = running.waits_for("replica_lag")
            assert shown.startswith("replica lag ") and shown.endswith(" s > 0.2 s")
            assert 0 < exported.count() < 100
            replica.execute("SELECT pg_wal_replay_resume()")
            assert running.receipt().deleted == 100
    (event,) = running.events("purge_waits")[:1]
    assert "lag_s=" in event and "limit_s=0.2" in event
    assert running.events("purge_goes_on")
    assert running.progress[-1].waits is None


def test_a_replica_that_is_gone_and_has_a_slot_holds_the_purge_back(purging: Any, exported: Bench) -> None:
    exported.sql("SELECT pg_create_physical_replication_slot('gone', true)")
    try:
        with purging(max_replica_lag_s=0.2, pause_s=0.1) as running:
            assert running.waits_for("replica_lag").startswith("replica lag ")
            exported.sql("SELECT pg_drop_replication_slot('gone')")
            assert running.receipt().deleted == 100
    finally:
        exported.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'gone'")


def test_wal_that_is_not_archived_holds_the_purge_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = "while test -e hold; do sleep 0.1; done"
    with EmbeddedPostgres(settings={"archive_mode": "on", "archive_command": command}) as server:
        bench = Bench(server.url(), tmp_path)
        bench.fill_orders(20)
        bench.export()
        switch_wal_file(bench)
        wait_until(lambda: bench.sql("SELECT archived_count FROM pg_stat_archiver") > [(0,)])
        hold = server._data / "hold"
        hold.touch()
        for _ in range(3):
            switch_wal_file(bench)
        with purge_in_a_thread(bench, caplog, max_unarchived_wal_files=1) as running:
            assert running.waits_for("wal_not_archived") == "WAL files not archived 3 > 1"
            hold.unlink()
            assert running.receipt().deleted == 20


def switch_wal_file(bench: Bench) -> None:
    bench.sql("SELECT pg_logical_emit_message(true, 'test', 'a record, so that there is a file to end')")
    bench.sql("SELECT pg_switch_wal()")


def test_sessions_at_work_hold_the_purge_back(purging: Any, exported: Bench) -> None:
    with psycopg.connect(exported.url, autocommit=True) as busy:
        query = threading.Thread(target=lambda: busy.execute("SELECT pg_sleep(1.5)"))
        query.start()
        with purging(max_active_sessions=0) as running:
            assert running.waits_for("active_sessions") == "active sessions 1 > 0"
            assert running.receipt().deleted == 100
        query.join()


def test_dead_rows_are_vacuumed_away_while_the_purge_waits(purging: Any, exported: Bench) -> None:
    exported.sql("ALTER TABLE orders SET (autovacuum_enabled = false)")
    exported.sql("UPDATE orders SET note = note")
    wait_until(lambda: dead(exported) >= 100)
    with purging(max_dead_tuples=50, vacuum="between") as running:
        assert running.receipt().deleted == 100
    assert "reason=dead_tuples dead=100 limit=50" in running.events("purge_waits")[0]
    assert exported.sql("SELECT vacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'orders'") == [(True,)]


def test_a_table_is_vacuumed_once_at_the_end_of_a_run_that_deleted_rows(exported: Bench) -> None:
    exported.configure(purge={"mode": "delete", "vacuum": "end"})
    count = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'orders'"
    (before,) = exported.sql(count)
    outcome = PurgeOutcome.of(exported.purge(only_manifest(exported)))
    assert exported.sql(count) == [before]
    vacuum_source(exported.job(), [outcome])
    assert exported.sql(count) == [(before[0] + 1,)]
    vacuum_source(exported.job(), [PurgeOutcome(manifest="nothing was deleted")])
    assert exported.sql(count) == [(before[0] + 1,)]


def test_a_vacuum_waits_for_nobody_and_ends_on_a_stop_request(exported: Bench) -> None:
    job, url = exported.job(), exported.url
    with locked_now("LOCK TABLE orders IN SHARE MODE", exported):
        assert vacuum(url, job.table, lambda: False)
    exported.sql("INSERT INTO orders SELECT g, now() FROM generate_series(1000, 60000) g")
    exported.sql("UPDATE orders SET note = 'dead rows in every page'")
    exported.sql("ALTER ROLE postgres IN DATABASE " + url.rsplit("/", 1)[1] + " SET vacuum_cost_limit = 1")
    began = time.monotonic()
    assert not vacuum(url, job.table, lambda: time.monotonic() - began > 0.3)
    assert time.monotonic() - began < 2


def dead(bench: Bench) -> int:
    return int(bench.sql("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders'")[0][0])


def test_outside_of_the_allowed_hours_nothing_is_deleted_and_a_signal_ends_the_wait_at_once(
    exported: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    hour = int(time.strftime("%H", time.gmtime()))
    hours = f"{(hour + 12) % 24:02d}:00-{(hour + 13) % 24:02d}:00 UTC"
    exported.configure(purge={"mode": "delete", "allowed_hours": hours})
    asked_at: list[float] = []

    def ask() -> None:
        wait_until(lambda: any("reason=outside_hours" in record.getMessage() for record in caplog.records))
        asked_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted, match=r"(?s)Stopped by SIGTERM.*0 were deleted.*goes on from there"):
        exported.purge(only_manifest(exported))
    assert time.monotonic() - asked_at[0] < 1
    asking.join()
    assert exported.count() == 100


def test_a_prefect_variable_holds_the_purge_back_while_it_says_pause(
    purging: Any, prefect_here: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.variables import Variable

    monkeypatch.setattr("blocks.throttle.open_throttle.EVERY_S", 0.2)
    Variable.set("tidegate_brake", "pause", overwrite=True)
    with purging(pause_variable="tidegate_brake") as running:
        assert running.waits_for("pause_variable") == "the Prefect variable tidegate_brake is 'pause'"
        Variable.set("tidegate_brake", False, overwrite=True)
        assert running.receipt().deleted == 100


def test_a_purge_that_cannot_ask_prefect_waits_and_says_so(purging: Any, exported: Bench) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}),
        purging(pause_variable="brake") as running,
    ):
        assert "variable brake" in running.waits_for("pause_variable_unread")
        (exported.folder / "stop").touch()
    assert exported.count() == 100
    assert isinstance(running.ended[0], Interrupted)


def test_after_a_long_wait_the_evidence_is_looked_after_again(
    purging: Any, exported: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.purge_progress.LOOK_AGAIN_S", 0.0)
    with psycopg.connect(exported.url, autocommit=True) as busy:
        query = threading.Thread(target=lambda: busy.execute("SELECT pg_sleep(1.5)"))
        query.start()
        with purging(max_active_sessions=0) as running:
            running.waits_for("active_sessions")
            exported.lake_files()[0].unlink()
        query.join()
    assert isinstance(running.ended[0], ProofFailed)
    assert exported.count() == 100


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN old; END $$;
CREATE TRIGGER slow BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION slow()
"""


def test_a_batch_that_makes_others_wait_is_noticed_and_the_next_ones_are_smaller(purging: Any, exported: Bench) -> None:
    exported.sql(SLOW)

    def update() -> None:
        wait_until(lambda: exported.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DELETE%'") != [])
        exported.sql("UPDATE orders SET note = 'mine' WHERE id = 1")

    other = threading.Thread(target=update)
    other.start()
    with purging(batch_rows=40, min_batch_rows=5, max_lock_waits=0, triggers=["slow"]) as running:
        running.receipt()
    other.join()
    (event, *_) = running.events("purge_yields")
    assert "reason=lock_waits waiting=1 limit=0 batch_rows=" in event
    assert int(event.rpartition("=")[2]) <= 20


# Rows that others have locked


def locked_now(statement_: str, bench: Bench) -> psycopg.Connection[Any]:
    connection = psycopg.connect(bench.url)
    connection.execute(statement(statement_))
    return connection


@pytest.fixture
def impatient(exported: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The exported rows; whoever purges them waits for nobody for long."""
    monkeypatch.setattr(delete_batches, "PASSES_S", (0.05, 0.1))
    exported.configure(purge={"mode": "delete", "batch_rows": 30, "lock_timeout_s": 0.05})
    return exported


LOCKS = {
    "update": "UPDATE orders SET note = 'x' WHERE id IN (7, 55)",
    "lock": "SELECT FROM orders WHERE id IN (7, 55) FOR UPDATE",
    "shared": "SELECT FROM orders WHERE id IN (7, 55) FOR KEY SHARE",
    "in a savepoint": "SAVEPOINT one; SELECT FROM orders WHERE id IN (7, 55) FOR UPDATE",
    "after a savepoint": "SAVEPOINT one; SELECT FROM orders WHERE id IN (7, 55) FOR UPDATE; RELEASE one",
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_locked_rows_are_left_to_the_next_run_and_all_others_are_deleted(impatient: Bench, lock: str) -> None:
    began = time.monotonic()
    with locked_now(lock, impatient) as other:
        with pytest.raises(SourceUnavailable, match="2 rows are locked by others") as stopped:
            impatient.purge(only_manifest(impatient))
        # Of a savepoint that is over the server does not say whose it was.
        assert f"process {other.info.backend_pid} (user postgres, since 2" in stopped.value.what or "RELEASE" in lock
        assert is_transient(stopped.value)
        assert "98 were deleted; 2 were locked by others; 0 were not looked at" in stopped.value.state
        assert impatient.sql("SELECT id FROM orders ORDER BY id") == [(7,), (55,)]
        other.rollback()
    assert time.monotonic() - began < 5
    receipt = impatient.purge(only_manifest(impatient))
    assert (receipt.deleted, receipt.already_gone, impatient.count()) == (100, 0, 0)


def test_rows_that_several_sessions_share_are_found_by_trying(impatient: Bench) -> None:
    share = "SELECT FROM orders WHERE id IN (7, 55) FOR KEY SHARE"
    with locked_now(share, impatient) as one, locked_now(share, impatient) as two:
        with pytest.raises(SourceUnavailable, match="2 rows are locked by others"):
            impatient.purge(only_manifest(impatient))
        assert impatient.sql("SELECT id FROM orders ORDER BY id") == [(7,), (55,)]
        one.rollback()
        two.rollback()
    assert impatient.purge(only_manifest(impatient)).deleted == 100


def test_rows_whose_locks_are_given_back_meanwhile_are_deleted_in_the_same_run(purging: Any, exported: Bench) -> None:
    with (
        locked_now("UPDATE orders SET note = 'new' WHERE id IN (7, 55)", exported) as other,
        purging(lock_timeout_s=0.05) as running,
    ):
        wait_until(lambda: bool(running.events("purge_rows_locked")), running.ended)
        assert exported.count() == 2
        other.commit()
        receipt = running.receipt()
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (98, 2, 0)
    assert exported.sql("SELECT id, note FROM orders ORDER BY id") == [(7, "new"), (55, "new")]


def test_rows_that_were_once_locked_are_not_taken_for_locked(impatient: Bench) -> None:
    """What a row says of its last locker stays, also if that one was our own attempt that failed."""
    impatient.sql("SELECT FROM orders WHERE id < 50 FOR UPDATE")
    with locked_now("UPDATE orders SET note = 'x' WHERE id = 30", impatient) as other:
        with pytest.raises(SourceUnavailable, match="1 rows are locked by others"):
            impatient.purge(only_manifest(impatient))
        other.rollback()
    assert impatient.sql("SELECT id FROM orders") == [(30,)]


def test_a_lock_on_the_whole_table_ends_the_purge(impatient: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_batches, "TRIES", 2)
    with (
        locked_now("LOCK TABLE orders IN SHARE MODE", impatient),
        pytest.raises(SourceUnavailable, match=r"(?s)lock.*0 were deleted; 100 were not looked at"),
    ):
        impatient.purge(only_manifest(impatient))
    assert impatient.purge(only_manifest(impatient)).deleted == 100


def test_a_role_that_may_only_read_and_delete_leaves_locked_rows_too(impatient: Bench) -> None:
    name = f"deleter_{os.getpid()}"
    impatient.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'pw-{name}'; GRANT SELECT, DELETE ON orders TO {name}")
    owner = impatient.url
    try:
        with locked_now("UPDATE orders SET note = 'x' WHERE id = 30", impatient):
            impatient.url = owner.replace(owner[: owner.index("@")], f"postgresql://{name}:pw-{name}")
            impatient.configure()
            with pytest.raises(SourceUnavailable, match=r"1 rows are locked by others \(process \d+ \(user postgres"):
                impatient.purge(only_manifest(impatient))
    finally:
        impatient.url = owner
        impatient.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert impatient.sql("SELECT id FROM orders") == [(30,)]


# Sizes


def test_batches_grow_toward_the_target_time_and_shrink_from_it(
    exported: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    delete = PostgresDeleter.delete

    def measured(deleter: PostgresDeleter, batch: KeyBatch) -> BatchOutcome:
        sizes.append(len(batch))
        time.sleep(0.01 * len(batch))
        return delete(deleter, batch)

    monkeypatch.setattr(PostgresDeleter, "delete", measured)
    exported.configure(
        purge={"mode": "delete", "batch_rows": 2, "min_batch_rows": 1, "max_batch_rows": 100, "target_batch_s": 0.2}
    )
    assert exported.purge(only_manifest(exported)).deleted == 100
    assert sizes[0] == 2
    assert all(4 <= size <= 24 for size in sizes[4:-1]), sizes
    assert sum(sizes) == 100


# What a session leaves behind


def test_a_session_gives_its_connection_back_as_it_was(exported: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a pooler, settings and locks of a session would become those of the next one."""
    seen: dict[str, list[Any]] = {"during": [], "after": []}
    names = "'lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'enable_seqscan'"
    settings = statement(f"SELECT name FROM pg_settings WHERE source = 'session' AND name IN ({names}) ORDER BY 1")
    everything = statement("SELECT name, setting FROM pg_settings WHERE source = 'session'")
    locks = statement("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    give_back = session_module._give_back

    def looked_at(connection: psycopg.Connection[Any]) -> None:
        if connection.execute(locks).fetchone() == (1,):
            seen["during"].append([row[0] for row in connection.execute(settings)])
            give_back(connection)
            seen["after"].append((connection.execute(everything).fetchall(), connection.execute(locks).fetchone()))
        give_back(connection)

    monkeypatch.setattr(session_module, "_give_back", looked_at)
    exported.purge(only_manifest(exported))
    assert seen["during"] == [
        ["enable_seqscan", "idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"]
    ]
    assert seen["after"] == [([], (0,))]


def test_a_session_that_ends_in_a_failed_transaction_is_given_back_too(database: str) -> None:
    with pytest.raises(ConfigError), session(database) as connection:
        pid = connection.info.backend_pid
        connection.execute("BEGIN")
        connection.execute("SELECT FROM nowhere")
    with psycopg.connect(database) as other:
        assert other.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() == (0,)


# Limits that cannot be kept


def test_limits_that_cannot_be_kept_are_refused_by_name(exported: Bench) -> None:
    name = f"plain_{os.getpid()}"
    exported.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'pw-{name}'; GRANT SELECT, DELETE ON orders TO {name}")
    owner = exported.url
    exported.url = owner.replace(owner[: owner.index("@")], f"postgresql://{name}:pw-{name}")

    def refusal(**options: Any) -> str:
        exported.configure(purge={"mode": "delete", **options})
        with pytest.raises(ConfigError) as refused:
            exported.job()
        return str(refused.value)

    try:
        told = refusal(max_replica_lag_s=5, max_active_sessions=9)
        assert "archives[orders].purge.max_replica_lag_s and max_active_sessions" in told
        assert f'GRANT pg_read_all_stats TO "{name}"' in told
        assert "archive_mode is off" in refusal(max_unarchived_wal_files=8)
        assert "GRANT MAINTAIN" in refusal(vacuum="end")
        assert "autovacuum begins at 5" in refusal(max_dead_tuples=40)
        exported.configure(purge={"mode": "delete", "max_dead_tuples": 4000, "max_lock_waits": 0})
        exported.job()
    finally:
        exported.url = owner
        exported.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")
    exported.sql("ALTER TABLE orders SET (autovacuum_enabled = off)")
    assert "autovacuum never looks after" in refusal(max_dead_tuples=4000)
    exported.configure(purge={"mode": "delete", "max_dead_tuples": 40, "vacuum": "between", "max_active_sessions": 9})
    exported.job()
