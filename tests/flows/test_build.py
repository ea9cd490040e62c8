"""Pipelines build tables: checked on all rows, committed whole or not at all, only when there is something to do."""

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from build_bench import STAGED, BuildBench
from service_seaweedfs import SeaweedFS

from blocks.ledger import Ledger
from blocks.local_lake import LocalLake
from blocks.table_log import TableLog
from schemas.build_report import ChecksRefused, PipelineState
from schemas.config import Settings
from schemas.errors import Busy, ConfigError, GateFailed, LakeError, TidegateError
from schemas.manifest import Removal
from tasks.audit import audit
from tasks.build import build_table as building
from tasks.build.merge import rows_that_differ

ORDERS = "FROM (VALUES (1, 'A', '5.00'), (2, 'B', '7.50'), (3, 'DELETED', '1')) t(id, state, amount)"
PLAIN = {"type": "select", "columns": ["id", "state", "amount"]}
IDS = {"type": "select", "columns": ["id"]}
DONE, UNCHANGED = PipelineState.DONE, PipelineState.UNCHANGED


def values(*ids: int) -> str:
    return f"SELECT unnest({list(ids)}) AS id"


def sound(bench: BuildBench) -> bool:
    report = audit(bench.config_dir)
    return report.findings == () and all(one.orphans == () for one in report.datasets)


# Modes


def test_a_table_is_built_as_a_whole_and_again_only_when_something_has_changed(build_bench: BuildBench) -> None:
    steps = [PLAIN, {"type": "cast", "columns": {"amount": "decimal(10,2)"}}]
    build_bench.stage(*steps, {"type": "filter", "condition": "state <> 'DELETED'"})
    build_bench.raw(ORDERS)
    report = build_bench.build()
    assert (report.state, report.read, report.rows, report.inputs) == (DONE, 3, 2, ("raw/shop/orders",))
    assert [(i, s, str(a)) for i, s, a in build_bench.rows()] == [(1, "A", "5.00"), (2, "B", "7.50")]
    assert build_bench.build().state is UNCHANGED
    assert build_bench.build(full=True).state is DONE
    build_bench.raw("SELECT 4 AS id, 'A' AS state, '1' AS amount")
    assert build_bench.build().rows == 3
    build_bench.stage(*steps)
    assert (build_bench.build().rows, build_bench.build().state) == (4, UNCHANGED)
    assert [m.built.mode for m in build_bench.generations() if m.built] == ["replace"] * 4
    assert [record.state for record in build_bench.records()] == [
        "done",
        "unchanged",
        "done",
        "done",
        "done",
        "unchanged",
    ]
    assert sound(build_bench)


def test_a_description_is_no_other_definition(build_bench: BuildBench) -> None:
    build_bench.raw(ORDERS)
    build_bench.stage(PLAIN)
    build_bench.build()
    build_bench.stage(PLAIN, description="orders, cleaned")
    assert build_bench.build().state is UNCHANGED
    build_bench.stage(PLAIN, quality_checks=[{"type": "not_null", "columns": ["id"]}])
    assert build_bench.build().state is DONE


def test_what_looks_at_the_clock_is_built_each_time(build_bench: BuildBench) -> None:
    build_bench.raw(ORDERS)
    build_bench.stage(IDS, {"type": "filter", "condition": "now() > TIMESTAMPTZ '2020-01-01 00:00Z'"})
    assert (build_bench.build().state, build_bench.build().state) == (DONE, DONE)


def test_merge_stores_what_is_new_or_different_and_nothing_twice(build_bench: BuildBench) -> None:
    build_bench.stage(mode="merge", keys=["id"], partition_by=["state"])
    build_bench.raw("FROM (VALUES (1, 'A', 1), (2, 'B', NULL)) t(id, state, n)", whole=True)
    assert (build_bench.build().rows, build_bench.build().state) == (2, UNCHANGED)
    # Read again as a whole: 1 is as it was, though of another day; 2 has changed, 3 is new, and nothing says that
    # what is not there any more has gone.
    build_bench.raw("FROM (VALUES (1, 'A', 1), (2, 'C', 5), (3, 'A', 9)) t(id, state, n)", whole=True)
    report = build_bench.build()
    assert (report.read, report.rows) == (3, 2)
    build_bench.raw("FROM (VALUES (3, 'A', 9)) t(id, state, n)", whole=True)
    assert build_bench.build().rows == 0
    assert build_bench.rows("id, state, n") == [(1, "A", 1), (2, "C", 5), (3, "A", 9)]
    assert len(build_bench.rows(dataset='"staging/sales".orders__history')) == 4
    assert {path.name for path in (build_bench.folder / "lake/staging/sales/orders").iterdir()} == {
        "state=A", "state=B", "state=C",
    }  # fmt: skip
    assert build_bench.build(full=True).rows == 0
    assert sound(build_bench)


def test_merge_refuses_a_key_that_comes_twice_or_is_missing(build_bench: BuildBench) -> None:
    build_bench.stage(mode="merge", keys=["id"])
    build_bench.raw(values(1, 1, 2))
    with pytest.raises(GateFailed, match=r"pipelines\[orders\].keys: 1 keys \(id\) come more than once: 1 \(2 rows\)"):
        build_bench.build()
    build_bench.raw("SELECT NULL::INTEGER AS id", whole=True)
    with pytest.raises(GateFailed, match="1 rows have no value in id"):
        build_bench.build()
    assert build_bench.generations() == []


def test_merge_into_a_table_with_other_columns(build_bench: BuildBench) -> None:
    build_bench.stage({"type": "select", "columns": ["id", "n"]}, mode="merge", keys=["id"])
    build_bench.raw("SELECT 1 AS id, '5' AS n, NULL::VARCHAR AS city UNION ALL SELECT 2, '6', 'Rome'", whole=True)
    build_bench.build()
    steps = [{"type": "select", "columns": ["id", "n", "city"]}, {"type": "cast", "columns": {"n": "integer"}}]
    build_bench.stage(*steps, mode="merge", keys=["id"])
    assert build_bench.build().rows == 1, "1 has no city, and 5 is 5: it is as it was"
    assert build_bench.rows("id, n, city") == [(1, "5", None), (2, "6", "Rome")]
    build_bench.stage({"type": "select", "columns": ["id", "n"]}, mode="merge", keys=["id"])
    assert build_bench.build().rows == 1, "2 has no city any more"
    assert build_bench.rows("id, city") == [(1, None), (2, None)]
    build_bench.stage(*steps, mode="merge", keys=["n"])
    report = build_bench.build()
    assert report.note == "as a whole: its keys have changed"
    assert build_bench.rows("id, n") == [(1, 5), (2, 6)]


def test_merge_tells_keys_apart_whose_type_has_changed(build_bench: BuildBench) -> None:
    build_bench.stage(mode="merge", keys=["id"])
    build_bench.raw("SELECT 1 AS id, 'x' AS v", whole=True)
    build_bench.build()
    build_bench.raw("FROM (VALUES ('1', 'x'), ('01', 'x'), ('A1', 'x')) t(id, v)", whole=True)
    assert build_bench.build().rows == 2
    assert build_bench.rows("id, v") == [("01", "x"), ("1", "x"), ("A1", "x")]


