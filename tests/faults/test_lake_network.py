"""S3 fails in the middle of a run: nothing is deleted that is not there, and the next run does the rest."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs
from oracle import Oracle
from service_bench import Bench
from service_seaweedfs import SeaweedFS
from service_shortcuts import shortcuts
from service_tcp_proxy import SLOW_DOWN, Fault, TcpProxy

from blocks import s3_lake
from blocks.s3_access import S3Access
from schemas.errors import LakeError, LakeUnavailable, ProofFailed
from tasks.purge import purge

ROWS = 30
# What a run asks of the store, one after the other.
DATA, MANIFEST, RECEIPT = (rf"^PUT \S+{part}" for part in (r"\.parquet", "/manifests/", "/receipts/"))
READ = r"^GET \S+\.parquet"
FOREVER = 10_000
MAKE_FILE_SYSTEM = S3Access.file_system
OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\n\r\n"  # fmt: skip


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with shortcuts():
        yield


@pytest.fixture(scope="module")
def way_to_s3(s3_server: SeaweedFS) -> Iterator[tuple[TcpProxy, s3fs.S3FileSystem]]:
    """A proxy, and a file system that reaches the store through it and does not try twice."""
    with TcpProxy(s3_server.port) as proxy:
        yield proxy, file_system(s3_server, proxy, attempts=1)


def file_system(server: SeaweedFS, proxy: TcpProxy, attempts: int) -> s3fs.S3FileSystem:
    """Return a file system as Tidegate makes it, but for the waiting."""
    config = {"read_timeout": 0.7, "retries": {"total_max_attempts": attempts, "mode": "standard"}}
    return MAKE_FILE_SYSTEM(server.access(endpoint_url=f"http://127.0.0.1:{proxy.port}", config=config))


@pytest.fixture
def proxy(
    bench: Bench,
    way_to_s3: tuple[TcpProxy, s3fs.S3FileSystem],
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> TcpProxy:
    """Between the project and its lake, a prefix of its own on S3."""
    bench.fill_orders(ROWS)
    bench.settings = {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}"}
    bench.configure()
    proxy, files = way_to_s3
    proxy.plan()
    monkeypatch.setattr(S3Access, "file_system", lambda access: files)  # one for all: to make one takes a while
    return proxy


def finishes(bench: Bench, oracle: Oracle) -> None:
    """Run again: nothing is left in the source, and the receipt adds up."""
    oracle.check()
    bench.run("again")
    assert bench.count() == 0
    assert oracle.check() == ROWS
    (generation,) = bench.generations()
    receipt = generation.receipts[-1]
    assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone == ROWS


def test_faults_that_pass_are_not_noticed(
    bench: Bench, proxy: TcpProxy, s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each in one run: each request is sent again, and a write that was carried out is known for ours."""
    files = file_system(s3_server, proxy, attempts=3)
    monkeypatch.setattr(S3Access, "file_system", lambda access: files)
    oracle = Oracle(bench)
    faults = (
        Fault("answer", on=DATA, answer=SLOW_DOWN),
        Fault("cut", on="PAR1"),
        Fault("lose_answer", on=MANIFEST),
        Fault("answer", on=READ, answer=SLOW_DOWN),
        Fault("lose_answer", on=READ),
        Fault("stall", on=READ),
        Fault("lose_answer", on=RECEIPT),
    )
    before = proxy.done
    proxy.plan(*faults)
    report = bench.run()
    assert proxy.done - before == len(faults)
    assert (report.totals["archived"], report.totals["deleted"]) == (ROWS, ROWS)
    assert oracle.check() == ROWS
    assert len(bench.generations()) == 1


@pytest.mark.parametrize(
    ("fault", "left", "told"),
    [
        (Fault("answer", on=DATA, answer=SLOW_DOWN), ROWS, "overloaded or unwell"),
        (Fault("cut", on="PAR1"), ROWS, "does not answer"),
        (Fault("answer", on=DATA, answer=OK), ROWS, "None are there"),
        (Fault("answer", on=MANIFEST, answer=SLOW_DOWN), ROWS, "overloaded or unwell"),
        (Fault("stall", on=READ), ROWS, "does not answer"),
        (Fault("answer", on=RECEIPT, answer=SLOW_DOWN), 0, "overloaded or unwell"),
    ],
    ids=["data 503", "data cut off", "data not kept", "manifest 503", "proof stalls", "receipt 503"],
)
def test_a_fault_that_stays_fails_the_window_and_the_next_run_does_it(
    bench: Bench, proxy: TcpProxy, fault: Fault, left: int, told: str
) -> None:
    oracle = Oracle(bench)
    proxy.plan(replace(fault, times=FOREVER))
    (window,) = bench.failed_run().windows
    error = str(window.error)
    assert told in error and "State: " in error and "Next: " in error
    assert bench.count() == left
    proxy.plan()
    finishes(bench, oracle)
    ((receipt,),) = [generation.receipts for generation in bench.generations()]
    # Deleted, and no receipt: the next run finds the rows gone, and says that a purge had begun before it.
    assert (receipt.deleted, receipt.already_gone, receipt.interrupted_before) == (left, ROWS - left, int(not left))


