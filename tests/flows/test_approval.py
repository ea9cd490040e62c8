"""Approval: a plan is sealed and waits, and nothing is deleted but what a person saw and approved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_bench import Bench
from service_plans import purge_approved, seal, unpurged

from blocks.plans import Plans
from schemas.manifest import Manifest
from schemas.report import WindowState
from schemas.sealed_plan import NotApproved, SealedPlan
from tasks.approval import Approval, demand_approval
from tasks.audit import audit
from tasks.decide import approve, decide, refuse
from tasks.purge import purge
from tasks.purge_unit import purge_unit


@pytest.fixture
def orders(bench: Bench) -> Bench:
    """120 orders of two months, archived; the archive demands an approval."""
    bench.configure(approve=True)
    bench.fill_orders(120)
    bench.run(purging=False)
    return bench


def refused(bench: Bench, plan: SealedPlan, *words: str, now: datetime | None = None) -> None:
    """Find that the plan cannot be approved any more, that the error says why, and that nothing came of it."""
    records, rows = bench.records(), bench.count(str(bench.archive["table"]))
    with pytest.raises(NotApproved) as error:
        approve(bench.job(), plan.plan_id, "ann", now=now)
    for word in words:
        assert word in error.value.what
    assert error.value.state and error.value.next_step
    assert error.value.exit_code == 3
    assert (bench.records(), bench.count(str(bench.archive["table"]))) == (records, rows)


def test_a_plan_says_what_would_be_deleted_and_holds_no_secret(orders: Bench) -> None:
    plan = seal(orders)
    assert [(g.rows, g.generation) for g in plan.generations] == [(103, 1), (17, 1)]
    assert plan.totals == {"windows": 2, "generations": 2, "rows": 120, "bytes": plan.totals["bytes"]}
    assert (plan.scope.table, plan.scope.key, plan.scope.source) == ("public.orders", ("id",), "shop")
    assert plan.scope.database.startswith("postgresql://127.0.0.1:")
    [place] = [path for path in orders.records() if "/plans/" in path]
    assert place == f"_tidegate/plans/orders/{plan.plan_id}.json"
    password = orders.url.partition("@")[0].rpartition(":")[2]
    assert password and password.encode() not in orders.records()[place]
    assert orders.count() == 120


def test_nothing_is_purged_without_an_approval(orders: Bench) -> None:
    verified = orders.prove(unpurged(orders)[0])
    with pytest.raises(NotApproved, match="nobody has approved"):
        purge(verified, orders.job(), "run")
    with pytest.raises(NotApproved, match="purged only by an approved plan"):
        demand_approval(orders.job(), None)
    plan = seal(orders)
    with pytest.raises(NotApproved, match=f"{plan.plan_id} of orders waits for an approval"):
        demand_approval(orders.job(), unpurged(orders))
    with pytest.raises(TypeError, match="call demand_approval"):
        Approval({}, None)
    report = orders.failed_run()
    assert {window.state for window in report.windows} == {WindowState.FAILED}
    assert orders.count() == 120


def test_an_approved_plan_is_purged_once(orders: Bench) -> None:
    plan = seal(orders)
    assert approve(orders.job(), plan.plan_id, "ann", "ticket 815") == list(plan.manifests)
    assert purge_approved(orders) == 120
    assert orders.count() == 0
    refused(orders, plan, "it was carried out already")
    # Rows that came back are the same rows, and yet nobody has approved to delete them a second time.
    orders.sql("INSERT INTO orders SELECT 1, '2024-01-01 07:13:00+00', 'shop 1', 1.37, 'note 1', '{\"n\": 1}'")
    with pytest.raises(NotApproved, match="carried out already"):
        demand_approval(orders.job(), [plan.manifests[0]])
    assert orders.count() == 1


def test_an_approval_covers_only_what_its_plan_names(orders: Bench) -> None:
    january, *others = unpurged(orders)
    plan = seal(orders, [january])
    approve(orders.job(), plan.plan_id, "ann")
    with pytest.raises(NotApproved):
        demand_approval(orders.job(), [january, others[0]])
    approval = demand_approval(orders.job(), [january])
    assert approval is not None
    with pytest.raises(NotApproved, match="nobody has approved"):
        purge(orders.prove(others[0]), orders.job(), "run", approval)
    assert orders.count() == 120
    assert purge(orders.prove(january), orders.job(), "run", approval).deleted == 103


def test_a_plan_of_another_archive_is_no_approval(orders: Bench) -> None:
    plan = seal(orders)
    orders.configure(name="others", folder="others")
    with pytest.raises(NotApproved, match="none of the archive others"):
        approve(orders.job(), plan.plan_id, "ann")


def test_a_refused_plan_deletes_nothing_and_the_next_one_is_a_new_one(orders: Bench) -> None:
    plan = seal(orders)
    [filed] = Plans(orders.lake, "orders").filed()
    refuse(orders.lake, filed, "bob", "not now")
    refused(orders, plan, "refused by bob", "not now")
    with pytest.raises(NotApproved, match="refused by bob"):
        demand_approval(orders.job(), unpurged(orders))
    assert len(orders.lake_rows()) == orders.count() == 120
    again = seal(orders)
    assert again.plan_id != plan.plan_id
    approve(orders.job(), again.plan_id, "ann")
    assert purge_approved(orders) == 120


def test_the_first_decision_counts_and_is_never_changed(orders: Bench) -> None:
    plan = seal(orders)
    [filed] = Plans(orders.lake, "orders").filed()
    decision = refuse(orders.lake, filed, "bob")
    path = f"_tidegate/decisions/orders/{plan.plan_id}.json"
    before = orders.lake.read(path)
    assert decide(orders.lake, plan, "approved", "ann", "", "cli") == decision
    with pytest.raises(NotApproved, match="never changed"):
        refuse(orders.lake, Plans(orders.lake, "orders").filed()[0], "ann")
    # Decided by somebody else between the look at the plan and the decision.
    with pytest.raises(NotApproved):
        approve(orders.job(), plan.plan_id, "ann")
    assert orders.lake.read(path) == before


def test_late_rows_are_archived_and_a_new_plan_takes_the_place_of_the_one_that_waits(orders: Bench) -> None:
    old = seal(orders)
    orders.sql("INSERT INTO orders SELECT 1000 + g, '2024-01-05', 'late', g, NULL, NULL FROM generate_series(1, 3) g")
    assert orders.run(purging=False).totals["archived"] == 3
    new = seal(orders)
    assert (new.supersedes, new.totals["rows"]) == ((old.plan_id,), 123)
    refused(orders, old, f"{new.plan_id} took its place")
    [filed, _] = Plans(orders.lake, "orders").filed()
    with pytest.raises(NotApproved, match="took its place"):
        refuse(orders.lake, filed, "bob")
    approve(orders.job(), new.plan_id, "ann")
    assert purge_approved(orders) == 123


def test_a_run_with_nothing_new_leaves_the_plan_that_waits_as_it_is(orders: Bench) -> None:
    plan = seal(orders)
    before = orders.records()
    assert seal(orders) == plan
    assert orders.records() == before


def test_a_plan_is_refused_when_some_of_it_was_purged_since(orders: Bench) -> None:
    plan = seal(orders)
    orders.configure(approve=False)
    orders.purge(plan.manifests[0])
    orders.configure(approve=True)
    refused(orders, plan, f"{plan.manifests[0]}: it was purged since")


def test_plans_for_other_windows_go_on_waiting(orders: Bench) -> None:
    january, *others = unpurged(orders)
    first, second = seal(orders, [january]), seal(orders, others)
    assert second.supersedes == ()
    now = datetime.now(UTC)
    assert [filed.waits(now) for filed in Plans(orders.lake, "orders").filed()] == [True, True]
    approve(orders.job(), first.plan_id, "ann")
    assert purge_approved(orders) == 103


def test_a_plan_that_expired_is_refused(orders: Bench) -> None:
    now = datetime.now(UTC)
    plan = seal(orders)
    refused(orders, plan, "it has expired", now=plan.expires_at)
    # Approved in time, but nothing was begun in time.
    approve(orders.job(), plan.plan_id, "ann")
    assert demand_approval(orders.job(), None, plan.expires_at - timedelta(seconds=1))
    with pytest.raises(NotApproved, match="it has expired"):
        demand_approval(orders.job(), None, plan.expires_at)
    # What was begun goes on, however long it takes.
    assert purge_approved(orders, [plan.manifests[0]]) == 103
    later = demand_approval(orders.job(), None, plan.expires_at)
    assert later is not None and list(later.manifests) == list(plan.manifests[1:])
    assert plan.expires_at - now > timedelta(days=6)


def test_a_purge_that_was_killed_goes_on_by_the_same_approval(orders: Bench) -> None:
    plan = seal(orders)
    approve(orders.job(), plan.plan_id, "ann")
    assert purge_approved(orders, [plan.manifests[0]]) == 103
    assert approve(orders.job(), plan.plan_id, "somebody else") == list(plan.manifests[1:])
    [filed] = Plans(orders.lake, "orders").filed()
    assert filed.decision is not None and filed.decision.by == "ann"
    assert purge_approved(orders) == 17
    assert orders.count() == 0


# What changes: the archive's entry, or the table; what the error says; and how the table is changed back.
CHANGES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"where": "shop <> 'shop 1'"}, "", "where: None when the plan was sealed", ""),
    ({"key": ["id", "shop"]}, "", "key: 'shop' is new", ""),
    ({"time_column": "paid_at"}, "", "time_column: 'placed_at' when the plan was sealed", ""),
    (
        {"columns": {"exclude": ["note"]}, "purge": {"mode": "delete", "discard_columns": ["note"]}},
        "",
        "discarded: 'note' is new",
        "",
    ),
    ({"purge": {"mode": "delete", "triggers": ["told"]}}, "", "triggers: 'told' is new", ""),
    ({"purge": {"mode": "delete", "references": "check"}}, "", "references: 'refuse' when the plan was sealed", ""),
    ({"table": "public.orders2"}, "", "table: 'public.orders' when the plan was sealed", ""),
    ({}, "ADD extra int", "columns: 'extra integer' is new", "DROP extra"),
    ({}, "ALTER amount TYPE numeric(20, 4)", "'amount numeric(20,4)' is new", "ALTER amount TYPE numeric(12, 4)"),
    ({}, "RENAME note TO memo", "columns: 'note text' is not there any more", "RENAME memo TO note"),
]


def test_a_plan_is_refused_when_what_it_was_made_for_has_changed(bench: Bench) -> None:
    bench.configure(approve=True, folder="orders")
    bench.fill_orders(20)
    bench.sql("ALTER TABLE orders ADD paid_at timestamptz, ALTER shop SET NOT NULL, ADD UNIQUE (id, shop)")
    bench.sql("CREATE TABLE orders2 (LIKE orders INCLUDING ALL)")
    bench.run(purging=False)
    plan, configured = seal(bench), dict(bench.archive)
    for decided in (False, True):
        if decided:
            decide(bench.lake, plan, "approved", "ann", "", "cli")
        for archive, change, told, back in CHANGES:
            if change:
                bench.sql(f"ALTER TABLE orders {change}")
            bench.configure(**archive)
            refused(bench, plan, told)
            with pytest.raises(NotApproved) as error:
                demand_approval(bench.job(), list(plan.manifests))
            assert told in error.value.what
            if back:
                bench.sql(f"ALTER TABLE orders {back}")
            bench.archive = dict(configured)
            bench.configure()
    assert bench.count() == 20
    assert purge_approved(bench) == 20


def test_a_plan_is_refused_when_the_source_is_another_database(orders: Bench) -> None:
    plan = seal(orders)
    orders.sql("CREATE DATABASE another TEMPLATE template0")
    there = Bench(orders.url.rpartition("/")[0] + "/another", orders.folder, orders.archive)
    try:
        there.fill_orders(120)
        refused(there, plan, "database: 'postgresql://127.0.0.1:", "/another' now")
    finally:
        orders.sql("DROP DATABASE another WITH (FORCE)")


def altered(bench: Bench, path: str, change: dict[str, Any] | None) -> None:
    """Put another whole manifest in the place of one, or none."""
    file = bench.folder / "lake" / path
    if change is None:
        file.unlink()
    else:
        file.write_bytes(Manifest.from_bytes(file.read_bytes(), path).model_copy(update=change).to_bytes())


def test_a_plan_is_refused_when_a_manifest_is_another(bench: Bench) -> None:
    bench.configure(approve=True)
    bench.fill_orders(20)
    bench.run(purging=False)
    plan = seal(bench)
    manifest = plan.manifests[0]
    whole = bench.lake.read(manifest)
    attested = Manifest.from_bytes(whole, manifest).attestation
    changes: list[tuple[dict[str, Any] | None, str]] = [
        (None, "it is no committed generation any more"),
        ({"run_id": "x"}, "another manifest with the same rows and digest"),
        ({"attestation": attested.model_copy(update={"rows": 7})}, "20 rows when the plan was sealed, 7 now"),
        ({"attestation": attested.model_copy(update={"digest": "0" * 16})}, f"digest {attested.digest} when"),
    ]
    for change, told in changes:
        altered(bench, manifest, change)
        refused(bench, plan, f"{manifest}: {told}")
        (bench.folder / "lake" / manifest).write_bytes(whole)
    assert approve(bench.job(), plan.plan_id, "ann") == [manifest]


def test_a_manifest_that_is_swapped_after_the_approval_is_not_purged_by_it(orders: Bench) -> None:
    plan = seal(orders)
    approve(orders.job(), plan.plan_id, "ann")
    approval = demand_approval(orders.job(), None)
    altered(orders, plan.manifests[0], {"run_id": "x"})
    with pytest.raises(NotApproved, match="nobody has approved"):
        purge(orders.prove(plan.manifests[0]), orders.job(), "run", approval)
    assert orders.count() == 120


def test_damaged_plans_and_decisions_are_found_by_an_audit_and_approve_nothing(orders: Bench) -> None:
    plan = seal(orders)
    approve(orders.job(), plan.plan_id, "ann")
    assert not audit(orders.config_dir, "orders").findings
    for kind in ("plans", "decisions"):
        file = orders.folder / f"lake/_tidegate/{kind}/orders/{plan.plan_id}.json"
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"orders", b"ordera", 1))
        assert [finding.where for finding in audit(orders.config_dir, "orders").findings] == [
            f"_tidegate/{kind}/orders/{plan.plan_id}.json"
        ]
        with pytest.raises(Exception, match="damaged"):
            demand_approval(orders.job(), None)
        file.write_bytes(whole)


FAMILY = """
CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz);
CREATE TABLE items (order_id bigint REFERENCES orders, line int, PRIMARY KEY (order_id, line));
INSERT INTO orders SELECT g, '2024-01-01 00:00:00+00'::timestamptz + g * interval '1 hour' FROM generate_series(1, 9) g;
INSERT INTO items SELECT g, line FROM generate_series(1, 9) g, generate_series(1, 3) line
"""


def test_a_plan_of_a_family_names_all_its_tables_and_is_approved_as_a_whole(bench: Bench) -> None:
    for text in FAMILY.split(";"):
        bench.sql(text)
    bench.configure(approve=True, children=[{"table": "public.items"}])
    bench.run(purging=False)
    job, unit = bench.job(), unpurged(bench)
    with pytest.raises(NotApproved, match="nobody has approved"):
        purge_unit([bench.prove(manifest) for manifest in unit], job, "run")
    plan = seal(bench)
    assert plan.rows_by_table == {"public.items": 27, "public.orders": 9}
    bench.configure(children=[{"table": "public.items", "folder": "lines"}])
    refused(bench, plan, "it is no committed generation any more")
    bench.configure(children=[{"table": "public.items"}])
    bench.sql("ALTER TABLE items ADD note text")
    refused(bench, plan, "children: 'public.items (order_id, line) by order_id: ")
    bench.sql("ALTER TABLE items DROP note")
    approve(bench.job(), plan.plan_id, "ann")
    assert purge_approved(bench) == 36
    assert (bench.count("orders"), bench.count("items")) == (0, 0)


def test_no_partition_is_dropped_without_an_approval(bench: Bench) -> None:
    bench.sql(
        "CREATE TABLE orders (id int, placed_at timestamptz, PRIMARY KEY (id, placed_at)) "
        "PARTITION BY RANGE (placed_at)"
    )
    bench.sql("CREATE TABLE january PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')")
    bench.sql("INSERT INTO orders SELECT g, '2024-01-05' FROM generate_series(1, 9) g")
    bench.configure(approve=True, window=None, purge={"mode": "drop_partition"})
    bench.export()
    with pytest.raises(NotApproved, match="nobody has approved"):
        purge_unit([bench.prove(manifest) for manifest in unpurged(bench)], bench.job(), "run")
    plan = seal(bench)
    bench.configure(window="month", purge={"mode": "delete"})
    refused(bench, plan, "mode: 'drop_partition' when the plan was sealed, 'delete' now")
    bench.configure(window=None, purge={"mode": "drop_partition"})
    approve(bench.job(), plan.plan_id, "ann")
    assert (purge_approved(bench), bench.count()) == (9, 0)


def test_a_plan_is_refused_when_a_legal_hold_has_come_or_gone(orders: Bench) -> None:
    orders.configure(holds=[{"name": "case-9", "keys": ["17"]}])
    plan = seal(orders)
    orders.configure(holds=None)
    refused(orders, plan, "holds: ")
    orders.configure(holds=[{"name": "renamed", "keys": ["17"]}])
    approve(orders.job(), plan.plan_id, "ann")
    assert (purge_approved(orders), orders.sql("SELECT id FROM orders")) == (119, [(17,)])
