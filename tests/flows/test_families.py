"""Families: rows that leave together with the rows of other tables that belong to them, or not at all."""

import signal
from datetime import datetime

import duckdb
import psycopg
import pytest
from service_bench import Bench

from blocks.ledger import Generation, generations_of
from schemas.errors import ConfigError
from schemas.purge_outcome import PurgeOutcome
from schemas.report import RunReport
from schemas.restore import RestoreRequest
from tasks import delete_batches
from tasks.audit import audit
from tasks.purge_unit import by_window, in_units
from tasks.restore import restore_rows
from tasks.vacuum_source import vacuum_source

TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz, note text);
CREATE TABLE order_items (order_id bigint REFERENCES orders, line int, product text, amount numeric(12,2),
    PRIMARY KEY (order_id, line));
CREATE TABLE payments (id uuid PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, paid numeric);
CREATE INDEX ON payments (order_id);
INSERT INTO orders SELECT g, '2024-01-01 00:00:00+00'::timestamptz + g * interval '1 day', 'note ' || g
FROM generate_series(1, 90) g;
INSERT INTO order_items SELECT g, line, 'product ' || line, g * 1.5
FROM generate_series(1, 90) g, generate_series(1, g % 4) line;
INSERT INTO payments SELECT md5(g::text)::uuid, g, g * 2 FROM generate_series(1, 90, 2) g
"""
CHILDREN = [{"table": "public.order_items"}, {"table": "public.payments"}]


@pytest.fixture
def family(bench: Bench) -> Bench:
    """Ninety orders of three months; every fourth has no item, every other one has a payment."""
    for text in TABLES.split(";"):
        bench.sql(text)
    bench.configure(children=CHILDREN, to="2024-03-01", purge={"mode": "delete", "batch_rows": 7})
    return bench


def left(bench: Bench) -> list[tuple[int, int, int]]:
    """Return (order, items, payments) of all orders that are left."""
    return bench.sql(
        "SELECT id, (SELECT count(*) FROM order_items i WHERE i.order_id = o.id), "
        "(SELECT count(*) FROM payments p WHERE p.order_id = o.id) FROM orders o ORDER BY id"
    )


def in_lake(bench: Bench, dataset: str, columns: str, order: str) -> list[tuple[object, ...]]:
    """Return the rows of all committed generations of a dataset."""
    files = [
        str(bench.folder / "lake" / path)
        for g in generations_of(bench.lake, bench.job())
        if g.manifest.dataset == dataset
        for path in g.files
    ]
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM read_parquet({files}) ORDER BY {order}").fetchall()


def newest(bench: Bench) -> dict[tuple[str, str], Generation]:
    found = generations_of(bench.lake, bench.job())
    return {(g.manifest.dataset, str(g.manifest.window)): g for g in found}


def test_a_family_is_archived_in_one_snapshot_and_leaves_together(family: Bench) -> None:
    items, payments = (
        family.sql("SELECT order_id, line, product, amount FROM order_items WHERE order_id < 60 ORDER BY 1, 2"),
        (family.sql("SELECT id::text, order_id, paid::text FROM payments WHERE order_id < 60 ORDER BY 2")),
    )
    before = left(family)
    report = family.run()
    assert left(family) == [row for row in before if row[0] >= 60]
    assert in_lake(family, "order_items", "order_id, line, product, amount", "1, 2") == items
    assert in_lake(family, "payments", "id, order_id, paid", "2") == payments
    assert len(in_lake(family, "orders", "id", "1")) == 59
    snapshots = {(str(g.manifest.window), g.manifest.attestation.snapshot) for g in newest(family).values()}
    assert len(snapshots) == 2, "one a window"
    assert report.totals["deleted"] == report.totals["archived"] == 59 + len(items) + len(payments)
    for generation in newest(family).values():
        (receipt,) = generation.receipts
        assert receipt.deleted == generation.manifest.attestation.rows


def test_a_finished_family_is_not_touched_again(family: Bench) -> None:
    family.run()
    records = family.records()
    family.run("again")
    assert family.records() == records


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE orders SET note = 'changed' WHERE id = 7",
        "UPDATE order_items SET product = 'another' WHERE order_id = 7 AND line = 2",
        "INSERT INTO order_items VALUES (7, 9, 'late', 1)",
        "UPDATE order_items SET order_id = 7, line = 17 WHERE order_id = 75 AND line = 1",
        "UPDATE payments SET paid = paid + 1 WHERE order_id = 7",
        "INSERT INTO payments VALUES ('00000000-0000-0000-0000-000000000000', 7, 1)",
    ],
)
def test_a_family_of_which_one_row_is_not_proven_stays_whole_until_the_next_run(family: Bench, text: str) -> None:
    family.run(purging=False)
    family.sql(text)
    before = next(row for row in left(family) if row[0] == 7)
    job = family.job()
    manifests = [g.manifest.path for g in by_window(generations_of(family.lake, job))]
    for unit, _ in in_units(job, manifests, manifests):
        for outcome in family._outcomes(job, unit, "purge"):
            assert outcome.error is None
    assert [row for row in left(family) if row[0] < 60] == [before]
    report: RunReport = family.run("next")
    assert report.state == "done"
    assert [row for row in left(family) if row[0] < 60] == []
    assert family.sql("SELECT count(*) FROM order_items WHERE order_id = 7") == [(0,)]


def test_a_child_that_comes_while_its_family_leaves_keeps_it_for_the_next_run(
    family: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new item's transaction holds the order: it is not waited for, and the order is not taken apart."""
    monkeypatch.setattr(delete_batches, "PASSES_S", (0.1,))
    family.run(purging=False)
    with psycopg.connect(family.url) as writer:
        writer.execute("INSERT INTO order_items VALUES (7, 9, 'uncommitted', 1)")
        report = family.failed_run()
        writer.commit()
    assert "1 rows are locked by others" in str(report.windows[0].error)
    assert [row for row in left(family) if row[0] < 60] == [(7, 4, 1)]
    family.run("next")
    assert [row for row in left(family) if row[0] < 60] == []


