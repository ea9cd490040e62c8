"""Archived rows go back into a table, all of them or none, equal to what they were."""

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer
from service_seaweedfs import SeaweedFS

from blocks.progress import Progress, listening
from schemas.errors import Busy, ConfigError
from schemas.restore import RestoreConflict, RestoreReport, RestoreRequest, key_values
from tasks.audit import audit
from tasks.restore import restore_rows

EVERYTHING = {"from_": "2000-01-01"}


def restore(bench: Bench, **options: Any) -> RestoreReport:
    project = bench.project
    return restore_rows(project, project.archives[0], RestoreRequest.of(**options))


def difference(bench: Bench, table: str, other: str) -> list[tuple[Any, ...]]:
    """Return the rows, as text, that are in one of two tables and not in the other."""
    one, two = (f"SELECT t::text FROM {name} AS t" for name in (table, other))
    return bench.sql(f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})")


def archive_orders(bench: Bench, rows: int = 200) -> None:
    """Fill `orders`, keep a copy of it in `original`, and archive and purge it."""
    bench.fill_orders(rows)
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    assert bench.run().totals["deleted"] == rows


def test_archived_and_purged_rows_come_back_equal(bench: Bench) -> None:
    archive_orders(bench)
    report = restore(bench, **EVERYTHING)
    assert (report.rows, report.skipped, report.superseded, report.digest_equal) == (200, 0, 0, True)
    assert report.table == "public.orders"
    assert "tidegate archive orders" in report.hint
    assert difference(bench, "orders", "original") == []


def test_only_rows_of_the_range_come_back(bench: Bench) -> None:
    archive_orders(bench)
    restore(bench, from_="2024-01-20", to="2024-02-03T12:00:00")
    bench.sql("DELETE FROM original WHERE NOT (placed_at >= '2024-01-20 00:00Z' AND placed_at < '2024-02-03 12:00Z')")
    assert bench.count() > 40
    assert difference(bench, "orders", "original") == []


def test_range_is_meant_in_the_configured_time_zone(bench: Bench) -> None:
    bench.settings["timezone"] = "Asia/Tokyo"
    bench.configure()
    archive_orders(bench)
    restore(bench, from_="2024-01-10", to="2024-01-11")
    bench.sql("DELETE FROM original WHERE (placed_at AT TIME ZONE 'Asia/Tokyo')::date <> '2024-01-10'")
    assert bench.count() == 4
    assert difference(bench, "orders", "original") == []


@pytest.mark.parametrize("time_type", ["date", "timestamp"])
def test_range_slices_other_time_columns_too(bench: Bench, time_type: str) -> None:
    bench.sql(f"CREATE TABLE orders (id int PRIMARY KEY, placed_at {time_type})")
    bench.sql("INSERT INTO orders SELECT g, '2024-01-01'::date + g FROM generate_series(0, 59) g")
    bench.run()
    assert restore(bench, from_="2024-01-30", to="2024-02-02").rows == 3
    assert bench.sql("SELECT min(placed_at)::date::text, max(placed_at)::date::text FROM orders") == [
        ("2024-01-30", "2024-02-01")
    ]


def test_named_keys_come_back(bench: Bench) -> None:
    archive_orders(bench)
    report = restore(bench, keys=["42", "0043", "9999", "42"])
    assert bench.sql("SELECT id FROM orders ORDER BY 1") == [(42,), (43,)]
    assert report.rows == 2
    assert report.missing_keys == ("9999",)
    assert difference(bench, "orders", "(SELECT * FROM original WHERE id IN (42, 43))") == []


def test_key_outside_of_the_range_is_missing(bench: Bench) -> None:
    archive_orders(bench)
    report = restore(bench, keys=["1", "200"], to="2024-01-15")
    assert (report.rows, report.missing_keys) == (1, ("200",))


