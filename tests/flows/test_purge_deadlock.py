"""A batch that PostgreSQL ends to break a deadlock is tried again: the user's transaction wins, and no row is lost."""

import logging
import threading
import time

import psycopg
import pytest
from oracle import Oracle
from service_bench import Bench


def test_a_batch_that_is_the_victim_of_a_deadlock_comes_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate")
    bench.fill_orders(40)
    bench.configure(purge={"mode": "delete", "batch_rows": 40, "lock_timeout_s": 20, "statement_timeout_s": 60})
    bench.run(purging=False)
    oracle = Oracle(bench)
    ended: list[object] = []
    with psycopg.connect(bench.url) as user:
        user.execute("SET deadlock_timeout = '60s'")  # so that it is the purge that looks, and ends itself
        user.execute("UPDATE orders SET note = 'changed' WHERE id = 30")
        purge = threading.Thread(target=lambda: ended.append(bench.run("purge")))
        purge.start()
        until = time.monotonic() + 20
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while bench.sql(waiting) == [(0,)] and time.monotonic() < until:
            time.sleep(0.01)
        user.execute("UPDATE orders SET note = 'changed' WHERE id = 1")  # which the batch has deleted, or so it thinks
        with oracle.user_acts():
            user.commit()
    purge.join(60)
    assert ended, "the purge did not come to its end"
    assert "deadlock detected" in caplog.text
    assert bench.sql("SELECT id FROM orders ORDER BY 1") == [(1,), (30,)], "they had changed"
    assert bench.run("again").totals["deleted"] == 2
    assert oracle.check() == 42
