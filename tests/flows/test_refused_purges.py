"""Tables and roles that a purge is refused for at planning, and what the database may still keep from being deleted."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from service_bench import Bench

from schemas.errors import TidegateError


@pytest.mark.parametrize(
    "ddl",
    [
        "",
        "ALTER TABLE orders ALTER id SET NOT NULL",
        "CREATE UNIQUE INDEX ON orders (id)",
        "ALTER TABLE orders ALTER id SET NOT NULL; CREATE UNIQUE INDEX ON orders (id) WHERE id > 5",
        "ALTER TABLE orders ALTER id SET NOT NULL; CREATE UNIQUE INDEX ON orders ((id + 1))",
        "ALTER TABLE orders ALTER id SET NOT NULL; CREATE UNIQUE INDEX ON orders (id, shop)",
        "ALTER TABLE orders ALTER id SET NOT NULL; ALTER TABLE orders ADD UNIQUE (id) DEFERRABLE",
        "ALTER TABLE orders ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED",
    ],
    ids=["nothing", "no index", "nullable", "partial", "expression", "wider", "deferrable", "deferred primary key"],
)
def test_a_key_that_is_not_unique_or_may_be_null_is_refused(bench: Bench, ddl: str) -> None:
    bench.fill_orders(20)
    bench.sql(f"ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ALTER id DROP NOT NULL; {ddl}")
    assert "primary key" in bench.refusal().what
    bench.configure(key=["id"])
    assert "no unique index" in bench.refusal().what


def test_a_whole_unique_index_over_columns_that_are_not_null_is_a_key(bench: Bench) -> None:
    bench.fill_orders(20)
    bench.sql("ALTER TABLE orders DROP CONSTRAINT orders_pkey; CREATE UNIQUE INDEX ON orders (id) INCLUDE (note)")
    bench.configure(key=["id"])
    assert bench.run().totals["deleted"] == 20


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_foreign_key_that_would_change_other_rows_is_refused_by_name(bench: Bench, action: str) -> None:
    bench.fill_orders(20)
    bench.sql(f'CREATE TABLE parcel (order_id bigint CONSTRAINT "of order" REFERENCES orders ON DELETE {action})')
    bench.sql("INSERT INTO parcel VALUES (7)")
    assert f"of order on public.parcel (order_id), ON DELETE {action}" in bench.refusal().what
    assert bench.run(purging=False).totals["archived"] == 20


@pytest.mark.parametrize("check", ["ON DELETE RESTRICT", "", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_that_others_refer_to_stops_the_purge_until_they_are_gone(bench: Bench, check: str) -> None:
    bench.fill_orders(100)
    bench.sql(f"CREATE TABLE parcel (order_id bigint CONSTRAINT of_order REFERENCES orders {check})")
    bench.sql("INSERT INTO parcel VALUES (70)")
    bench.configure(purge={"mode": "delete", "batch_rows": 20})
    assert "of_order on public.parcel (order_id)" in bench.refusal().what
    bench.configure(purge={"mode": "delete", "batch_rows": 20, "references": "check"})
    (window,) = bench.failed_run().windows
    assert "of_order" in str(window.error) and "(id)=(70)" in str(window.error)
    assert "60 were deleted; 40 were not looked at" in str(window.error)
    assert "rows that refer to it" in str(window.error)
    assert bench.sql("SELECT min(id), max(id), count(*) FROM orders") == [(61, 100, 40)]
    bench.sql("DELETE FROM parcel")
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"], bench.count()) == (0, 100, 0)


def test_a_parent_of_inheriting_tables_is_refused(bench: Bench) -> None:
    bench.fill_orders(20)
    bench.sql("CREATE TABLE special_orders () INHERITS (orders)")
    assert "inherit" in bench.refusal().what
    assert bench.run(purging=False).totals["archived"] == 20


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_is_refused(bench: Bench, kind: str) -> None:
    bench.fill_orders(20)
    bench.sql(f"CREATE {kind} recent_orders AS SELECT * FROM orders")
    bench.configure(table="recent_orders", key=["id"])
    assert "is not a table" in bench.refusal(purging=False).what


@pytest.mark.parametrize("rule", ["INSTEAD NOTHING", "ALSO SELECT 1", "INSTEAD UPDATE orders SET note = 'x'"])
def test_a_rule_that_rewrites_a_delete_is_refused_by_name(bench: Bench, rule: str) -> None:
    bench.fill_orders(20)
    bench.sql(f'CREATE RULE "keep them" AS ON DELETE TO orders DO {rule}')
    assert "keep them" in bench.refusal().what
    assert bench.run(purging=False).totals["archived"] == 20


TRIGGER = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
CREATE TRIGGER "keep them" BEFORE DELETE ON orders FOR EACH ROW WHEN (old.id = 70) EXECUTE FUNCTION keep()
"""


