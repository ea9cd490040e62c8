"""Legal holds: rows that are neither purged, nor erased, nor expired, until the hold is lifted."""

from datetime import UTC, datetime
from typing import Any

import pytest
from service_bench import Bench

from schemas.erasure import ErasureRequest, StillNeeded
from schemas.errors import ConfigError
from tasks.audit import audit
from tasks.erase import erase_rows
from tasks.expire import expire_windows
from tasks.views import open_views
from tidegate.dataset_status import dataset_status

CASE = {"name": "case-9", "keys": ["17", "42", "999"]}
TAX = {"name": "tax", "where": "shop = 'shop 1' AND amount < 30"}


@pytest.fixture
def orders(bench: Bench) -> Bench:
    """100 orders of January 2024."""
    bench.fill_orders(100)
    return bench


def left(bench: Bench) -> list[int]:
    return [number for (number,) in bench.sql("SELECT id FROM orders ORDER BY id")]


@pytest.mark.parametrize(
    ("holds", "stay"),
    [([CASE], [17, 42]), ([TAX], [1, 4, 7, 10, 13, 16, 19]), ([CASE, TAX], [1, 4, 7, 10, 13, 16, 17, 19, 42])],
    ids=["keys", "where", "both"],
)
def test_held_rows_are_archived_and_stay_in_the_source(orders: Bench, holds: list[Any], stay: list[int]) -> None:
    orders.configure(holds=holds)
    report = orders.run()
    assert left(orders) == stay
    assert orders.lake_rows("count(*)", "1") == [(100,)]
    (receipt,) = orders.generations()[0].receipts
    assert (receipt.archived, receipt.deleted, receipt.held) == (100, 100 - len(stay), len(stay))
    assert report.totals["held"] == len(stay)
    counts = dataset_status(orders.lake, "orders").counts
    assert (counts.deleted, counts.held, counts.already_gone) == (100 - len(stay), len(stay), 0)
    before = orders.records()
    orders.run()
    assert orders.records() == before, "as long as the holds are the same, there is nothing to do"


def test_rows_are_purged_by_the_next_run_when_the_hold_is_lifted(orders: Bench) -> None:
    orders.configure(holds=[CASE])
    orders.run()
    orders.configure(holds=[{**CASE, "keys": ["17"]}])
    orders.run()
    assert left(orders) == [17]
    orders.configure(holds=None)
    report = orders.run()
    assert (left(orders), report.totals["deleted"]) == ([], 1)
    counts = dataset_status(orders.lake, "orders").counts
    assert (counts.deleted, counts.held, counts.already_gone) == (100, 0, 0)
    before = orders.records()
    orders.run()
    assert orders.records() == before
    assert audit(orders.config_dir).findings == ()


def test_hold_under_another_name_covers_the_same_rows_and_makes_no_work(orders: Bench) -> None:
    orders.configure(holds=[CASE])
    orders.run()
    before = orders.records()
    orders.configure(holds=[{**CASE, "name": "another"}])
    orders.run()
    assert orders.records() == before


def test_hold_that_comes_after_the_export_keeps_its_rows(orders: Bench) -> None:
    orders.run(purging=False)
    orders.configure(holds=[CASE])
    orders.run()
    assert left(orders) == [17, 42]


def test_held_row_that_changes_is_archived_again_and_still_held(orders: Bench) -> None:
    orders.configure(holds=[CASE])
    orders.run()
    orders.sql("UPDATE orders SET note = 'changed' WHERE id = 17")
    orders.run()
    assert left(orders) == [17, 42]
    orders.configure(holds=None)
    orders.run()
    assert left(orders) == []
    assert audit(orders.config_dir).findings == ()


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ({"keys": ["Ada"]}, r"holds\[x\]\.keys: number 1 cannot be read as a key"),
        ({"where": "shoe = 1"}, r'holds\[x\]\.where cannot be evaluated .*"shoe"'),
        ({"where": "shop"}, r"holds\[x\]\.where is no condition"),
        ({"where": "id = 1; SELECT 1"}, r"holds\[x\]\.where is not one SQL expression"),
    ],
)
def test_nothing_is_purged_while_a_hold_cannot_be_read(orders: Bench, hold: dict[str, Any], said: str) -> None:
    orders.run(purging=False)
    orders.configure(holds=[{"name": "x", **hold}])
    manifest = orders.generations()[0].manifest.path
    with pytest.raises(ConfigError, match=said) as refused:
        orders.purge(manifest)
    assert "Ada" not in str(refused.value)
    assert orders.count() == 100


