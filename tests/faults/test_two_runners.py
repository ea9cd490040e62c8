"""Two archivers on one table: one is refused, or both do their part, and no row is archived twice or lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from oracle import Oracle
from service_bench import Bench
from service_zygote import Zygote

from blocks.open_source import source_of
from blocks.progress import Progress, listening
from schemas.errors import Busy, SourceUnavailable
from tasks.export import export_window
from tasks.purge import purge
from tasks.remove_orphans import remove_orphans

FEWEST_ROUNDS, MOST_ROUNDS = 2, 10
REFUSED = ("Another archiver works on", "Another run took over")


def test_two_processes_at_once_lose_no_row_and_archive_none_twice(bench: Bench, tmp_path: Path) -> None:
    bench.fill_orders(0)
    bench.configure(purge={"mode": "delete", "batch_rows": 10})
    oracle = Oracle(bench)
    rounds = refused = 0
    with Zygote(tmp_path / "one") as one, Zygote(tmp_path / "other") as other, ThreadPoolExecutor(2) as pool:
        while rounds < FEWEST_ROUNDS or (not refused and rounds < MOST_ROUNDS):
            oracle.write(
                "INSERT INTO orders SELECT g + $1, '2024-01-01'::timestamptz + g * interval '12 hours', 's', g, NULL, "
                "NULL FROM generate_series(1, 90) g",
                rounds * 1000,
            )
            rounds += 1
            running = [
                pool.submit(zygote.run, "archive", archive="orders", config_dir=str(bench.config_dir))
                for zygote in (one, other)
            ]
            for outcome in (run.result() for run in running):
                if outcome.exit_code:
                    assert any(text in outcome.printed for text in REFUSED), outcome.printed
                    refused += 1
            oracle.check()
        assert refused, "the two never met"
        assert one.run("archive", archive="orders", config_dir=str(bench.config_dir)).exit_code == 0
    assert bench.count() == 0
    assert oracle.check() == 90 * rounds
    receipts = [receipt for generation in bench.generations() for receipt in generation.receipts]
    assert all(r.archived == r.deleted + r.changed_since + r.already_gone for r in receipts)


def end_archivers(bench: Bench) -> None:
    """End the connections that hold an archiver's lock, as an administrator or a failover would."""
    ended = bench.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert ended == [(True,)]


def take_over(bench: Bench) -> None:
    """Do what another runner does that finds the lock free: clean up, archive, purge."""
    job = bench.job()
    with source_of(job).locked(job.table):
        remove_orphans(bench.lake, bench.ledger)
        bench.export(job)
    for generation in bench.generations():
        bench.purge(generation.manifest.path)


def test_an_export_that_lost_its_lock_commits_nothing_that_another_has_committed(bench: Bench) -> None:
    """It has read its rows and stored none of them yet, so that nobody can know of it."""
    bench.fill_orders(100)
    oracle = Oracle(bench)
    job, (planned,) = bench.job(), bench.plan().windows

    lost: list[Progress] = []

    def lose_lock(progress: Progress) -> None:
        if progress.phase == "export" and not lost:
            lost.append(progress)
            end_archivers(bench)
            take_over(bench)

    with source_of(job).locked(job.table), listening(lose_lock), pytest.raises(Busy, match="took over generation 1"):
        export_window(job, planned.window, planned.earlier, "slow")
    assert oracle.check() == 100
    assert (bench.count(), len(bench.generations())) == (0, 1)
    bench.run("again")
    assert oracle.check() == 100


def test_an_export_whose_window_was_archived_since_it_was_planned_is_refused(bench: Bench) -> None:
    bench.fill_orders(100)
    oracle = Oracle(bench)
    job, (planned,) = bench.job(), bench.plan().windows
    take_over(bench)
    with pytest.raises(Busy, match="took over generation 1"):
        export_window(job, planned.window, planned.earlier, "slow")
    assert oracle.check() == 100


def test_an_export_that_is_tried_again_after_its_commit_is_done(bench: Bench) -> None:
    """What Prefect does when the answer to the last request was lost."""
    bench.fill_orders(100)
    oracle = Oracle(bench)
    job, (planned,) = bench.job(), bench.plan().windows
    first = export_window(job, planned.window, planned.earlier, "run")
    again = export_window(job, planned.window, planned.earlier, "run")
    assert (again.manifest, again.rows, again.generation) == (first.manifest, 100, 1)
    assert oracle.check() == 200  # in the source and in the lake


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_purge_that_lost_its_lock_deletes_no_more_while_another_takes_over(bench: Bench, batches: int) -> None:
    """The lock lives on the connection that deletes: the server takes both away together."""
    bench.configure(purge={"mode": "delete", "batch_rows": 20})
    bench.fill_orders(100)
    oracle = Oracle(bench)
    bench.export()
    (generation,) = bench.generations()
    slow = bench.prove(generation.manifest.path)
    if batches == 0:
        oracle.write("UPDATE orders SET note = 'changed' WHERE id <= 5")

    def lose_lock(progress: Progress) -> None:
        if progress.phase == "purge" and progress.rows == 20 * max(batches, 1) and not lost:
            lost.append(progress.rows)
            end_archivers(bench)
            take_over(bench)

    lost: list[int] = []
    with listening(lose_lock), pytest.raises(SourceUnavailable, match=r"terminating connection|closed") as failure:
        purge(slow, bench.job(), "slow")
    assert f"{lost[0] - (5 if batches == 0 else 0)} were deleted" in failure.value.state
    assert oracle.check() >= 100
    bench.run("again")
    assert bench.count() == 0
    oracle.check()
    for generation in bench.generations():
        for receipt in generation.receipts:
            assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone
