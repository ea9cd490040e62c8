"""Archiving: what is exported, committed, taken up again, and left alone."""

import signal
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from service_bench import Bench

from blocks.dialects.postgresql import source as postgresql
from blocks.ledger import Ledger
from schemas.errors import Busy, ConfigError, GateFailed
from schemas.manifest import Removal
from schemas.report import WindowState
from tasks.export import export_window
from tasks.remove_orphans import remove_orphans

GATE = """
import pandera.polars as pa

class Orders(pa.DataFrameModel):
    id: int = pa.Field(gt=0)
    shop: str = pa.Field(isin=["shop 0", "shop 1"])
"""


def source_and_lake(bench: Bench) -> tuple[list[object], list[object]]:
    return [r[0] for r in bench.sql("SELECT id FROM orders ORDER BY id")], [r[0] for r in bench.lake_rows("id")]


def test_rows_leave_the_source_for_the_lake(bench: Bench) -> None:
    bench.fill_orders(400)
    report = bench.run()
    assert [w.state for w in report.windows] == [WindowState.PURGED] * 4
    assert report.totals == {**report.totals, "archived": 400, "deleted": 400, "changed_since": 0, "already_gone": 0}
    assert source_and_lake(bench) == ([], list(range(1, 401)))
    assert bench.lake_rows("amount, note, shop")[:5] == [
        (Decimal("1.3700") * n, None if n % 5 == 0 else f"note {n}", f"shop {n % 3}") for n in range(1, 6)
    ]


def test_a_second_run_changes_nothing(bench: Bench) -> None:
    bench.fill_orders(400)
    bench.run()
    before = bench.records()
    report = bench.run("again")
    assert bench.records() == before
    assert {w.state for w in report.windows} == {WindowState.EMPTY}
    assert report.exit_code == 0


def test_a_second_run_without_purge_changes_nothing(bench: Bench) -> None:
    bench.fill_orders(400)
    bench.run(purging=False)
    before = bench.records()
    report = bench.run("again", purging=False)
    assert bench.records() == before
    assert report.totals["archived"] == 0
    assert bench.count() == 400


def test_committed_and_not_yet_purged_windows_are_purged_without_a_new_export(bench: Bench) -> None:
    bench.fill_orders(400)
    bench.run(purging=False)
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"]) == (0, 400)
    assert len(bench.generations()) == 4


def test_late_rows_become_a_further_generation_of_only_those(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.run()
    bench.sql("INSERT INTO orders SELECT 1000 + g, '2024-01-05', 'late', g, NULL, NULL FROM generate_series(1, 3) g")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"]) == (3, 3)
    assert [(g.manifest.generation, g.manifest.attestation.rows) for g in bench.generations()] == [(1, 50), (2, 3)]
    assert source_and_lake(bench) == ([], [*range(1, 51), 1001, 1002, 1003])


def test_changed_rows_become_a_further_generation_of_only_those(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.run(purging=False)
    bench.sql("UPDATE orders SET note = 'changed' WHERE id = 7")
    bench.sql("UPDATE orders SET note = note WHERE id = 8")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"], report.totals["changed_since"]) == (1, 50, 1)
    assert bench.lake_rows("id, note", order="id, note")[6:8] == [(7, ""), (7, "changed")]
    assert bench.count() == 0


def test_each_row_version_is_in_one_generation_only(bench: Bench) -> None:
    bench.fill_orders(50)
    for round_ in range(3):
        bench.sql("UPDATE orders SET note = 'round ' || $1 WHERE id % 10 = $1::int", str(round_))
        bench.run(f"run{round_}", purging=False)
    versions = bench.lake_rows("id, note")
    assert len(versions) == len(set(versions)) == 50 + 5 + 5


def test_restored_rows_are_recognised_and_purged_again(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.sql("CREATE TABLE copy AS SELECT * FROM orders")
    bench.run()
    bench.sql("INSERT INTO orders SELECT * FROM copy WHERE id <= 5")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"], report.totals["already_gone"]) == (0, 5, 45)
    assert len(bench.generations()) == 1
    assert bench.count() == 0


def test_rows_from_the_cut_off_on_and_rows_without_time_are_not_touched(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.sql("INSERT INTO orders VALUES (1001, NULL), (1002, 'infinity'), (1003, '0044-03-15 BC')")
    bench.configure(to="2024-01-15", **{"from": "2024-01-10"})
    inside = bench.sql("SELECT count(*) FROM orders WHERE placed_at >= '2024-01-10' AND placed_at < '2024-01-15'")
    outside = bench.sql(
        "SELECT o::text FROM orders o WHERE (placed_at >= '2024-01-10' AND placed_at < '2024-01-15') IS NOT TRUE"
    )
    report = bench.run()
    assert report.totals["deleted"] == inside[0][0] > 0
    assert (report.rows_without_time, report.rows_beyond_time) == (1, 2)
    assert sorted(bench.sql("SELECT o::text FROM orders o")) == sorted(outside)


def test_where_keeps_other_rows_out_of_it(bench: Bench) -> None:
    bench.fill_orders(60)
    bench.configure(where="orders.shop <> 'shop 1' -- not this one")
    report = bench.run()
    assert report.totals["deleted"] == 40
    assert {r[0] for r in bench.sql("SELECT shop FROM orders")} == {"shop 1"}


def test_older_than_takes_whole_windows_only(bench: Bench) -> None:
    from tasks.plan import plan_windows

    bench.fill_orders(400)
    bench.configure(to=None, older_than="30 days")
    plan = plan_windows(bench.job(), [], now=datetime(2024, 4, 10, tzinfo=UTC))
    assert plan.until == datetime(2024, 3, 1, tzinfo=UTC)
    assert [str(w.window) for w in plan.windows] == ["[2024-01-01Z, 2024-02-01Z)", "[2024-02-01Z, 2024-03-01Z)"]


def test_windows_begin_where_the_time_zone_says(bench: Bench) -> None:
    bench.settings = {"timezone": "Europe/Madrid"}
    bench.configure(window="day", partition_by=["year", "month", "day", "hour"], to="2025-01-01")
    bench.fill_orders(0)
    for n, moment in enumerate(("2024-03-30 23:30Z", "2024-03-31 01:30Z", "2024-03-31 22:30Z", "2024-10-27 00:30Z")):
        bench.sql("INSERT INTO orders VALUES ($1, $2::timestamptz)", n, moment)
    bench.sql("INSERT INTO orders VALUES (9, '2024-10-27 01:30Z')")
    report = bench.run()
    assert [(f"{w.start:%m-%dT%H}", f"{w.end:%m-%dT%H}", w.archived) for w in report.windows] == [
        ("03-30T23", "03-31T22", 2),
        ("03-31T22", "04-01T22", 1),
        ("10-26T22", "10-27T23", 2),
    ]
    folders = sorted({path.parent.relative_to(bench.folder / "lake/orders").as_posix() for path in bench.lake_files()})
    assert folders == [
        "year=2024/month=03/day=31/hour=00",
        "year=2024/month=03/day=31/hour=03",
        "year=2024/month=04/day=01/hour=00",
        "year=2024/month=10/day=27/hour=02",
    ]


@pytest.mark.parametrize("column", ["timestamp", "date"])
@pytest.mark.parametrize("unit", ["day", "month", "year"])
def test_naive_time_columns_have_windows_too(bench: Bench, column: str, unit: str) -> None:
    bench.fill_orders(400)
    bench.sql(f"ALTER TABLE orders ALTER placed_at TYPE {column}")
    bench.configure(window=unit)
    assert bench.run().totals["deleted"] == 400
    assert bench.count() == 0


def test_another_window_unit_later_archives_nothing_twice(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.run(purging=False)
    bench.sql("INSERT INTO orders SELECT 1000, '2024-01-05', 'late', 1, NULL, NULL")
    bench.configure(window="day")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"]) == (1, 101)
    assert source_and_lake(bench) == ([], [*range(1, 101), 1000])


def test_a_table_without_a_key_is_archived_and_not_purged(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.sql("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
    with pytest.raises(ConfigError, match="no primary key"):
        bench.run()
    report = bench.run(purging=False)
    assert report.totals["archived"] == 50
    assert bench.run("again", purging=False).totals["archived"] == 0


def test_an_altered_table_is_archived_again_as_it_is_now(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.run(purging=False)
    bench.sql("ALTER TABLE orders ADD COLUMN coupon text DEFAULT 'none'")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"]) == (50, 50)
    assert bench.run("third").totals["archived"] == 0
    assert bench.generations()[-1].manifest.columns[-1].name == "coupon"


def test_one_failing_window_does_not_stop_the_others(bench: Bench) -> None:
    bench.fill_orders(400)
    bench.sql("ALTER TABLE orders ALTER amount TYPE numeric(12,4)")
    bench.sql("UPDATE orders SET amount = 'NaN' WHERE id = 150")
    report = bench.failed_run()
    assert [w.state.value for w in report.windows] == ["purged", "failed", "purged", "purged"]
    assert report.exit_code == 3
    error = report.windows[1].error
    assert error is not None and "amount" in error and "NaN" in error and "150" in error
    february = bench.sql("SELECT count(*), min(placed_at), max(placed_at) FROM orders")[0]
    assert february[0] == report.windows[1].archived + bench.count() > 0
    assert not [f for f in bench.ledger.orphans() if "20240201" in f]


def test_derived_columns_are_stored_and_proven(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.configure(columns={"derive": {"net": "amount * 0.8", "label": "upper(shop)"}})
    assert bench.run().totals["deleted"] == 50
    assert bench.lake_rows("net, label")[0] == ("1.09600", "SHOP 1")


def test_excluded_columns_are_purged_only_when_they_are_named(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.configure(columns={"exclude": ["payload"]}, purge={"mode": "none"})
    with pytest.raises(ConfigError, match="payload"):
        bench.run(purging=True)
    bench.configure(purge={"mode": "delete", "discard_columns": ["payload"]})
    assert bench.run().totals["deleted"] == 50


DIE_AT_COMMIT = """
from blocks.ledger import Ledger
Ledger.commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
bench.run()
"""


def test_what_a_run_that_died_left_is_removed_and_never_seen(bench: Bench) -> None:
    bench.fill_orders(400)
    assert bench.in_another_process(DIE_AT_COMMIT).wait(60) == -signal.SIGKILL
    orphans = bench.ledger.orphans()
    assert len(orphans) > 0
    assert bench.generations() == []
    assert bench.run().totals["deleted"] == 400
    assert bench.ledger.orphans() == []
    assert not set(orphans) & set(bench.records())


def test_files_of_a_lost_manifest_are_never_taken_for_left_over(bench: Bench) -> None:
    """Were the records of a purged window lost, its files would be the only copy of its rows."""
    bench.fill_orders(400)
    bench.run()
    files = bench.lake_files()
    for generation in bench.generations():
        bench.lake.delete([generation.manifest.path])
    bench.run("again")
    assert all(path.exists() for path in files)


def test_rows_of_files_that_were_removed_before_their_purge_are_archived_again(bench: Bench) -> None:
    bench.fill_orders(50)
    bench.run(purging=False)
    (generation,) = bench.generations()
    removal = Removal(dataset="orders", paths=generation.files, rows=50, reason="a test", removed_at=datetime.now(UTC))
    bench.ledger.record_removal(removal, "removal")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"], bench.count()) == (50, 50, 0)
    assert not bench.lake.find(generation.files[0])


def test_an_export_that_was_taken_for_dead_cannot_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock was lost, another archiver removed its files, and it is still running."""
    bench.fill_orders(50)
    job, (planned,) = bench.job(), bench.plan().windows
    commit = Ledger.commit

    def late(ledger: Ledger, *arguments: object) -> None:
        remove_orphans(bench.lake, bench.ledger)
        commit(ledger, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "commit", late)
    with pytest.raises(Busy, match="took over"):
        export_window(job, planned.window, (), "slow")
    monkeypatch.undo()
    assert bench.generations() == []
    assert bench.run().totals["deleted"] == 50


def test_two_exports_of_the_same_generation_commit_only_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill_orders(50)
    job, (planned,) = bench.job(), bench.plan().windows
    export_window(job, planned.window, (), "first")
    monkeypatch.setattr("blocks.ledger.Ledger.next_generation", lambda *_: 1)
    with pytest.raises(Busy, match="generation 1"):
        export_window(job, planned.window, (), "second")
    assert len(bench.lake_rows()) == 50


def test_rows_that_the_reader_loses_are_missed_by_the_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill_orders(50)
    real = postgresql.stream

    def lossy(*arguments: object, **options: object) -> object:
        for batch in real(*arguments, **options):  # type: ignore[arg-type]
            yield type(batch)(batch.rows.slice(1), batch.digests[1:])

    monkeypatch.setattr(postgresql, "stream", lossy)
    report = bench.failed_run()
    assert "read 49 rows where the source counts 50" in str(report.windows[0].error)
    assert bench.generations() == []


@pytest.mark.parametrize("damage", ["missing", "size", "flip"])
def test_nothing_is_deleted_when_the_lake_lost_what_was_committed(bench: Bench, damage: str) -> None:
    bench.fill_orders(50)
    bench.run(purging=False)
    (path,) = bench.lake_files()
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "size":
        path.write_bytes(content + b"x")
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    report = bench.failed_run()
    assert report.exit_code == 3
    assert bench.count() == 50
    assert "its rows are in the source" in str(report.windows[0].error)


def test_a_value_that_was_stored_wrong_is_named_by_key_and_column(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a faulty reader would do: every checksum is right, and one value is not."""
    bench.fill_orders(50)
    real = postgresql.stream

    def faulty(*arguments: object, **options: object) -> object:
        for batch in real(*arguments, **options):  # type: ignore[arg-type]
            place = batch.rows.schema.get_field_index("note")
            notes = ["wrong" if note == "note 9" else note for note in batch.rows.column(place).to_pylist()]
            rows = batch.rows.set_column(place, "note", pa.array(notes, pa.string()))
            yield type(batch)(rows, batch.digests)

    monkeypatch.setattr(postgresql, "stream", faulty)
    bench.sql("UPDATE orders SET note = 'changed since' WHERE id = 8")
    report = bench.failed_run()
    assert report.exit_code == 3
    assert "9 (note)" in str(report.windows[0].error) and "8 (note)" not in str(report.windows[0].error)
    assert bench.count() == 50


@pytest.fixture
def gated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    name = f"gate_{bench.folder.parent.name.replace('-', '_')}"
    (bench.folder / f"{name}.py").write_text(GATE)
    monkeypatch.syspath_prepend(bench.folder)
    bench.fill_orders(60)
    bench.configure(gate=f"{name}:Orders")
    return bench


def test_a_window_with_rows_that_fail_the_gate_is_refused_with_all_reasons(gated: Bench) -> None:
    report = gated.failed_run()
    error = str(report.windows[0].error)
    assert "20 rows failed the gate" in error and "shop" in error and "{'id': 2}" in error
    assert report.exit_code == GateFailed.exit_code == 3
    assert gated.count() == 60
    assert gated.generations() == []


def test_quarantined_rows_stay_in_the_source_and_are_kept_with_the_reason(gated: Bench) -> None:
    gated.configure(on_gate_failure="quarantine")
    report = gated.run()
    assert (report.totals["archived"], report.totals["deleted"], report.totals["quarantined"]) == (40, 40, 20)
    assert {r[0] for r in gated.sql("SELECT shop FROM orders")} == {"shop 2"}
    (generation,) = gated.generations()
    import pyarrow.parquet as pq

    (file,) = generation.manifest.quarantine
    quarantined = pq.read_table(gated.folder / "lake" / file.path).to_pylist()
    assert len(quarantined) == 20
    assert all("shop" in row["_reason"] and row["shop"] == "shop 2" for row in quarantined)


def test_quarantined_rows_are_not_quarantined_again_until_the_gate_changes(gated: Bench) -> None:
    gated.configure(on_gate_failure="quarantine")
    gated.run()
    before = gated.records()
    assert gated.run("again").totals["quarantined"] == 20
    assert gated.records() == before
    gated.configure(gate=None, on_gate_failure=None)
    assert gated.run("third").totals["deleted"] == 20
    assert gated.count() == 0


def test_a_dry_run_of_the_plan_makes_no_mutating_call(bench: Bench) -> None:
    bench.fill_orders(400)
    bench.sql("CREATE ROLE reader_only LOGIN PASSWORD 'reader'; GRANT SELECT, DELETE ON orders TO reader_only")
    try:
        url = psycopg.conninfo.conninfo_to_dict(bench.url)
        bench.url = f"postgresql://reader_only:reader@127.0.0.1:{url['port']}/{url['dbname']}"
        bench.sql("ALTER ROLE reader_only SET default_transaction_read_only = on")
        bench.configure()
        assert sum(w.rows for w in bench.plan().windows) == 400
        assert not (bench.folder / "lake").exists()
    finally:
        bench.sql("SELECT 1")


def test_files_are_cut_at_their_limit(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.configure(file_max_rows=30)
    bench.run()
    (generation,) = bench.generations()
    assert [file.rows for file in generation.manifest.files] == [30, 30, 30, 10]


def test_the_report_has_the_documented_form(bench: Bench) -> None:
    bench.fill_orders(50)
    body = bench.run().as_json()
    assert body["archive"] == "orders" and body["state"] == "done"
    assert set(body["totals"]) == {
        "archived",
        "deleted",
        "changed_since",
        "already_gone",
        "held",
        "quarantined",
        "bytes",
    }
    (window,) = body["windows"]
    assert set(window) == {
        "start", "end", "state", "generation", "archived", "deleted", "changed_since", "already_gone", "quarantined",
        "held", "bytes", "seconds", "error",
    }  # fmt: skip
    assert body["totals"]["bytes"] == sum(Path(path).stat().st_size for path in bench.lake_files())