def test_held_keys_are_found_as_the_database_reads_them(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id uuid, n char(4), placed_at timestamptz, PRIMARY KEY (id, n))")
    bench.sql("INSERT INTO orders SELECT md5(g::text)::uuid, g, '2024-01-05' FROM generate_series(1, 50) g")
    [(key,)] = bench.sql("SELECT upper(md5('17'))")
    bench.configure(holds=[{"name": "case-9", "keys": [f"{key},17"]}])
    bench.run()
    assert bench.sql("SELECT n FROM orders") == [("17  ",)]


FAMILY = """
CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz, note text);
CREATE TABLE lines (order_no bigint REFERENCES orders, line int, who text, PRIMARY KEY (order_no, line));
INSERT INTO orders SELECT g, '2024-01-01 00:00:00+00'::timestamptz + g * interval '1 day', 'n'
FROM generate_series(1, 50) g;
INSERT INTO lines SELECT g, l, 'person ' || g FROM generate_series(1, 50) g, generate_series(1, 2) l
"""


@pytest.fixture
def family(bench: Bench) -> Bench:
    """50 orders of two months, two lines each, which leave together."""
    for text in FAMILY.split(";"):
        bench.sql(text)
    bench.configure(children=[{"table": "public.lines"}], retention="5 years")
    return bench


def families(bench: Bench) -> list[tuple[int, int]]:
    return bench.sql("SELECT id, (SELECT count(*) FROM lines WHERE order_no = id) FROM orders ORDER BY 1")


def test_children_stay_with_a_row_that_is_held_and_leave_with_it(family: Bench) -> None:
    family.configure(holds=[CASE])
    family.run()
    assert families(family) == [(17, 2), (42, 2)]
    before = family.records()
    family.run()
    assert family.records() == before
    now = datetime(2029, 2, 5, tzinfo=UTC)
    report = expire_windows(family.project, family.project.archives[0], "run", dry_run=True, now=now)
    assert [(one.dataset, one.outcome.value) for one in report.generations] == [("lines", "held"), ("orders", "held")]
    family.configure(holds=None)
    family.run()
    assert families(family) == []
    report = expire_windows(family.project, family.project.archives[0], "run", now=now)
    assert [(one.dataset, one.outcome.value) for one in report.generations] == [
        ("lines", "expired"),
        ("orders", "expired"),
    ]
    assert audit(family.config_dir).findings == ()


def test_children_are_erased_together_with_their_row(family: Bench) -> None:
    family.run()
    archive = family.project.archives[0]
    report = erase_rows(family.project, archive, ErasureRequest.of(keys=["17"]), "run")
    assert [(one.dataset, one.rows) for one in report.generations] == [("lines", 2), ("orders", 1)]
    with open_views(family.lake, family.project.settings) as connection:
        assert connection.execute("SELECT count(*) FROM lines WHERE who = 'person 17'").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM lines").fetchall() == [(98,)]
    assert audit(family.config_dir).findings == ()
    family.sql("INSERT INTO orders VALUES (18, '2024-01-19', 'again')")
    with pytest.raises(StillNeeded):
        erase_rows(family.project, archive, ErasureRequest.of(keys=["18"]), "run")
    erase_rows(family.project, archive, ErasureRequest.of(where="id = 19"), "run")
    with pytest.raises(ConfigError, match="foreign_key"):
        erase_rows(family.project, archive, ErasureRequest.of(keys=["20"]), "run", without_source=True)


def test_a_key_that_is_in_no_row_is_warned_of(orders: Bench, caplog: pytest.LogCaptureFixture) -> None:
    orders.configure(holds=[CASE])
    with caplog.at_level("WARNING", logger="tidegate"):
        orders.job()
    assert 'archives[orders].holds[case-9]: 1 of 3 keys are in no row of "public"."orders".' in caplog.text
    assert "999" not in caplog.text, "a key may be a person's name"
    caplog.clear()
    orders.configure(holds=[{"name": "case-9", "keys": ["17", "42"]}])
    orders.job()
    assert caplog.text == ""