def test_composite_keys_are_written_as_csv(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (shop text, no int, placed_at date, PRIMARY KEY (shop, no))")
    shops = ["a", "a,b", "", '"', "a b"]
    bench.sql("INSERT INTO orders SELECT s, n, '2024-01-05' FROM unnest($1::text[]) s, generate_series(1, 9) n", shops)
    bench.run()
    report = restore(bench, keys=["a,7", '"a,b",7', '"",1', '"""",2', "a b,3", "nobody,1"])
    assert report.missing_keys == ("nobody,1",)
    assert bench.sql('SELECT shop, no FROM orders ORDER BY shop COLLATE "C", no') == [
        ("", 1), ('"', 2), ("a", 7), ("a b", 3), ("a,b", 7)
    ]  # fmt: skip


def test_key_of_one_column_is_meant_to_the_letter() -> None:
    assert key_values('a,"b', ("name",)) == ('a,"b',)


@pytest.mark.parametrize("text", ["a", "a,7,8", '"a,7', "", "a,7\nb,8"])
def test_composite_key_with_other_than_one_value_a_column_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"2 values, one for each of shop, no"):
        key_values(text, ("shop", "no"))


@pytest.mark.parametrize(
    ("key_type", "stored", "found", "not_found"),
    [
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", None),
        ("numeric(8,2)", "1.50", "1.5", "1.499"),
        ("varchar(3)", "abc", "abc", "abcd"),
        ("char(5)", "ab", "ab", "abcdef"),
        ("bytea", r"\x00ff", r"\x00FF", r"\x00"),
        ("timestamptz", "0044-03-15 10:00:00+00 BC", "0044-03-15 12:00:00+02 BC", "0044-03-15 12:00:00+02"),
        ("date", "infinity", "infinity", "-infinity"),
        ("float8", "0.1", "1e-1", "0.10000000000000002"),
        ("boolean", "t", "yes", "no"),
        ("int[]", "{1,NULL}", "{1, null}", "{1}"),
    ],
)
def test_keys_are_read_as_the_database_reads_them(
    bench: Bench, key_type: str, stored: str, found: str, not_found: str | None
) -> None:
    bench.sql(f"CREATE TABLE orders (id {key_type} PRIMARY KEY, placed_at date)")
    bench.sql(f"INSERT INTO orders VALUES ($1::text::{key_type}, '2024-01-05')", stored)
    bench.run()
    if not_found:
        assert restore(bench, keys=[not_found]).missing_keys == (not_found,)
    assert restore(bench, keys=[found]).rows == 1
    assert bench.sql(f"SELECT id = $1::text::{key_type} FROM orders", stored) == [(True,)]


def test_key_that_is_no_value_of_its_type_is_refused(bench: Bench) -> None:
    archive_orders(bench, 10)
    with pytest.raises(ConfigError, match=r"'forty' is no value of id \(bigint\)"):
        restore(bench, keys=["forty"])


