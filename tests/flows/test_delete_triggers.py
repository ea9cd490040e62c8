"""Triggers that fire on DELETE may take rows that nobody has archived: a purge names them, and waits to be told."""

import threading
from collections.abc import Callable

import psycopg
import pytest
from service_bench import Bench

from blocks.delete_by_proof import BatchOutcome
from blocks.dialects.postgresql.deleter import PostgresDeleter
from blocks.dialects.postgresql.family import PostgresFamily
from blocks.ledger import generations_of
from schemas.errors import ConfigError
from tasks import delete_batches
from tasks.purge import purge

PARTED = """
CREATE TABLE orders (id bigint, placed_at timestamptz, PRIMARY KEY (id, placed_at)) PARTITION BY RANGE (placed_at);
CREATE TABLE orders_01 PARTITION OF orders FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z');
INSERT INTO orders SELECT g, '2024-01-05Z' FROM generate_series(1, 20) g
"""
FAMILY = """
CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz);
CREATE TABLE items (id int PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders);
CREATE INDEX ON items (order_id);
INSERT INTO orders SELECT g, '2024-01-05Z' FROM generate_series(1, 20) g;
INSERT INTO items SELECT id, id FROM orders
"""


def make(bench: Bench, text: str) -> None:
    for one in text.split(";\n"):
        bench.sql(one)