@pytest.mark.parametrize("fence", [True, False], ids=["by fence", "by digest"])
@pytest.mark.parametrize(
    "body",
    [
        "RETURN NULL;",
        "UPDATE orders SET note = 'deleted' WHERE id = old.id; RETURN NULL;",
        "RAISE EXCEPTION 'not this one';",
    ],
    ids=["keeps it", "marks it as deleted", "objects"],
)
def test_a_row_that_a_trigger_keeps_is_not_counted_as_deleted(bench: Bench, body: str, fence: bool) -> None:
    bench.fill_orders(100)
    bench.sql(TRIGGER.format(body=body))
    bench.configure(purge={"mode": "delete", "batch_rows": 20, "triggers": ["keep them"]})
    bench.export()
    if not fence:
        bench.sql("UPDATE orders SET note = note")
    before = bench.sql("SELECT o::text FROM orders o WHERE id > 60")
    (window,) = bench.failed_run().windows
    error = str(window.error)
    assert "keep them" in error or "not this one" in error
    assert "60 were deleted; 40 were not looked at" in error and "trigger" in error
    assert bench.sql("SELECT o::text FROM orders o") == before
    bench.sql('DROP TRIGGER "keep them" ON orders')
    report = bench.run("again")
    assert (report.totals["archived"], report.totals["deleted"], bench.count()) == (0, 100, 0)


def test_a_trigger_that_writes_elsewhere_and_is_named_is_no_hindrance(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.configure(purge={"mode": "delete", "batch_rows": 50, "triggers": ["keep them"]})
    bench.sql("CREATE TABLE history (id bigint)")
    bench.sql(TRIGGER.format(body="INSERT INTO history VALUES (old.id); RETURN old;"))
    bench.sql("UPDATE orders SET note = 'changed' WHERE id = 70")
    assert bench.run().totals["deleted"] == 100
    assert bench.count("history") == 1


@pytest.fixture
def role(bench: Bench) -> Iterator[Bench]:
    """The same project for a role of its own, which may do nothing yet; `{role}` is its name."""
    bench.fill_orders(20)
    name, password = f"role_{secrets.token_hex(4)}", secrets.token_hex(8)
    bench.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    parts = psycopg.conninfo.conninfo_to_dict(bench.url)
    url = f"postgresql://{name}:{password}@127.0.0.1:{parts['port']}/{parts['dbname']}"
    yield replace(bench, url=url)
    bench.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def grant(bench: Bench, role: Bench, statements: str) -> None:
    bench.sql(statements.format(role=psycopg.conninfo.conninfo_to_dict(role.url)["user"]))


def refused(bench: Bench, role: Bench, purging: bool | None = None) -> str:
    """Return what a run as the role is refused for; the superuser looks after the rows."""
    role.configure()
    return bench.refusal(purging).what


def test_a_missing_right_is_found_at_planning(bench: Bench, role: Bench) -> None:
    assert "may not read" in refused(bench, role)
    grant(bench, role, "GRANT SELECT ON orders TO {role}")
    assert "may not delete" in refused(bench, role)
    grant(bench, role, "CREATE SCHEMA closed; CREATE TABLE closed.orders (LIKE orders INCLUDING ALL);"
                       "GRANT ALL ON closed.orders TO {role}")  # fmt: skip
    role.configure(table="closed.orders")
    error = bench.refusal()
    assert "may not read" in error.what and 'USAGE ON SCHEMA "closed"' in error.next_step
    role.configure(table="public.orders")
    assert role.run(purging=False).totals["archived"] == 20
    grant(bench, role, "GRANT DELETE ON orders TO {role}")
    assert role.run().totals["deleted"] == 20


def test_rows_that_row_level_security_hides_are_not_taken_for_all_or_for_gone(bench: Bench, role: Bench) -> None:
    grant(bench, role, "GRANT SELECT, DELETE ON orders TO {role}; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
                       "CREATE POLICY few ON orders USING (id <= 5)")  # fmt: skip
    for purging in (True, False):
        assert "Row-level security hides rows" in refused(bench, role, purging)
    bench.configure()
    assert bench.run(purging=False).totals["archived"] == 20


def test_a_policy_that_comes_after_planning_is_an_error(bench: Bench, role: Bench) -> None:
    grant(bench, role, "GRANT SELECT, DELETE ON orders TO {role}")
    role.configure()
    job = role.job()
    bench.sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    with pytest.raises(TidegateError, match="row-level security"):
        role.export(job)
    assert (bench.count(), bench.generations()) == (20, [])