def test_newest_version_of_a_key_comes_back(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql("INSERT INTO orders SELECT * FROM original WHERE id <= 3")
    bench.sql("UPDATE orders SET note = 'second'")
    bench.run("again")
    assert len(bench.generations()) == 4
    report = restore(bench, to="2024-02-01")
    assert report.superseded == 3
    assert bench.sql("SELECT id FROM orders WHERE note = 'second' ORDER BY 1") == [(1,), (2,), (3,)]
    bench.sql("UPDATE original SET note = 'second' WHERE id <= 3")
    assert difference(bench, "orders", "(SELECT * FROM original WHERE placed_at < '2024-02-01Z')") == []


def test_version_that_was_superseded_in_another_window_stays_in_the_lake(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql("INSERT INTO orders SELECT * FROM original WHERE id = 5")
    bench.sql("UPDATE orders SET placed_at = '2024-03-30'")
    bench.run("again")
    report = restore(bench, to="2024-02-01")
    assert report.superseded == 1
    assert bench.sql("SELECT count(*) FROM orders WHERE id = 5") == [(0,)]
    assert restore(bench, keys=["5"]).rows == 1
    assert bench.sql("SELECT placed_at::date::text FROM orders WHERE id = 5") == [("2024-03-30",)]


def test_conflict_is_refused_and_leaves_everything_as_it_is(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql("INSERT INTO orders SELECT id, placed_at, 'mine' FROM original WHERE id IN (7, 9)")
    bench.sql("CREATE TABLE before AS SELECT * FROM orders")
    with pytest.raises(RestoreConflict) as conflict:
        restore(bench, **EVERYTHING)
    assert "2 of 200 rows" in conflict.value.what
    assert "7; 9" in conflict.value.what
    assert "Nothing was changed" in conflict.value.state
    assert difference(bench, "orders", "before") == []


def test_conflicting_rows_are_skipped_when_told(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql("INSERT INTO orders SELECT id, placed_at, 'mine' FROM original WHERE id IN (7, 9)")
    report = restore(bench, on_conflict="skip", **EVERYTHING)
    assert (report.rows, report.skipped) == (198, 2)
    assert bench.sql("SELECT id FROM orders WHERE shop = 'mine' ORDER BY 1") == [(7,), (9,)]
    assert difference(
        bench, "(SELECT * FROM orders WHERE id NOT IN (7, 9))", "(SELECT * FROM original WHERE id NOT IN (7, 9))"
    ) == []  # fmt: skip


def test_row_of_another_unique_index_is_a_conflict_that_changes_nothing(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql("CREATE UNIQUE INDEX ON orders (payload)")
    bench.sql("INSERT INTO orders SELECT 1000, placed_at, shop, amount, note, payload FROM original WHERE id = 7")
    with pytest.raises(Exception, match="duplicate key") as error:
        restore(bench, on_conflict="skip", **EVERYTHING)
    assert "Nothing was changed" in str(error.value)
    assert bench.count() == 1


def test_rows_go_into_another_table(bench: Bench) -> None:
    archive_orders(bench)
    bench.sql('CREATE SCHEMA "Odd one"')
    bench.sql("""CREATE TABLE "Odd one"."T;x" (extra text DEFAULT 'x', LIKE orders)""")
    report = restore(bench, into='"Odd one"."T;x"', **EVERYTHING)
    assert (report.table, report.rows, report.hint) == ('"Odd one"."T;x"', 200, "")
    assert report.defaulted == ("extra",)
    assert bench.count() == 0
    columns = "(SELECT id, placed_at, shop, amount, note, payload FROM {})"
    assert difference(bench, columns.format('"Odd one"."T;x"'), columns.format("original")) == []


def test_table_with_other_types_is_refused_by_column(bench: Bench) -> None:
    archive_orders(bench)
    columns = "id int, placed_at timestamptz, shop text, amount numeric, payload jsonb, must int NOT NULL"
    bench.sql(f"CREATE TABLE other ({columns})")
    with pytest.raises(ConfigError) as error:
        restore(bench, into="other", **EVERYTHING)
    for problem in (
        "id is integer there and bigint in the archive",
        "amount is numeric there and numeric(12,4) in the archive",
        "note (text) is not there",
        "must is NOT NULL there, has no default, and is not in the archive",
    ):
        assert problem in error.value.what
    assert "placed_at" not in error.value.what


def test_unknown_table_is_refused(bench: Bench) -> None:
    archive_orders(bench, 10)
    with pytest.raises(ConfigError, match=r"no table public\.ordres"):
        restore(bench, into="ordres", **EVERYTHING)


def test_table_without_key_comes_back_by_range_only(bench: Bench) -> None:
    bench.configure(purge={"mode": "none"})
    bench.sql("CREATE TABLE orders (placed_at date, note text)")
    bench.sql(
        "INSERT INTO orders SELECT '2024-01-01'::date + g, nullif('n' || g % 5, 'n0') FROM generate_series(1, 50) g"
    )
    bench.run()
    with pytest.raises(ConfigError, match="without a key"):
        restore(bench, keys=["1"])
    with pytest.raises(RestoreConflict, match="31 of 31 rows"):
        restore(bench, to="2024-02-02")
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    bench.sql("DELETE FROM orders WHERE placed_at > '2024-01-09'")
    assert restore(bench, on_conflict="skip", **EVERYTHING).skipped == 8
    assert difference(bench, "orders", "original") == []


def test_key_with_null_in_it_is_a_key_like_any_other(bench: Bench) -> None:
    bench.configure(key=["shop", "no"], purge={"mode": "none"})
    bench.sql("CREATE TABLE orders (shop text, no int, placed_at date)")
    bench.sql("INSERT INTO orders VALUES ('a', NULL, '2024-01-01'), (NULL, NULL, '2024-01-01'), ('', 1, '2024-01-01')")
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    bench.run()
    bench.sql("DELETE FROM orders WHERE shop IS NOT NULL")
    with pytest.raises(RestoreConflict, match="1 of 3 rows"):
        restore(bench, **EVERYTHING)
    assert restore(bench, on_conflict="skip", **EVERYTHING).skipped == 1
    assert difference(bench, "orders", "original") == []


def test_restored_rows_are_recognised_and_purged_again_without_a_new_generation(bench: Bench) -> None:
    archive_orders(bench)
    restore(bench, to="2024-02-01")
    restored, generations = bench.count(), bench.generations()
    report = bench.run("again")
    assert report.totals["deleted"] == restored > 90
    assert report.totals["archived"] == 0
    assert [g.manifest for g in bench.generations()] == [g.manifest for g in generations]
    assert bench.count() == 0
    assert bench.run("third").totals["deleted"] == 0


def test_restore_waits_for_no_archiver(bench: Bench) -> None:
    from blocks.dialects.postgresql.lock import archiver_lock

    archive_orders(bench, 10)
    with archiver_lock(bench.url, bench.job().table), pytest.raises(Busy):
        restore(bench, **EVERYTHING)
    assert bench.count() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Nothing says which rows"),
        ({"keys": []}, "Nothing says which rows"),
        ({"from_": "2024-02-01", "to": "2024-01-01"}, "must be after --from"),
        ({"from_": "2024-02-01", "to": "2024-02-01"}, "must be after --from"),
        ({"from_": "2024-02-01T00:00:00Z", "to": "2024-03-01"}, "both have a UTC offset"),
        ({"from_": "yesterday"}, "must be a date or a time"),
        ({"from_": "2024-02-01", "into": "a.b.c"}, "schema.table"),
        ({"from_": "2024-02-01", "on_conflict": "overwrite"}, "on_conflict"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RestoreRequest.of(**options)


def test_archive_without_rows_in_the_lake_says_so(bench: Bench) -> None:
    bench.fill_orders(1)
    bench.lake.check(write=True)
    with pytest.raises(ConfigError, match="Nothing of orders is in the lake"):
        restore(bench, **EVERYTHING)


def test_range_without_rows_restores_nothing(bench: Bench) -> None:
    archive_orders(bench, 10)
    report = restore(bench, from_=datetime(2030, 1, 1, tzinfo=UTC))
    assert (report.rows, report.hint, bench.count()) == (0, "", 0)


def test_progress_is_told_window_by_window(bench: Bench) -> None:
    archive_orders(bench)
    seen: list[Progress] = []
    with listening(seen.append):
        restore(bench, **EVERYTHING)
    last = {p.window: p for p in seen if p.phase == "restore"}
    assert len(last) == 3
    assert sum(p.rows for p in last.values()) == sum(p.of_rows for p in last.values()) == 200


def test_rows_come_back_from_s3_and_no_copy_of_a_file_stays(
    bench: Bench, s3_server: SeaweedFS, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    (tmp_path / "scratch").mkdir()
    bench.settings |= {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}/odd [a]*", "temp_dir": str(tmp_path / "scratch")}
    bench.configure(partition_by=["shop", "month"])
    archive_orders(bench)
    assert restore(bench, keys=["42", "9999"]).missing_keys == ("9999",)
    assert restore(bench, from_="2024-01-05", on_conflict="skip").skipped == 1
    assert restore(bench, to="2024-01-05").rows == bench.count("original WHERE placed_at < '2024-01-05Z'")
    assert difference(bench, "orders", "original") == []
    assert audit(bench.config_dir).totals == {
        "generations": 3, "files": 7, "rows": 200, "size_bytes": audit(bench.config_dir).totals["size_bytes"],
        "removed_files": 0, "findings": 0, "orphans": 0,
    }  # fmt: skip
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


def test_flow_restores_publishes_and_tries_nothing_twice_that_cannot_help(
    bench: Bench, prefect_here: PrefectServer
) -> None:
    from flows.restore import restore_table

    archive_orders(bench)
    report = restore_table("orders", from_=datetime(2024, 1, 1), config_dir=bench.config_dir)
    assert (report.rows, bench.count()) == (200, 200)
    artifacts = httpx.post(f"{prefect_here.api_url}/artifacts/filter", json={}).json()
    assert [a["description"] for a in artifacts if a["key"] == "restore-orders"] == [
        "200 rows restored into public.orders"
    ]
    started = time.monotonic()
    with pytest.raises(RestoreConflict, match="200 of 200"):
        restore_table("orders", from_=datetime(2024, 1, 1), config_dir=bench.config_dir)
    assert time.monotonic() - started < 10  # three tries would wait longer
    assert bench.count() == 200