def trigger(bench: Bench, when: str, body: str = "DELETE FROM notes;", table: str = "orders") -> None:
    """Make the trigger "sweeps", which fires at that moment, and notes for it to sweep away."""
    bench.sql("CREATE TABLE IF NOT EXISTS notes AS SELECT 'precious' AS body")
    body = f"BEGIN {body} RETURN NULL; END"
    bench.sql(f"CREATE OR REPLACE FUNCTION sweep() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    bench.sql(f"CREATE TRIGGER sweeps {when.format(table=table)} EXECUTE FUNCTION sweep()")


def before_the_second_batch(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Have something happen just before the second batch, between two looks at the catalog."""
    done: list[int] = []

    def patched(real: Callable[..., BatchOutcome]) -> Callable[..., BatchOutcome]:
        def delete(*arguments: object) -> BatchOutcome:
            done.append(1)
            if len(done) == 2:
                change()
            return real(*arguments)

        return delete

    for deleter in (PostgresDeleter, PostgresFamily):
        monkeypatch.setattr(deleter, "delete", patched(deleter.delete))


def refused(bench: Bench) -> str:
    with pytest.raises(ConfigError) as refusal:
        bench.job()
    return refusal.value.what


@pytest.mark.parametrize(
    "when",
    [
        "AFTER DELETE ON {table} FOR EACH ROW",
        "BEFORE DELETE ON {table} FOR EACH STATEMENT",
        "AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        "AFTER INSERT OR DELETE ON {table} FOR EACH ROW",
    ],
)
def test_a_trigger_that_fires_on_delete_is_named_with_its_function_before_anything_is_read(
    bench: Bench, when: str
) -> None:
    bench.fill_orders(20)
    trigger(bench, when)
    refusal = bench.refusal()
    assert "may delete or change other rows: sweeps of orders (calls sweep())" in refusal.what
    assert "purge.triggers" in refusal.next_step
    assert bench.run(purging=False).totals["archived"] == 20


def test_a_deferred_trigger_is_named_too(bench: Bench) -> None:
    bench.fill_orders(20)
    bench.sql("CREATE FUNCTION sweep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    bench.sql(
        "CREATE CONSTRAINT TRIGGER sweeps AFTER DELETE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION sweep()"
    )
    assert "sweeps of orders" in bench.refusal().what


def test_triggers_that_do_not_fire_are_no_hindrance(bench: Bench) -> None:
    bench.fill_orders(20)
    trigger(bench, "AFTER INSERT OR UPDATE ON {table} FOR EACH ROW")
    bench.sql("CREATE TRIGGER off AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION sweep()")
    bench.sql("CREATE TRIGGER on_replicas AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION sweep()")
    bench.sql("ALTER TABLE orders DISABLE TRIGGER off, ENABLE REPLICA TRIGGER on_replicas")
    assert bench.run().totals["deleted"] == 20
    assert bench.count("notes") == 1


def test_a_trigger_that_is_named_may_fire_and_another_one_may_not(bench: Bench) -> None:
    bench.fill_orders(20)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", "INSERT INTO notes VALUES (OLD.id);")
    bench.sql("CREATE TRIGGER another AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION sweep()")
    bench.configure(purge={"mode": "delete", "batch_rows": 50, "triggers": ["sweeps"]})
    what = bench.refusal().what
    assert "another of orders" in what and "sweeps" not in what
    bench.sql("DROP TRIGGER another ON orders")
    assert bench.run().totals["deleted"] == 20
    assert bench.count("notes") == 21


def test_a_trigger_of_a_partition_alone_is_named(bench: Bench) -> None:
    make(bench, PARTED)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", table="orders_01")
    assert "sweeps of orders_01" in bench.refusal().what
    bench.sql("DROP TRIGGER sweeps ON orders_01")
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW")
    what = bench.refusal().what
    assert "sweeps of orders (" in what and "orders_01" not in what, "its copies in the partitions are the same one"


def test_a_copy_of_a_trigger_in_a_partition_that_is_archived_by_itself_is_named(bench: Bench) -> None:
    make(bench, PARTED)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW")
    bench.configure(table="public.orders_01")
    assert "sweeps of orders_01" in bench.refusal().what


def test_a_childs_trigger_is_named(bench: Bench) -> None:
    make(bench, FAMILY)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", table="items")
    bench.configure(children=[{"table": "public.items"}])
    assert 'Triggers of "public"."items" fire' in bench.refusal().what
    bench.configure(purge={"mode": "delete", "batch_rows": 50, "triggers": ["sweeps"]})
    assert bench.run().totals["deleted"] == 40


@pytest.mark.parametrize("table", ["orders", "items"])
def test_a_family_whose_rows_a_trigger_writes_back_is_not_counted_as_deleted(
    bench: Bench, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete_batches, "PASSES_S", (0.1,))
    make(bench, FAMILY)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", f"INSERT INTO {table} SELECT OLD.*;", table)
    if table == "items":  # else the key of the orders would object
        bench.sql("ALTER TABLE items ALTER CONSTRAINT items_order_id_fkey DEFERRABLE INITIALLY DEFERRED")
    bench.configure(
        children=[{"table": "public.items"}],
        purge={"mode": "delete", "batch_rows": 50, "lock_timeout_s": 0.2, "triggers": ["sweeps"]},
    )
    (window,) = bench.failed_run().windows
    assert f'"public"."{table}" has 20 of 20 deleted rows again' in str(window.error)
    assert "Its triggers for DELETE: sweeps" in str(window.error)
    assert (bench.count(), bench.count("items")) == (20, 20)
    assert all(not g.receipts or not g.receipts[-1].deleted for g in generations_of(bench.lake, bench.job()))


def test_a_partition_is_not_dropped_behind_the_back_of_a_trigger_that_keeps_a_history(bench: Bench) -> None:
    make(bench, PARTED)
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", "INSERT INTO notes VALUES (OLD.id);")
    bench.configure(window=None, purge={"mode": "drop_partition"})
    assert "will not when a partition is dropped: sweeps of orders (calls sweep())" in bench.refusal().what
    bench.configure(purge={"mode": "drop_partition", "triggers": ["sweeps"]})
    assert bench.run().totals["deleted"] == 20
    assert bench.count("notes") == 1, "it did not fire"


def test_a_trigger_that_comes_between_two_looks_at_the_catalog_is_not_fired(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill_orders(20)
    bench.configure(purge={"mode": "delete", "batch_rows": 5})
    before_the_second_batch(monkeypatch, lambda: trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW"))
    report = bench.run()
    assert (report.totals["deleted"], bench.count(), bench.count("notes")) == (5, 15, 1)
    assert "sweeps of orders" in refused(bench)
    bench.configure(purge={"mode": "delete", "batch_rows": 5, "triggers": ["sweeps"]})
    assert bench.run("next").totals["deleted"] == 15


def test_a_trigger_for_whose_maker_the_delete_has_waited_is_not_fired(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill_orders(20)
    trigger(bench, "AFTER UPDATE ON {table} FOR EACH ROW")
    bench.configure(purge={"mode": "delete", "batch_rows": 5, "lock_timeout_s": 5})
    with psycopg.connect(bench.url) as maker:

        def change() -> None:
            maker.execute("CREATE TRIGGER late AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION sweep()")
            threading.Timer(0.3, maker.commit).start()

        before_the_second_batch(monkeypatch, change)
        assert bench.run().totals["deleted"] == 5
    assert (bench.count(), bench.count("notes")) == (15, 1)


@pytest.mark.parametrize("on_delete", ["CASCADE", "SET NULL"])
def test_a_foreign_key_that_comes_between_two_looks_at_the_catalog_takes_no_row_along(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, on_delete: str
) -> None:
    bench.fill_orders(20)
    bench.configure(purge={"mode": "delete", "batch_rows": 5})

    def change() -> None:
        bench.sql(f"CREATE TABLE notes (order_id bigint REFERENCES orders ON DELETE {on_delete})")
        bench.sql("INSERT INTO notes SELECT max(id) FROM orders")

    before_the_second_batch(monkeypatch, change)
    assert bench.run().totals["deleted"] == 5
    assert bench.sql("TABLE notes") == [(20,)]
    assert "notes_order_id_fkey" in refused(bench)


@pytest.mark.parametrize("table", ["orders", "items"])
def test_a_familys_trigger_that_comes_between_two_looks_at_the_catalog_is_not_fired(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    make(bench, FAMILY)
    bench.configure(children=[{"table": "public.items"}], purge={"mode": "delete", "batch_rows": 5})
    before_the_second_batch(monkeypatch, lambda: trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW", table=table))
    (window,) = bench.failed_run().windows
    assert f'"public"."{table}" lost 0 rows where 5 were to be deleted' in str(window.error)
    assert "Its triggers for DELETE: sweeps" in str(window.error)
    assert (bench.count(), bench.count("items"), bench.count("notes")) == (15, 15, 1)


def test_a_trigger_that_comes_between_the_proof_and_the_purge_is_refused(bench: Bench) -> None:
    bench.fill_orders(20)
    (exported,) = bench.export()
    assert exported.manifest is not None
    verified, job = bench.prove(exported.manifest), bench.job()
    trigger(bench, "AFTER DELETE ON {table} FOR EACH ROW")
    with pytest.raises(ConfigError, match="sweeps of orders"):
        purge(verified, job, "run")
    assert (bench.count(), bench.count("notes")) == (20, 1)
