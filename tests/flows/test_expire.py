"""Retention of archived data: generations leave the lake when their windows are over, unless they have to stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_bench import Bench

from schemas.errors import ConfigError, ProofFailed
from schemas.expiry import ExpiryReport
from tasks.audit import audit
from tasks.erase import ErasureRequest, erase_rows
from tasks.expire import expire_windows
from tasks.purge import purge
from tasks.views import open_views

MARCH = datetime(2029, 3, 5, tzinfo=UTC)  # five years and some days after March 2024


@pytest.fixture
def kept(bench: Bench) -> Bench:
    """300 orders of January to April 2024, archived and purged, to be kept for five years."""
    bench.configure(retention="5 years")
    bench.fill_orders(300)
    bench.run()
    return bench


def expire(bench: Bench, *, dry_run: bool = False, without_source: bool = False, now: datetime = MARCH) -> ExpiryReport:
    return expire_windows(
        bench.project, bench.project.archives[0], "run", dry_run=dry_run, without_source=without_source, now=now
    )


def outcomes(report: ExpiryReport) -> list[str]:
    return [one.outcome.value for one in report.generations]


def first_day(bench: Bench) -> str:
    with open_views(bench.lake, bench.project.settings) as connection:
        return str(connection.execute("SELECT min(placed_at)::date FROM orders").fetchall()[0][0])


def assert_sound(bench: Bench) -> None:
    report = audit(bench.config_dir, "orders")
    assert (report.findings, report.datasets[0].orphans) == ((), ())


def test_windows_that_ended_before_the_retention_leave_the_lake_and_the_audit_agrees(kept: Bench) -> None:
    before = kept.records()
    planned = expire(kept, dry_run=True)
    assert (planned.state, outcomes(planned), kept.records()) == ("planned", ["expired", "expired"], before)
    report = expire(kept)
    assert report.totals["rows"] == planned.totals["rows"] == 199
    assert first_day(kept) == "2024-03-01"
    assert len([path for path in kept.records() if path.endswith(".parquet")]) == 1
    assert_sound(kept)
    assert expire(kept).generations == ()
    kept.run()
    assert_sound(kept)


def test_a_window_expires_when_all_of_it_is_old_enough_in_the_projects_time_zone(bench: Bench) -> None:
    bench.settings = {"timezone": "Europe/Berlin"}
    bench.configure(retention="5 years")
    bench.fill_orders(100)
    bench.run()
    end = datetime(2024, 1, 31, 23, tzinfo=UTC)  # of January in Berlin
    too_early = end.replace(year=2029) - timedelta(seconds=1)
    assert outcomes(expire(bench, dry_run=True, now=too_early)) == []
    assert outcomes(expire(bench, dry_run=True, now=too_early + timedelta(seconds=1))) == ["expired"]


def test_without_a_retention_nothing_expires(kept: Bench) -> None:
    kept.configure(retention=None)
    assert expire(kept, now=datetime(2099, 1, 1, tzinfo=UTC)).generations == ()
    assert kept.lake_rows("count(*)", "1") == [(300,)]


def test_what_was_not_purged_stays_as_long_as_the_source_holds_rows_of_its_window(bench: Bench) -> None:
    bench.configure(retention="5 years", purge=None)
    bench.fill_orders(200)
    bench.run(purging=False)
    assert outcomes(expire(bench)) == ["in_source", "in_source"]
    bench.sql("DELETE FROM orders WHERE placed_at < '2024-02-01 00:00+00'")
    assert outcomes(expire(bench, dry_run=True, without_source=True)) == ["in_source", "in_source"]
    assert outcomes(expire(bench)) == ["expired", "in_source"]
    bench.run(purging=False)
    assert bench.count() + 103 == 200
    assert_sound(bench)


def test_rows_restored_into_the_source_are_archived_anew_and_not_deleted_by_what_expired(kept: Bench) -> None:
    kept.sql("INSERT INTO orders SELECT 1, '2024-01-05', 'shop', 1, 'again', '{}'")
    verified = kept.prove(kept.generations()[0].manifest.path)
    assert outcomes(expire(kept)) == ["expired", "expired"]
    with pytest.raises(ProofFailed, match="removed from the lake on purpose"):
        purge(verified, kept.job(), "run")
    assert kept.count() == 1
    kept.run()
    assert (kept.count(), first_day(kept)) == (0, "2024-01-05")
    assert outcomes(expire(kept)) == ["expired"]
    assert_sound(kept)


def test_quarantined_rows_stay_as_long_as_they_are_in_the_source(
    bench: Bench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "expiry_gate.py").write_text(
        "import pandera.polars as pa\n\nclass Orders(pa.DataFrameModel):\n    id: int = pa.Field(ge=20)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bench.configure(retention="5 years", gate="expiry_gate:Orders", on_gate_failure="quarantine")
    bench.fill_orders(100)
    bench.run()
    assert expire(bench).totals["quarantined"] == 0
    assert_sound(bench)
    bench.run()
    bench.sql("TRUNCATE orders")
    assert expire(bench).totals["quarantined"] == 19
    assert [path for path in bench.records() if path.endswith(".parquet")] == []
    assert_sound(bench)
    bench.run()


def test_a_generation_with_a_row_under_legal_hold_stays_whole(kept: Bench) -> None:
    kept.configure(holds=[{"name": "case-9", "keys": ["17"]}, {"name": "tax", "where": "shop = 'shop 7'"}])
    report = expire(kept)
    assert [(one.outcome.value, one.held_by) for one in report.generations] == [("held", ("case-9",)), ("expired", ())]
    assert first_day(kept) == "2024-01-01"
    kept.configure(holds=None)
    assert outcomes(expire(kept)) == ["expired"]
    assert first_day(kept) == "2024-03-01"


@pytest.mark.parametrize("where", ["shoe = 'x'", "shop", "true; DROP TABLE orders", "id IN (SELECT 1)"])
def test_nothing_expires_while_a_hold_cannot_be_read(kept_once: Bench, where: str) -> None:
    kept_once.configure(holds=[{"name": "tax", "where": where}])
    before = kept_once.records()
    with pytest.raises(ConfigError, match=r"holds\[tax\]") as refused:
        expire(kept_once)
    assert refused.value.state == "Nothing left the lake."
    assert kept_once.records() == before


@pytest.fixture(scope="module")
def kept_once(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(shared_database, tmp_path_factory.mktemp("kept") / "project")
    bench.configure(retention="5 years")
    bench.fill_orders(50)
    bench.run()
    return bench


def test_old_copies_of_erased_rows_leave_when_their_grace_is_over(kept: Bench) -> None:
    kept.configure(retention=None)
    erase_rows(kept.project, kept.project.archives[0], ErasureRequest.of(keys=["17"]), "run")
    files = {path for path in kept.records() if path.endswith(".parquet")}
    week = datetime.now(UTC) + timedelta(days=6, hours=23)
    assert expire(kept, now=week).old_copies == 0
    assert expire(kept, now=week + timedelta(hours=2), dry_run=True).old_copies == 1
    assert {path for path in kept.records() if path.endswith(".parquet")} == files
    assert expire(kept, now=week + timedelta(hours=2)).old_copies == 1
    assert len(files - set(kept.records())) == 1
    assert_sound(kept)


def test_what_an_interrupted_expiry_left_is_removed_by_the_next_one(
    kept: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    from blocks.local_lake import LocalLake

    def die(lake: LocalLake, paths: Any) -> None:
        if [path for path in paths if path.endswith(".parquet")]:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LocalLake, "delete", die)
        with pytest.raises(Killed):
            expire(kept)
    assert first_day(kept) == "2024-03-01"
    expire(kept)
    assert len([path for path in kept.records() if path.endswith(".parquet")]) == 1
    assert_sound(kept)