def test_merge_goes_on_where_rows_were_put_aside_with_another_type(build_bench: BuildBench) -> None:
    checks = [{"type": "range", "column": "id", "min": 1, "on_failure": "quarantine"}]
    build_bench.stage(mode="merge", keys=["id"], quality_checks=checks)
    build_bench.raw("SELECT unnest([0, 1]) AS id, true AS v", whole=True)
    assert build_bench.build().quarantined == 1
    build_bench.raw("SELECT unnest([0, 1]) AS id, DATE '2026-01-01' AS v", whole=True)
    assert (build_bench.build().quarantined, build_bench.build(full=True).quarantined) == (1, 0)


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_table_is_built_again_when_files_of_its_source_were_removed(build_bench: BuildBench, mode: str) -> None:
    build_bench.stage(IDS, mode=mode)
    first = build_bench.raw(values(1, 2))
    build_bench.raw(values(3))
    assert build_bench.build().rows == 3
    paths = tuple(file.path for file in first.files)
    removal = Removal(dataset=first.dataset, paths=paths, rows=2, reason="asked for", removed_at=datetime.now(UTC))
    Ledger(build_bench.lake, first.dataset).record_removal(removal, "r")
    assert build_bench.build().rows == 1
    assert (build_bench.rows("id"), build_bench.build().state) == ([(3,)], UNCHANGED)
    build_bench.raw(values(4))
    assert build_bench.build().rows == (1 if mode == "append" else 2)
    assert build_bench.rows("id") == [(3,), (4,)]


def test_append_holds_unique_and_row_count_against_the_rows_that_are_there(build_bench: BuildBench) -> None:
    checks = [{"type": "unique", "columns": ["id"], "on_failure": "quarantine"}, {"type": "row_count", "max": 3}]
    build_bench.stage(IDS, mode="append", quality_checks=checks)
    build_bench.raw(values(1, 2))
    build_bench.build()
    build_bench.raw(values(2, 3))
    report = build_bench.build()
    assert (report.rows, report.quarantined, report.read) == (1, 1, 2)
    assert build_bench.rows("id") == [(1,), (2,), (3,)]
    build_bench.raw(values(4))
    with pytest.raises(ChecksRefused, match="there are 4 rows"):
        build_bench.build()


def test_append_reads_only_what_was_added_to_its_source(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, mode="append")
    build_bench.raw(values(1, 2))
    assert (build_bench.build().rows, build_bench.build().state) == (2, UNCHANGED)
    build_bench.raw(values(2, 3))
    build_bench.raw(values(4))
    report = build_bench.build()
    assert (report.read, report.rows) == (3, 3)
    assert build_bench.rows() == [(1,), (2,), (2,), (3,), (4,)]
    assert build_bench.build().state is UNCHANGED
    assert [m.built.mode for m in build_bench.generations() if m.built] == ["replace", "append"]
    assert build_bench.build(full=True).rows == 5
    assert len(build_bench.rows()) == 5


def test_append_starts_again_where_what_was_read_is_no_part_of_the_source_any_more(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, mode="append")
    build_bench.raw(values(1, 2))
    build_bench.build()
    build_bench.raw(values(2, 3), whole=True)
    report = build_bench.build()
    assert "what was read of raw.shop.orders is not all part of it any more" in report.note
    assert build_bench.rows() == [(2,), (3,)]
    build_bench.stage({"type": "derive", "columns": {"id": "id * 10"}}, IDS, mode="append")
    assert "another one than when it was built" in build_bench.build().note
    assert build_bench.rows() == [(20,), (30,)]


def test_two_builds_at_once_do_not_append_twice(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, mode="append")
    build_bench.raw(values(1))
    build_bench.build()
    build_bench.raw(values(2, 3))
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(build_bench.build())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.state for report in reports) == ["done", "unchanged", "unchanged"]
    assert build_bench.rows() == [(1,), (2,), (3,)]
    build_bench.build()
    assert sound(build_bench)


