"""The network between Tidegate and its source fails: no row is lost, the error is clear, the next run does the rest."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from oracle import Oracle
from service_bench import Bench
from service_tcp_proxy import Fault, TcpProxy

from blocks.dialects.postgresql import deleter
from blocks.dialects.postgresql.session import ALIVE
from blocks.dialects.postgresql.snapshot import held_snapshot
from blocks.dialects.postgresql.stream import stream
from blocks.open_source import source_of
from blocks.progress import Progress, listening
from blocks.source import Slice
from schemas.column_plan import Column, Kind
from schemas.errors import SourceUnavailable, is_transient

ROWS = 60  # of one window, in three batches


@pytest.fixture
def proxy(bench: Bench) -> Iterator[TcpProxy]:
    """Between the project and its source; `bench.sql` and the oracle go on to reach the source directly."""
    bench.fill_orders(ROWS)
    with TcpProxy(int(_port(bench.url))) as proxy:
        through(proxy, bench)
        yield proxy


def through(proxy: TcpProxy, bench: Bench, **purge: float) -> None:
    """Let the project reach its source through the proxy."""
    direct = bench.url
    bench.url = direct.replace(f":{_port(direct)}/", f":{proxy.port}/")
    bench.configure(purge={"mode": "delete", "batch_rows": 20, "max_batch_rows": 20, "statement_timeout_s": 5, **purge})
    bench.url = direct


def _port(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["port"])


def finishes(bench: Bench, oracle: Oracle) -> None:
    """Run again: nothing is left in the source, every receipt adds up, and a further run changes nothing."""
    bench.run("again")
    assert bench.count() == 0
    assert oracle.check() == ROWS
    for generation in bench.generations():
        receipt = generation.receipts[-1]
        assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone
    before = bench.records()
    bench.run("a third time")
    assert bench.records() == before


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault("cut", on="DELETE FROM", skip=1), 40),
        (Fault("lose_answer", on="DELETE FROM", skip=1), 40),
        (Fault("cut", on="COMMIT", skip=1), 40),
        (Fault("lose_answer", on="COMMIT", skip=1), 20),
        (Fault("lose_answer", on="COMMIT", skip=2), 0),
    ],
    ids=["mid DELETE", "after DELETE", "mid COMMIT", "after COMMIT", "after the last COMMIT"],
)
def test_a_batch_that_is_cut_off_is_accounted_for_by_the_next_run(
    bench: Bench, proxy: TcpProxy, fault: Fault, left: int
) -> None:
    """After a COMMIT was sent and before its answer came, nobody can tell what became of the batch. The keys can."""
    oracle = Oracle(bench)
    bench.run("export", purging=False)
    proxy.plan(fault)
    (window,) = bench.failed_run().windows
    assert proxy.done == 1
    known = 20 * fault.skip
    assert f"Of {ROWS} proven rows" in str(window.error) and f"{known} were deleted" in str(window.error)
    assert "goes on from there" in str(window.error)
    assert bench.count() == left
    oracle.check()
    finishes(bench, oracle)
    ((receipt,),) = [generation.receipts for generation in bench.generations()]
    unknown = ROWS - left - known
    assert (receipt.deleted, receipt.already_gone) == (ROWS - unknown, unknown)


@pytest.mark.parametrize("after_bytes", [3_000, 300_000], ids=["before the first row", "among the rows"])
def test_a_connection_cut_in_mid_export_commits_nothing_and_the_next_run_does_it(
    bench: Bench, proxy: TcpProxy, after_bytes: int
) -> None:
    bench.sql("UPDATE orders SET note = repeat('x', 20000)")
    oracle = Oracle(bench)
    # What is sent to the connections that plan and count comes to less than a tenth of that.
    proxy.plan(Fault("cut", after_bytes=after_bytes, times=9))
    try:
        report = bench.failed_run()
    except SourceUnavailable as error:
        assert after_bytes == 3_000 and is_transient(error) and error.next_step
    else:
        assert "Nothing of this window was committed" in str(report.windows[0].error)
    assert proxy.done >= 1
    assert (bench.generations(), bench.ledger.orphans(), bench.count()) == ([], [], ROWS)
    proxy.plan()
    finishes(bench, oracle)


def test_a_source_that_refuses_connections_is_told_from_a_wrong_one(bench: Bench, proxy: TcpProxy) -> None:
    oracle = Oracle(bench)
    proxy.plan(refuse=True)
    with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{proxy.port}") as refused:
        bench.run()
    assert "it resumes" in refused.value.next_step
    proxy.plan()
    finishes(bench, oracle)


def test_a_source_that_goes_away_between_export_and_purge_keeps_its_rows(bench: Bench, proxy: TcpProxy) -> None:
    oracle = Oracle(bench)

    def refuse(progress: Progress) -> None:
        if progress.phase == "export":
            proxy.plan(refuse=True)

    with listening(refuse):
        (window,) = bench.failed_run().windows
    assert "refused" in str(window.error) and "it resumes" in str(window.error)
    assert (window.archived, bench.count()) == (ROWS, ROWS)
    proxy.plan()
    finishes(bench, oracle)


def test_a_source_that_falls_silent_in_a_batch_is_given_up(
    bench: Bench, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection looks alive, so no keepalive ends the waiting. The DELETE was carried out, and rolled back."""
    monkeypatch.setattr(deleter, "ANSWER_S", 0.3)
    through(proxy, bench, statement_timeout_s=0.2)
    oracle = Oracle(bench)
    bench.run("export", purging=False)
    proxy.plan(Fault("stall", on="DELETE FROM", skip=1))
    (window,) = bench.failed_run().windows
    assert "did not answer within 0.9 s" in str(window.error) and "20 were deleted" in str(window.error)
    assert "goes on from there" in str(window.error)
    oracle.check()
    finishes(bench, oracle)