def test_a_role_that_may_not_lock_rows_is_told_what_to_grant(family: Bench) -> None:
    family.sql("CREATE ROLE clerk_of_families LOGIN PASSWORD 'x'")
    owner = family.url
    try:
        family.sql("GRANT SELECT, DELETE ON orders, order_items, payments TO clerk_of_families")
        family.url = "postgresql://clerk_of_families:x@" + owner.rpartition("@")[2]
        family.configure()
        with pytest.raises(ConfigError, match="may not lock rows"):
            family.job()
        family.job(purge=False)
    finally:
        family.url = owner
        family.sql("DROP OWNED BY clerk_of_families")
        family.sql("DROP ROLE clerk_of_families")


def test_a_family_too_large_is_refused_by_key_and_may_be_allowed(family: Bench) -> None:
    family.sql("INSERT INTO order_items SELECT 7, g, 'many', 1 FROM generate_series(100, 149) g")
    family.configure(purge={"mode": "delete", "batch_rows": 7, "max_family_rows": 20})
    report = family.failed_run()
    assert "more than purge.max_family_rows (20)" in str(report.windows[0].error)
    assert "the row with key 7" in str(report.windows[0].error)
    assert 7 in {row[0] for row in left(family)}
    family.configure(purge={"mode": "delete", "batch_rows": 7, "max_family_rows": 100})
    family.run("next")
    assert [row for row in left(family) if row[0] < 60] == []


def test_tables_that_refer_to_the_table_are_named_before_anything_is_read(family: Bench) -> None:
    family.configure(children=None)
    refusal = family.refusal()
    assert "order_items_order_id_fkey on public.order_items (order_id), ON DELETE NO ACTION" in refusal.what
    assert "children" in refusal.next_step
    family.configure(children=CHILDREN[:1])
    assert "payments_order_id_fkey on public.payments (order_id), ON DELETE CASCADE" in family.refusal().what


def test_references_that_are_taken_care_of_elsewhere_are_left_to_the_database(family: Bench) -> None:
    family.sql("DROP TABLE payments")
    family.configure(children=None, purge={"mode": "delete", "references": "check"})
    report = family.failed_run()
    assert "still referenced" in str(report.windows[0].error)
    assert len(left_without_payments(family)) == 90