def test_a_build_that_is_overtaken_looks_again(build_bench: BuildBench, monkeypatch: pytest.MonkeyPatch) -> None:
    build_bench.stage(IDS, mode="append")
    build_bench.raw(values(1))
    commit, tries = TableLog.commit, []

    def overtaken(self: TableLog, *args: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(TableLog, "commit", commit)
                build_bench.build()
        return commit(self, *args)

    monkeypatch.setattr(TableLog, "commit", overtaken)
    assert build_bench.build().state is UNCHANGED
    assert (len(tries), build_bench.rows()) == (1, [(1,)])

    def busy(*_: Any) -> Any:
        tries.append(1)
        raise Busy("taken")

    monkeypatch.setattr(TableLog, "commit", busy)
    with pytest.raises(Busy):
        build_bench.build(full=True)
    assert len(tries) == 1 + building.TRIES


def test_a_build_that_died_left_nothing_that_is_seen_and_is_swept_away(
    build_bench: BuildBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_bench.stage(IDS)
    build_bench.raw(values(1))
    build_bench.build()
    build_bench.raw(values(2))

    put_if_absent = LocalLake.put_if_absent

    def die_at_the_manifest(self: LocalLake, path: str, data: bytes) -> bool:
        if "/manifests/" in path:
            raise KeyboardInterrupt
        return put_if_absent(self, path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalLake, "put_if_absent", die_at_the_manifest)
        build_bench.build()
    stored = build_bench.folder / "lake/staging"
    assert len(list(stored.rglob("*.parquet"))) == 2
    assert build_bench.rows() == [(1,)]
    build_bench.build()
    assert build_bench.rows() == [(1,), (2,)]
    build_bench.build(full=True)
    assert len(list(stored.rglob("*.parquet"))) == 3
    assert sound(build_bench)


def test_rows_lie_in_folders_by_partition(build_bench: BuildBench) -> None:
    build_bench.stage(PLAIN, partition_by=["state"])
    build_bench.raw(ORDERS.replace("'B'", "NULL"))
    build_bench.build()
    folders = {path.name for path in (build_bench.folder / "lake/staging/sales/orders").iterdir()}
    assert folders == {"state=A", "state=DELETED", "state=__HIVE_DEFAULT_PARTITION__"}
    assert build_bench.rows("id, state") == [(1, "A"), (2, None), (3, "DELETED")]


def test_types_are_kept_as_the_lake_keeps_them(build_bench: BuildBench) -> None:
    build_bench.stage({"type": "drop", "columns": ["_ingested_at", "_source", "_source_file", "_run_id"]})
    build_bench.raw(
        "SELECT 1::TINYINT AS a, 2::UINTEGER AS b, 1.5::FLOAT AS f, [1, 2] AS l, uuid() AS u, '\\x00'::BLOB AS x"
    )
    build_bench.stage(
        {
            "type": "aggregate",
            "group_by": ["a", "b", "f", "l", "x"],
            "measures": {"s": "sum(a)", "big": "max(b)::UBIGINT"},
        }
    )
    build_bench.build()
    types = dict(build_bench.ask("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'orders' "
                                 "AND schema_name = 'staging/sales'"))  # fmt: skip
    assert types == {
        "a": "SMALLINT", "b": "BIGINT", "f": "FLOAT", "l": "VARCHAR", "x": "BLOB", "s": "DECIMAL(38,0)",
        "big": "DECIMAL(20,0)",
    }  # fmt: skip


# Quality checks

NO_NULLS = {"type": "not_null", "columns": ["id"]}


def test_a_check_that_refuses_leaves_the_table_as_it_was(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, quality_checks=[NO_NULLS, {"type": "unique", "columns": ["id"]}])
    build_bench.raw(values(1))
    build_bench.build()
    before = sorted((build_bench.folder / "lake/staging").rglob("*"))
    build_bench.raw("FROM (VALUES (NULL::INT), (1)) t(id)")
    with pytest.raises(ChecksRefused) as refused:
        build_bench.build()
    assert refused.value.exit_code == 3
    told = "pipelines.yaml: pipelines[orders]: not_null(id) refuses it: "
    assert refused.value.what.startswith(told), refused.value.what
    assert "1 of 3 rows" in refused.value.what and "unique(id) refuses it" in refused.value.what
    assert [(c.check, c.state) for c in refused.value.checks] == [
        ("not_null(id)", "refused"),
        ("unique(id)", "refused"),
    ]
    assert sorted((build_bench.folder / "lake/staging").rglob("*")) == before
    assert build_bench.rows() == [(1,)]
    record = build_bench.records()[-1]
    assert (record.state, [c.failed for c in record.checks]) == ("failed", [1, 2])


def test_rows_are_put_aside_with_their_reason_and_the_others_go_on(build_bench: BuildBench) -> None:
    checks = [
        {**NO_NULLS, "on_failure": "quarantine"},
        {"type": "valid_values", "column": "state", "values": ["A", "B"], "on_failure": "quarantine"},
        {"type": "range", "column": "id", "max": 1, "severity": "warn"},
    ]
    build_bench.stage({"type": "select", "columns": ["id", "state"]}, quality_checks=checks, partition_by=["state"])
    build_bench.raw("FROM (VALUES (1, 'A'), (2, 'B'), (NULL, 'A'), (NULL, 'X'), (3, 'X')) t(id, state)")
    report = build_bench.build()
    assert (report.rows, report.quarantined) == (2, 3)
    assert [check.state for check in report.checks] == ["quarantined", "quarantined", "warned"]
    assert build_bench.rows() == [(1, "A"), (2, "B")]
    assert build_bench.quarantined() == [
        (3, "X", "valid_values(state)"), (None, "A", "not_null(id)"),
        (None, "X", "not_null(id); valid_values(state)"),
    ]  # fmt: skip
    aside = 'SELECT state, _reason FROM "staging/sales".orders__quarantine ORDER BY ALL'
    assert build_bench.ask(aside)[0] == ("A", "not_null(id)")
    assert len(build_bench.ask(aside)) == 3
    assert [s.column for s in report.statistics] == ["id", "state"]
    assert (report.statistics[0].nulls, report.statistics[0].maximum) == (0, "2")
    assert sound(build_bench)


def test_all_rows_may_be_put_aside(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, quality_checks=[{**NO_NULLS, "on_failure": "quarantine"}])
    build_bench.raw("SELECT NULL::INTEGER AS id")
    assert (build_bench.build().rows, build_bench.rows(), build_bench.quarantined()) == (
        0,
        [],
        [(None, "not_null(id)")],
    )


def test_merge_puts_a_row_aside_once(build_bench: BuildBench) -> None:
    check = {"type": "range", "column": "n", "min": 0, "on_failure": "quarantine"}
    build_bench.stage({"type": "drop", "columns": ["_source"]}, mode="merge", keys=["id"], quality_checks=[check])
    build_bench.raw("FROM (VALUES (1, -1), (2, 2)) t(id, n)", whole=True)
    assert build_bench.build().quarantined == 1
    build_bench.raw("FROM (VALUES (1, -1), (2, 2), (3, -3)) t(id, n)", whole=True)
    report = build_bench.build()
    assert (report.rows, report.quarantined) == (0, 1)
    assert build_bench.rows("id, n") == [(2, 2)]


def test_a_table_that_grows_stale_is_told_though_nothing_has_changed(
    build_bench: BuildBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = {"type": "freshness", "column": "at", "max_age": "1 hour"}
    build_bench.stage({"type": "select", "columns": ["at"]}, quality_checks=[check])
    build_bench.raw("SELECT now() AS at")
    assert build_bench.build().state is DONE
    report = build_bench.build()
    assert (report.state, [c.state for c in report.checks]) == (UNCHANGED, ["passed"])

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) + timedelta(hours=2)

    monkeypatch.setattr("tasks.build.run_checks.datetime", Tomorrow)
    with pytest.raises(ChecksRefused, match="freshness"):
        build_bench.build()
    assert len(build_bench.generations()) == 1


def test_a_foreign_key_may_look_at_a_table_that_is_not_read(build_bench: BuildBench) -> None:
    key = {"type": "foreign_key", "column": "id", "references": "raw.shop.customers(cid)"}
    build_bench.stage(IDS, quality_checks=[key])
    build_bench.raw(values(1, 2))
    with pytest.raises(ConfigError, match=r"reads raw.shop.customers, which is neither in the lake nor built"):
        build_bench.build()
    build_bench.raw("SELECT 1 AS cid", "raw/shop/customers")
    with pytest.raises(ChecksRefused, match=r"foreign_key\(id -> raw.shop.customers\)"):
        build_bench.build()
    build_bench.raw("SELECT 2 AS cid", "raw/shop/customers")
    assert build_bench.build().inputs == ("raw/shop/orders", "raw/shop/customers")


def test_a_foreign_key_may_refer_to_the_table_itself(build_bench: BuildBench) -> None:
    check = {"type": "foreign_key", "column": "boss", "references": "staging.sales.orders(id)"}
    build_bench.stage(mode="append", quality_checks=[{**check, "on_failure": "quarantine"}])
    build_bench.raw("FROM (VALUES (1, NULL), (2, 1), (3, 9)) t(id, boss)")
    assert (build_bench.build().rows, build_bench.rows("id")) == (2, [(1,), (2,)])
    build_bench.raw("FROM (VALUES (4, 1), (5, 3)) t(id, boss)")
    assert build_bench.build().rows == 1
    build_bench.raw("SELECT 1 AS id, 1 AS boss WHERE false")
    assert build_bench.build().rows == 0


def test_a_check_that_looks_at_the_clock_is_carried_out_each_time(build_bench: BuildBench) -> None:
    build_bench.raw(ORDERS)
    build_bench.stage(IDS, quality_checks=[{"type": "expression", "condition": "now() > TIMESTAMPTZ '2020-01-01'"}])
    assert (build_bench.build().state, build_bench.build().state) == (DONE, DONE)


def test_a_check_on_a_missing_column_is_named_before_anything_is_read(build_bench: BuildBench) -> None:
    build_bench.stage(IDS, quality_checks=[{"type": "not_null", "columns": ["idd"]}])
    build_bench.raw(values(1))
    with pytest.raises(ConfigError, match=r"pipelines\[orders\].quality_checks\[0\] \(not_null\).*idd"):
        build_bench.build()
    assert [record.job for record in build_bench.records()] == []


# What is wrong with data and definitions


def test_a_value_that_cannot_be_cast_is_shown_with_its_step(build_bench: BuildBench) -> None:
    build_bench.stage(PLAIN, {"type": "cast", "columns": {"id": "text", "amount": "integer"}})
    build_bench.raw(
        "FROM (VALUES (1, 'A', '5'), (2, 'B', 'five'), (3, 'C', 'six'), (4, 'C', 'six')) t(id, state, amount)"
    )
    with pytest.raises(GateFailed) as refused:
        build_bench.build()
    assert refused.value.what == (
        "pipelines.yaml: pipelines[orders].transforms[1]: step 2 (cast): 3 values of 'amount' cannot be made integer: "
        "'five', 'six'."
    )
    assert build_bench.generations() == []
    assert build_bench.records()[-1].state == "failed"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"source": "raw.shop.order"}, "raw.shop.order, which is neither .*; did you mean 'raw.shop.orders'"),
        ({"partition_by": ["x"]}, r"partition_by: there is no column 'x' in the result"),
        ({"partition_by": ["amount"]}, "'amount' .DOUBLE. cannot name a folder"),
        ({"mode": "merge", "keys": ["idd"]}, "keys: there is no column 'idd' in the result; did you mean 'id'"),
        ({"model": "nowhere:Model"}, "'nowhere:Model' cannot be imported"),
        ({"transforms": [{"python": "nowhere:f"}]}, "'nowhere:f' cannot be imported: ModuleNotFoundError"),
        ({"transforms": [{"python": "json:load_"}]}, "the module json has no 'load_'; did you mean 'load'"),
        ({"transforms": [{"type": "derive", "columns": {"_reason": "1"}}]}, "has a column '_reason'"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_before_anything_is_read(
    build_bench: BuildBench, more: dict[str, Any], told: str
) -> None:
    entry = {"name": "orders", "source": "raw.shop.orders", "destination": STAGED, **more}
    build_bench.configure(entry)
    build_bench.raw("SELECT 1 AS id, 1.5::DOUBLE AS amount")
    with pytest.raises(ConfigError, match=told) as refused:
        build_bench.build()
    assert refused.value.state
    assert not (build_bench.folder / "lake/staging").exists()


# Functions of one's own


@pytest.fixture
def functions(build_bench: BuildBench, request: pytest.FixtureRequest) -> str:
    """A module of the project's own, of a name that no other test has."""
    name = re.sub(r"\W", "_", f"own_{request.node.name}")
    (build_bench.folder / f"{name}.py").write_text(
        "import polars as pl\n"
        "def double(frame): return frame.with_columns(id=pl.col('id') * 2, word=pl.lit('x'))\n"
        "def eager(frame): return frame.collect()\n"
        "def wrong(frame): return 5\n"
        "def fails(frame): raise KeyError('boom')\n"
        "def fails_late(frame): return frame.select(pl.col('nope'))\n"
        "def same(frame): return frame\n"
        "def nothing(frame): return frame.select()\n"
        "def twice(frame): return frame.select('id', ID=pl.lit(1))\n"
    )
    return name


def test_a_function_stands_between_two_steps(build_bench: BuildBench, functions: str) -> None:
    build_bench.stage(
        IDS, {"python": f"{functions}:double"}, {"type": "filter", "condition": "id > 2"},
        {"type": "python", "function": f"{functions}:eager"}, {"type": "derive", "columns": {"w": "upper(word)"}},
    )  # fmt: skip
    build_bench.raw(values(1, 2, 3))
    report = build_bench.build()
    assert build_bench.rows() == [(4, "x", "X"), (6, "x", "X")]
    assert report.lineage == {}
    assert build_bench.build().state is UNCHANGED
    build_bench.stage(IDS, {"python": f"{functions}:double"}, {"type": "filter", "condition": "now() IS NOT NULL"})
    assert (build_bench.build().state, build_bench.build().state) == (DONE, DONE)
    assert f"-- then {functions}:double" in (build_bench.build(dry_run=True, full=True).sql or "")


@pytest.mark.parametrize(
    ("function", "told"),
    [("wrong", "must return a Polars LazyFrame .it returned int."), ("fails", "failed: KeyError: 'boom'"),
     ("fails_late", "failed: ColumnNotFoundError"), ("nothing", "returned no column"),
     ("twice", "returned the columns 'id' and 'ID'")],
)  # fmt: skip
def test_a_function_that_fails_is_named_and_nothing_is_built(
    build_bench: BuildBench, functions: str, function: str, told: str
) -> None:
    build_bench.stage(IDS, {"python": f"{functions}:{function}"})
    build_bench.raw(values(1))
    with pytest.raises(TidegateError, match=rf"transforms\[1\]: step 2 \(python\).*{told}"):
        build_bench.build()
    assert build_bench.generations() == []


def test_types_go_through_a_function(build_bench: BuildBench, functions: str) -> None:
    build_bench.stage({"python": f"{functions}:same"}, {"type": "drop", "columns": ["_run_id"]})
    build_bench.raw(
        "SELECT TIME '10:00:00.123456' AS t, NULL::TIME AS n, TIMESTAMP 'infinity' AS i, 1.5::DECIMAL(38,10) AS d, "
        "TIMESTAMPTZ '2024-01-01 10:00:00+02' AS z, '\\x00\\xff'::BLOB AS b, 'nan'::DOUBLE AS f, "
        "DATE '0044-01-01 (BC)' AS a"
    )
    build_bench.build()
    raw = {column.name: column for column in build_bench.generations("raw/shop/orders")[-1].columns}
    assert all(column == raw[column.name] for column in build_bench.generations()[-1].columns)
    columns = "t, n, d, z, b, i::VARCHAR, f::VARCHAR, a::VARCHAR"
    assert build_bench.rows(columns) == build_bench.rows(columns, '"raw/shop".orders')


def test_a_step_after_a_function_names_the_column_that_it_did_not_return(
    build_bench: BuildBench, functions: str
) -> None:
    build_bench.stage(IDS, {"python": f"{functions}:double"}, {"type": "drop", "columns": ["wird"]})
    build_bench.raw(values(1))
    with pytest.raises(ConfigError, match=r"step 3 \(drop\): there is no column 'wird' here; did you mean 'word'"):
        build_bench.build()
    assert build_bench.generations() == []


# On S3


def test_all_of_it_works_in_a_bucket(
    build_bench: BuildBench, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    build_bench.settings |= {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}/odd [a]*"}
    check = {"type": "range", "column": "n", "min": 0, "on_failure": "quarantine"}
    build_bench.stage(mode="merge", keys=["id"], partition_by=["id"], quality_checks=[check])
    build_bench.raw("FROM (VALUES (1, -1), (2, 2)) t(id, n)", whole=True)
    assert (build_bench.build().quarantined, build_bench.build().state) == (1, UNCHANGED)
    build_bench.raw("FROM (VALUES (1, -1), (2, 3), (3, 3)) t(id, n)", whole=True)
    report = build_bench.build()
    assert (report.rows, report.quarantined) == (2, 0)
    assert build_bench.rows("id, n") == [(2, 3), (3, 3)]
    assert sound(build_bench)


# Memory


def test_what_does_not_fit_into_memory_spills_and_without_a_disk_it_fails_and_says_so(
    build_bench: BuildBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_bench.settings |= {"memory_limit": "150MB"}
    build_bench.stage(
        {"type": "deduplicate", "keys": ["id"]}, quality_checks=[NO_NULLS, {"type": "unique", "columns": ["id"]}]
    )
    rows = 450_000
    texts = "md5(g::text) || md5((g + 1)::text) AS a, md5((g + 2)::text) || md5((g + 3)::text) AS b"
    build_bench.raw(f"SELECT (g * 7919) % {rows} AS id, {texts} FROM range({rows + 999}) t(g)")
    duck = building.duck

    @contextmanager
    def without_a_disk(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
        with duck(settings) as connection:
            connection.execute("SET max_temp_directory_size = '1MB'")
            yield connection

    with monkeypatch.context() as patch, pytest.raises(LakeError, match=r"pipelines\[orders\]: DuckDB: Out of Memory"):
        patch.setattr(building, "duck", without_a_disk)
        build_bench.build()
    assert build_bench.generations() == []
    assert build_bench.build().rows == rows


def test_merge_is_the_model(tmp_path: Path) -> None:
    """Rows of the result that the table does not have just so: by hypothesis, against a dictionary."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from blocks.lake_types import arrow_columns, stored_as
    from blocks.write_query import write_query

    table = st.dictionaries(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 2)), max_size=6)
    connection = duckdb.connect()

    @settings(max_examples=40, deadline=None)
    @given(table, table)
    def merged(present: dict[int, int | None], result: dict[int, int | None]) -> None:
        def query(rows: dict[int, int | None]) -> str:
            listed = ", ".join(f"({k}, {'NULL' if v is None else v}::INT)" for k, v in rows.items())
            return f"SELECT * FROM (VALUES {listed or '(0, 0)'}) t(k, v) {'' if rows else 'WHERE false'}"

        connection.execute(f"CREATE OR REPLACE VIEW present AS {query(present)}")
        columns = arrow_columns(stored_as(connection, query(result)))
        files = write_query(connection, query(result), tmp_path)
        types = {"k": "INTEGER", "v": "INTEGER"}
        found = rows_that_differ(connection, files, columns, "present", types, ["k"], tmp_path)
        rows = [row for f in found for row in connection.execute(f"FROM '{f.local}'").fetchall()]
        assert dict(rows) == {k: v for k, v in result.items() if k not in present or present[k] != v}

    merged()
