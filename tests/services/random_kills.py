"""Runs that are killed at any moment whatever, while users write, and an oracle that looks after each."""

import os
import random
import select
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import Self

# All that a run imports, before the fork: it takes longer than a run, and most kills would hit it.
import connectorx  # noqa: F401
import numpy as np
import psycopg
import pyarrow as pa
from oracle import Oracle
from service_bench import FILL_ORDERS, ORDERS, Bench

import blocks.dialects.postgresql.partitions
import blocks.dialects.postgresql.source
import blocks.throttle.limit  # noqa: F401
from tasks.audit import audit

SCOPE = "placed_at >= '2024-01-01' AND placed_at < '2024-04-01' AND shop IS DISTINCT FROM 'shop 2'"
ROWS = 240
SETTLE_S = 20.0  # for the database to notice that a client died
HANGS_S = 120.0
NEW_ID = "(SELECT coalesce(max(id), 0) FROM orders)"
WRITES = (
    "INSERT INTO orders SELECT {new} + g, '2023-12-20'::timestamptz + ({r} + g) * interval '17 hours', "
    "'shop ' || g % 3, g, 'new', NULL FROM generate_series(1, 120) g ON CONFLICT DO NOTHING",
    "INSERT INTO orders SELECT {r} + g * {m}, '2024-02-01'::timestamptz + g * interval '1 day', 'shop 1', {new}, "
    "'again', NULL FROM generate_series(1, 60) g ON CONFLICT DO NOTHING",
    "UPDATE orders SET note = note || '{r}', amount = amount + 1 WHERE id % {m} = {r}",
    "UPDATE orders SET placed_at = placed_at + interval '31 days' WHERE id % {m} = {r}",
    "UPDATE orders SET note = note WHERE id % 2 = {r} % 2",  # another version, with the values that are archived
    "WITH gone AS (DELETE FROM orders WHERE id % {m} = {r} RETURNING *) INSERT INTO moved SELECT * FROM gone; "
    "INSERT INTO orders SELECT * FROM moved; DELETE FROM moved",
    "DELETE FROM orders WHERE id % {m} = {r}",
)


class Forks:
    """Runs of a bench in forked processes, each ended by SIGKILL after some time.

    Made before this process does anything else: what it forks must have inherited no threads at work.
    """

    def __init__(self, bench: Bench) -> None:
        pa.array(np.zeros(1))  # the first array of NumPy makes PyArrow import pandas
        (requests, self._ask), (self._answer, answers) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ask)
            os.close(self._answer)
            _serve(bench, requests, answers)
        os.close(requests)
        os.close(answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._ask)
        os.waitpid(self._pid, 0)

    def start(self, after_s: float) -> None:
        """Start a run that is killed after some time if it has not come to its end by then."""
        os.write(self._ask, f"{after_s}\n".encode())

    def result(self) -> tuple[int, float]:
        """Wait for the run and return its exit code (negative: the signal that ended it) and its seconds."""
        code, seconds = os.read(self._answer, 100).decode().split()
        return int(code), float(seconds)


def _serve(bench: Bench, requests: int, answers: int) -> None:
    with os.fdopen(requests) as lines:
        for line in lines:
            started = time.monotonic()
            child = os.fork()
            if child == 0:
                _live(bench)
            handle = os.pidfd_open(child)
            if not select.select([handle], [], [], float(line))[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            os.close(handle)
            os.write(answers, f"{os.waitstatus_to_exitcode(status)} {time.monotonic() - started}\n".encode())
    os._exit(0)


def _live(bench: Bench) -> None:
    code = 1
    try:
        bench.run()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent's stack is not to go on here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class KilledRuns:
    """One table and one lake, and runs on them that are killed; everything is made anew now and then.

    Attributes:
        kills: Runs that were killed.
        survived: Runs that came to their end before they were.
        rows_written: Row versions that users wrote.
        rows_archived: Row versions in the lake.
    """

    def __init__(self, bench: Bench, forks: Forks, seed: int) -> None:
        self._bench, self._forks, self._random = bench, forks, random.Random(seed)
        self._run_s = 0.0  # how long a run takes
        self.kills = self.survived = self.rows_written = self.rows_archived = 0

    def act(self, kills: int) -> None:
        """Kill so many runs, and look after each that nothing is lost, doubled, or touched out of scope.

        Raises:
            AssertionError: Something is.
        """
        shutil.rmtree(self._bench.folder / "lake", ignore_errors=True)
        self._bench.sql("DROP TABLE IF EXISTS orders, moved")
        self._bench.sql(ORDERS)
        self._bench.sql("CREATE TABLE moved (LIKE orders)")
        self._bench.sql(FILL_ORDERS, ROWS)
        oracle = Oracle(self._bench, scope=SCOPE)
        wanted = self.kills + kills
        while self.kills < wanted:
            # Now and then to its end: how long that takes changes with the machine's other work.
            to_its_end = self._run_s == 0 or self._random.random() < 0.1
            self._forks.start(HANGS_S if to_its_end else self._random.uniform(0, self._run_s))
            for _ in range(self._random.randrange(3)):
                time.sleep(self._random.uniform(0, self._run_s / 3))
                self._write(oracle)
            self._ended()
            oracle.check()
            self._write(oracle)
        self._come_to_an_end(oracle)

    def _write(self, oracle: Oracle) -> None:
        modulus = self._random.randint(5, 40)
        query = self._random.choice(WRITES)
        remainder = self._random.randrange(modulus)
        with suppress(psycopg.errors.SerializationFailure, psycopg.errors.UniqueViolation):
            oracle.write(query.format(m=modulus, r=remainder, new=NEW_ID))

    def _ended(self) -> None:
        """Wait until the run has ended, in whatever way, and the database has noticed."""
        code, seconds = self._forks.result()
        assert code in (0, -signal.SIGKILL), f"the run ended with {code}"
        self.kills += code != 0
        self.survived += code == 0
        if code == 0:
            self._run_s = (self._run_s or seconds) * 0.5 + seconds * 0.5
        until = time.monotonic() + SETTLE_S
        while self._bench.sql(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tidegate' AND datname = current_database()"
        ):
            assert time.monotonic() < until, "a connection of a dead process is still there"
            time.sleep(0.005)

    def _come_to_an_end(self, oracle: Oracle) -> None:
        """Run without a kill: everything in scope is in the lake then, and nothing else is to be said of it."""
        self._forks.start(HANGS_S)
        code, _ = self._forks.result()
        assert code == 0, f"the last run ended with {code}"
        oracle.check()
        left = [version for version, inside in oracle.source().items() if inside]
        assert not left, f"{len(left)} rows in scope are still in the source"
        report = audit(self._bench.config_dir)
        assert not report.findings, report.findings
        self.rows_written += len(oracle.written)
        self.rows_archived += report.totals["rows"]