def left_without_payments(bench: Bench) -> list[tuple[int]]:
    return bench.sql("SELECT id FROM orders")


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ([{"table": "public.nobody"}], "There is no table public.nobody"),
        ([{"table": "public.strangers"}], "no foreign key that refers"),
        ([*CHILDREN, {"table": "public.twice"}], "in more than one way"),
        ([*CHILDREN, {"table": "public.keyless"}], "has no primary key"),
        ([*CHILDREN, {"table": "public.parents"}], "other tables refer to its rows in turn"),
        ([{"table": "public.order_items", "folder": "orders"}], "folders of their own"),
    ],
)
def test_children_that_cannot_be_are_refused(family: Bench, children: list[dict[str, str]], message: str) -> None:
    family.sql("CREATE TABLE strangers (id int PRIMARY KEY)")
    if len(children) > 2:
        table = children[-1]["table"].removeprefix("public.")
        columns = {
            "twice": "id int PRIMARY KEY, a bigint REFERENCES orders, b bigint REFERENCES orders",
            "keyless": "a bigint REFERENCES orders",
            "parents": "id int PRIMARY KEY, a bigint REFERENCES orders",
        }[table]
        family.sql(f"CREATE TABLE {table} ({columns})")
        if table == "parents":
            family.sql("CREATE TABLE grandchildren (id int PRIMARY KEY, parent int REFERENCES parents)")
    family.configure(children=children)
    with pytest.raises(ConfigError, match=message):
        family.job()


def test_a_child_without_an_index_is_named_with_the_statement_to_create_it(
    family: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    family.sql("DROP INDEX payments_order_id_idx")
    with caplog.at_level("INFO", logger="tidegate"):
        family.job()
    assert 'CREATE INDEX CONCURRENTLY ON "public"."payments" ("order_id")' in caplog.text
    assert "order_items" not in caplog.text


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_between_the_tables_of_a_family_loses_nothing(family: Bench, moment: str) -> None:
    family.run(purging=False)
    before = left(family)
    killed = family.in_another_process(
        "from blocks.dialects.postgresql.family import PostgresFamily as F\n"
        "real, calls = F._delete_rows, []\n"
        "def die(self, rows, whole):\n"
        "    calls.append(1)\n"
        f"    if len(calls) == 8 and {moment == 'before'}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    result = real(self, rows, whole)\n"
        "    if len(calls) == 8: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return result\n"
        "F._delete_rows = die\n"
        "bench.run('killed')"
    )
    assert killed.wait(60) == -signal.SIGKILL
    rest = left(family)
    assert set(rest) < set(before), "batches that were committed are gone, and each order that is left is whole"
    family.run("next")
    assert [row for row in left(family) if row[0] < 60] == []
    receipts = [r for g in newest(family).values() for r in g.receipts]
    assert sum(r.interrupted_before for r in receipts) > 0
    assert all(r.archived == r.deleted + r.already_gone for r in receipts)


def test_after_a_family_has_left_its_childrens_tables_are_vacuumed_too(family: Bench) -> None:
    family.configure(purge={"mode": "delete", "batch_rows": 50, "vacuum": "end"})
    job, outcome = family.job(), PurgeOutcome(manifest="x", deleted=1)
    query = "SELECT relname::text, vacuum_count FROM pg_stat_user_tables ORDER BY 1"
    before = dict(family.sql(query))
    vacuum_source(job, [outcome])
    assert dict(family.sql(query)) == {table: count + 1 for table, count in before.items()}
    assert sorted(before) == ["order_items", "orders", "payments"]


def test_a_family_comes_back_equal_table_by_table_and_the_audit_agrees(family: Bench) -> None:
    tables = {"orders": "id", "order_items": "order_id, line", "payments": "order_id"}
    before = {table: family.sql(f"SELECT * FROM {table} ORDER BY {order}") for table, order in tables.items()}
    family.run()
    assert audit(family.config_dir, "orders").findings == ()
    assert {name.dataset for name in audit(family.config_dir, "orders").datasets} == set(tables)
    for table in tables:
        request = RestoreRequest.of(from_=datetime(2024, 1, 1), to=datetime(2024, 3, 1))
        restore_rows(family.project, family.project.member(table), request)
    assert {table: family.sql(f"SELECT * FROM {table} ORDER BY {order}") for table, order in tables.items()} == before
    again = family.run("again")
    assert again.totals["archived"] == 0, "restored rows are known by their digests"
    assert [row for row in left(family) if row[0] < 60] == []


def test_a_family_that_is_out_of_scope_by_now_stays(family: Bench) -> None:
    family.configure(purge={"mode": "none"})
    family.run()
    family.configure(where="note <> 'note 5'", purge={"mode": "delete", "batch_rows": 7})
    family.run()
    assert left(family)[0] == (5, 1, 1)