def test_a_purge_that_was_left_in_mid_batch_gives_its_locks_back(bench: Bench) -> None:
    """Its machine is gone and says no goodbye: the server ends the session, and with it the locks on users' rows."""
    bench.fill_orders(ROWS)
    bench.configure(purge={"mode": "delete", "statement_timeout_s": 0.1})
    bench.export()
    (generation,) = bench.generations()
    manifest, job = generation.manifest, bench.job()
    gone = pytest.raises(SourceUnavailable, match="idle-in-transaction")
    with gone, source_of(job).locked(job.table) as session:
        session.deleter(job, manifest)
        with session.transaction():
            session.count(job, Slice(manifest.window))
            time.sleep(0.3)
            session.count(job, Slice(manifest.window))
    assert bench.run("again").totals["deleted"] == ROWS


def test_every_connection_notices_within_a_minute_that_the_other_end_is_gone(bench: Bench) -> None:
    """What a network that swallows everything would show, in a minute: connectorx by itself would wait two hours."""
    port = int(_port(bench.url))
    others = {end.getsockname() for end in connections_to(port)}
    with held_snapshot(bench.url) as held:
        column = Column(name="n", source_type="integer", base_type="int4", kind=Kind.INTEGER, bits=32)
        query = "SELECT g FROM generate_series(1, 1000000) g"
        rows = stream(bench.url, query, (column,), key=(), snapshot=held.id, batch_rows=8192)
        next(rows)
        ends = [end for end in connections_to(port) if end.getsockname() not in others]
        assert len(ends) == 2
        for option, value in {
            socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3, socket.TCP_USER_TIMEOUT: 60_000
        }.items():  # fmt: skip
            assert {end.getsockopt(socket.IPPROTO_TCP, option) for end in ends} == {value}
        assert {end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for end in ends} == {1}
        rows.close()  # type: ignore[attr-defined]
        told = [held.connection.execute(f"SHOW {name}").fetchone() for name in ALIVE]
    assert told == [("30",), ("10",), ("3",), ("60000",)]


def connections_to(port: int) -> list[socket.socket]:
    """Return this process's own connections to a port on this machine, as duplicates."""
    ends = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # no socket, or not connected
            end = socket.socket(fileno=os.dup(int(entry.name)))
            if end.getpeername() == ("127.0.0.1", port):
                ends.append(end)
    return ends


def test_latency_changes_nothing_but_the_time(bench: Bench, proxy: TcpProxy) -> None:
    oracle = Oracle(bench)
    proxy.plan(delay_s=0.01)
    assert bench.run().totals["deleted"] == ROWS
    assert oracle.check() == ROWS
