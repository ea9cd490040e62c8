"""Foreign keys that point at a table: a row that something still holds on to is not deleted, nor is what holds it."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from service_bench import Bench

from schemas.errors import ConfigError
from tasks.purge_unit import purge_unit

ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz);
INSERT INTO orders VALUES (1, '2024-01-05Z'), (2, '2030-01-05Z'), (3, '2024-01-06Z');
"""
PAYMENTS = """
CREATE TABLE payments (
    id int PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, refund_of bigint REFERENCES orders {on_delete});
CREATE INDEX ON payments (order_id);
INSERT INTO payments VALUES (10, 1, NULL), (20, 2, 1), (30, 3, NULL);
"""
ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders {enforced});
CREATE INDEX ON items (order_id);
INSERT INTO items VALUES (1, 1), (2, 2);
"""
PARTED = """
CREATE TABLE orders (id bigint, placed_at timestamptz, PRIMARY KEY (id, placed_at)) PARTITION BY RANGE (placed_at);
CREATE TABLE orders_01 PARTITION OF orders FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z');
CREATE UNIQUE INDEX ON orders_01 (id);
INSERT INTO orders VALUES (1, '2024-01-05Z'), (2, '2024-01-06Z');
"""
CHECK = {"mode": "delete", "batch_rows": 50, "references": "check"}


def make(bench: Bench, text: str, **parts: str) -> None:
    for one in text.format(**parts).split(";\n"):
        if one.strip():
            bench.sql(one)


@pytest.fixture
def payments(bench: Bench) -> Bench:
    """Orders, of which payments are children by one key and refunds by another, which the test is to make."""
    make(bench, ORDERS)
    bench.configure(children=[{"table": "public.payments", "foreign_key": ["order_id"]}], to="2024-02-01")
    return bench


@pytest.mark.parametrize("on_delete", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_second_key_of_a_child_that_would_change_its_rows_is_refused_by_name(payments: Bench, on_delete: str) -> None:
    make(payments, PAYMENTS, on_delete=f"ON DELETE {on_delete}")
    payments.configure(purge=CHECK)
    refusal = payments.refusal()
    assert "change rows of a child by another key than the one that it is archived by" in refusal.what
    assert f"payments_refund_of_fkey on public.payments (refund_of), ON DELETE {on_delete}" in refusal.what
    assert payments.sql("TABLE payments") == [(10, 1, None), (20, 2, 1), (30, 3, None)]


@pytest.mark.parametrize(("on_delete", "message"), [("", "violates foreign key"), ("ON DELETE RESTRICT", "violates")])
def test_a_second_key_of_a_child_is_left_to_the_database_if_that_is_said_and_told_as_what_it_is(
    payments: Bench, on_delete: str, message: str
) -> None:
    make(payments, PAYMENTS, on_delete=on_delete)
    assert "payments_refund_of_fkey on public.payments (refund_of)" in payments.refusal().what
    payments.configure(purge=CHECK)
    error = str(payments.failed_run().windows[0].error)
    assert message in error and "payments_refund_of_fkey" in error and "locked" not in error
    assert "Archive or delete the rows that refer to it first" in error
    assert (payments.count(), payments.count("payments")) == (3, 3)
    payments.sql("UPDATE payments SET refund_of = NULL")
    assert payments.run("next").totals["deleted"] == 4
    assert payments.sql("TABLE payments") == [(20, 2, None)]


def test_a_grandchild_that_comes_after_the_export_keeps_the_family(payments: Bench) -> None:
    make(payments, PAYMENTS, on_delete="")
    payments.sql("ALTER TABLE payments DROP COLUMN refund_of")
    (exported,) = payments.export()
    assert exported.manifest is not None
    verified = [payments.prove(manifest) for manifest in (exported.manifest, *exported.of_children)]
    job = payments.job()
    payments.sql("CREATE TABLE receipts (id int PRIMARY KEY, payment int REFERENCES payments ON DELETE CASCADE)")
    payments.sql("INSERT INTO receipts VALUES (1, 10)")
    with pytest.raises(ConfigError, match="refer to its rows in turn: receipts_payment_fkey"):
        purge_unit(verified, job, "run")
    assert (payments.count(), payments.count("payments"), payments.count("receipts")) == (3, 3, 1)


@pytest.mark.parametrize("purge", [CHECK, {"mode": "drop_partition", "references": "check"}])
def test_a_key_that_points_at_a_partition_is_found(bench: Bench, purge: dict[str, object]) -> None:
    make(bench, PARTED)
    bench.sql("CREATE TABLE notes (id int PRIMARY KEY, order_id bigint REFERENCES orders_01 (id) ON DELETE CASCADE)")
    bench.sql("INSERT INTO notes VALUES (1, 1), (2, 2)")
    bench.configure(window=None if "batch_rows" not in purge else "month", purge=purge)
    refusal = bench.refusal()
    assert "notes_order_id_fkey on public.notes (order_id), ON DELETE CASCADE, pointing at public.orders_01" in (
        refusal.what
    )
    assert (bench.count(), bench.count("notes")) == (2, 2)


def test_a_partition_that_a_key_points_at_is_not_taken_out_of_its_table(bench: Bench) -> None:
    make(bench, PARTED)
    bench.sql("CREATE TABLE notes (id int PRIMARY KEY, order_id bigint REFERENCES orders_01 (id))")
    bench.configure(window=None, purge={"mode": "drop_partition"})
    assert "pointing at public.orders_01" in bench.refusal().what
    bench.configure(purge={"mode": "drop_partition", "references": "check"})
    assert "cannot be dropped" in bench.refusal().what


def test_a_key_that_points_at_the_whole_of_a_partitioned_table_counts_for_its_partitions(bench: Bench) -> None:
    make(bench, PARTED)
    bench.sql(
        "CREATE TABLE notes (id int PRIMARY KEY, order_id bigint, placed_at timestamptz, "
        "FOREIGN KEY (order_id, placed_at) REFERENCES orders ON DELETE CASCADE)"
    )
    bench.sql("INSERT INTO notes VALUES (1, 1, '2024-01-05Z')")
    bench.configure(table="public.orders_01", purge=CHECK)
    assert "ON DELETE CASCADE, pointing at public.orders" in bench.refusal().what
    bench.configure(table="public.orders")
    assert "ON DELETE CASCADE" in bench.refusal().what
    assert bench.count("notes") == 1


# Keys that the database does not check.


@pytest.mark.parametrize(
    "off",
    [
        "ALTER TABLE items ALTER CONSTRAINT items_order_id_fkey NOT ENFORCED",
        "ALTER TABLE items DISABLE TRIGGER ALL",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
    ],
)
def test_a_foreign_key_that_is_switched_off_is_not_relied_on(bench: Bench, off: str) -> None:
    make(bench, ORDERS)
    make(bench, ITEMS, enforced="")
    bench.sql(off)
    bench.configure(to="2024-02-01", purge=CHECK)
    assert "the database, which does not check this foreign key: items_order_id_fkey" in bench.refusal().what
    bench.configure(children=[{"table": "public.items"}])
    assert "items_order_id_fkey is not checked" in bench.refusal().what
    assert (bench.count(), bench.count("items")) == (3, 2)
    assert bench.run(purging=False).totals["archived"] == 3


def test_a_foreign_key_of_which_a_partition_is_switched_off_is_not_relied_on(bench: Bench) -> None:
    make(bench, ORDERS)
    bench.sql(
        "CREATE TABLE items (id int, order_id bigint NOT NULL REFERENCES orders, PRIMARY KEY (id)) "
        "PARTITION BY RANGE (id)"
    )
    bench.sql("CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (1) TO (100)")
    bench.configure(to="2024-02-01", children=[{"table": "public.items"}])
    assert bench.job().children
    bench.sql("ALTER TABLE items_1 DISABLE TRIGGER ALL")
    assert "items_order_id_fkey is not checked" in bench.refusal().what


def test_foreign_keys_are_checked_whatever_the_databases_replication_role_is(bench: Bench) -> None:
    make(bench, ORDERS)
    make(bench, ITEMS, enforced="")
    bench.sql(f'ALTER DATABASE "{bench.url.rpartition("/")[2]}" SET session_replication_role = replica')
    bench.configure(to="2024-02-01", purge=CHECK)
    assert "still referenced" in str(bench.failed_run().windows[0].error)
    assert (bench.count(), bench.count("items")) == (3, 2)


@pytest.fixture
def clerk(bench: Bench) -> Iterator[Bench]:
    """The same project for a role that may delete orders, and whose sessions play the replica."""
    make(bench, ORDERS)
    make(bench, ITEMS, enforced="")
    name, password = f"clerk_{secrets.token_hex(4)}", secrets.token_hex(8)
    bench.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    bench.sql(f"GRANT SELECT, DELETE ON orders TO {name}")
    bench.sql(f"ALTER ROLE {name} SET session_replication_role = replica")
    parts = psycopg.conninfo.conninfo_to_dict(bench.url)
    yield replace(bench, url=f"postgresql://{name}:{password}@127.0.0.1:{parts['port']}/{parts['dbname']}")
    bench.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_that_cannot_stop_playing_the_replica_purges_nothing(bench: Bench, clerk: Bench) -> None:
    clerk.configure(to="2024-02-01", purge=CHECK)
    refusal = bench.refusal()
    assert "session_replication_role" in refusal.what and "ALTER ROLE" in refusal.next_step
    assert clerk.run(purging=False).totals["archived"] == 2
    assert (bench.count(), bench.count("items")) == (3, 2)


def test_a_role_that_may_stop_playing_the_replica_does(bench: Bench, clerk: Bench) -> None:
    bench.sql(f"GRANT SET ON PARAMETER session_replication_role TO {clerk.url.split('//')[1].split(':')[0]}")
    clerk.configure(to="2024-02-01", purge=CHECK)
    assert "still referenced" in str(clerk.failed_run().windows[0].error)
    assert (bench.count(), bench.count("items")) == (3, 2)


# Keys that are NOT NULL in name only.


def test_a_key_whose_not_null_nobody_has_looked_at_is_no_key(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id text UNIQUE, placed_at timestamptz)")
    bench.sql("INSERT INTO orders VALUES (NULL, '2024-01-05Z'), ('x', '2024-01-05Z')")
    bench.sql("ALTER TABLE orders ADD CONSTRAINT there NOT NULL id NOT VALID")
    bench.configure(key=["id"], to="2024-02-01")
    assert "no unique index" in bench.refusal().what
    column = bench.job(purge=False).table.column("id")
    assert column is not None and column.nullable
    assert bench.run(purging=False).totals["archived"] == 2
    bench.sql("DELETE FROM orders WHERE id IS NULL")
    bench.sql("ALTER TABLE orders VALIDATE CONSTRAINT there")
    assert frozenset({"id"}) in bench.job().table.unique_keys