@pytest.mark.parametrize("request_line", [MANIFEST, DATA])
def test_a_store_that_takes_a_write_and_falls_silent_is_given_up(
    bench: Bench, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch, request_line: str
) -> None:
    """The client waits without end to be told to send the body. Nothing was written, which one look tells."""
    monkeypatch.setattr(s3_lake, "ANSWER_S", 2.0)
    oracle = Oracle(bench)
    proxy.plan(Fault("stall", on=request_line))
    (window,) = bench.failed_run().windows
    assert "does not answer" in str(window.error)
    assert bench.generations() == []
    finishes(bench, oracle)


def test_a_store_that_refuses_connections_is_found_before_anything_is_exported(
    bench: Bench, proxy: TcpProxy, s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = file_system(s3_server, proxy, attempts=1)  # one that has no connection yet
    monkeypatch.setattr(S3Access, "file_system", lambda access: files)
    oracle = Oracle(bench)
    proxy.plan(refuse=True)
    with pytest.raises(LakeUnavailable, match="does not answer") as refused:
        bench.run()
    assert refused.value.state and "resumes" in refused.value.next_step
    proxy.plan(delay_s=0.003)
    finishes(bench, oracle)


@pytest.mark.parametrize("damage", ["file gone", "file cut short", "files swapped", "manifest cut short"])
def test_what_changes_in_the_lake_between_commit_and_proof_keeps_its_rows(bench: Bench, damage: str) -> None:
    bench.fill_orders(ROWS)
    bench.configure(file_max_rows=ROWS // 2)
    oracle = Oracle(bench)
    bench.run("export", purging=False)
    (generation,) = bench.generations()
    one, other = (bench.folder / "lake" / path for path in generation.files)
    manifest = bench.folder / "lake" / generation.manifest.path
    kept = {path: path.read_bytes() for path in (one, other, manifest)}
    damage_files(damage, one, other, manifest)
    try:
        report = bench.failed_run()
    except ProofFailed as error:
        assert damage == "manifest cut short" and manifest.name in error.what and error.next_step
    else:
        assert report.exit_code == 3
        assert one.name in str(report.windows[0].error)
        assert "its rows are in the source" in str(report.windows[0].error)
    assert bench.count() == ROWS
    for path, content in kept.items():
        path.write_bytes(content)
    finishes(bench, oracle)


@pytest.mark.parametrize("damage", ["file gone", "file cut short", "manifest gone", "manifest cut short"])
def test_what_changes_in_the_lake_between_proof_and_purge_keeps_its_rows(bench: Bench, damage: str) -> None:
    """Between them may lie hours: a lock, a wait for the time of day, or for a replica."""
    bench.fill_orders(ROWS)
    bench.configure(file_max_rows=ROWS // 2)
    bench.export()
    (generation,) = bench.generations()
    verified = bench.prove(generation.manifest.path)
    one, other = (bench.folder / "lake" / path for path in generation.files)
    damage_files(damage, one, other, bench.folder / "lake" / generation.manifest.path)
    with pytest.raises(ProofFailed) as refused:
        purge(verified, bench.job(), "run")
    assert refused.value.state and "tidegate verify" in refused.value.next_step
    assert bench.count() == ROWS


def test_what_vanishes_from_s3_between_proof_and_purge_keeps_its_rows(bench: Bench, proxy: TcpProxy) -> None:
    bench.export()
    (generation,) = bench.generations()
    verified = bench.prove(generation.manifest.path)
    proxy.plan(Fault("answer", on=r"^HEAD \S+\.parquet", answer=SLOW_DOWN, times=FOREVER))
    with pytest.raises(LakeError, match="overloaded"):
        purge(verified, bench.job(), "run")
    proxy.plan()
    bench.lake.delete(generation.files)
    with pytest.raises(ProofFailed, match="no file"):
        purge(verified, bench.job(), "run")
    assert bench.count() == ROWS


def damage_files(damage: str, one: Path, other: Path, manifest: Path) -> None:
    match damage:
        case "file gone":
            one.unlink()
        case "file cut short":
            one.write_bytes(one.read_bytes()[:-1])
        case "files swapped":
            content = one.read_bytes()
            one.write_bytes(other.read_bytes())
            other.write_bytes(content)
        case "manifest gone":
            manifest.unlink()
        case "manifest cut short":
            manifest.write_bytes(manifest.read_bytes()[:-1])
