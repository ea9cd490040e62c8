"""Partitions: windows by their bounds, and a drop of only what is proven to the last row."""

import signal
from pathlib import Path

import psycopg
import pytest
from service_bench import Bench

from blocks.dialects.postgresql import partitions as partitions_module
from blocks.dialects.postgresql.partitions import PostgresPartitions
from blocks.open_source import source_of
from blocks.partitioning import Partition
from schemas.errors import ConfigError, ProofFailed, SourceUnavailable
from schemas.purge_records import Receipt
from tasks import drop_partition as drop_module
from tasks.drop_partition import drop_partition, take_back_partitions

TABLE = """
CREATE TABLE orders (
    id bigint, placed_at timestamptz, note text, PRIMARY KEY (id, placed_at)) PARTITION BY RANGE (placed_at);
CREATE TABLE orders_january PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE "Orders of spring" PARTITION OF orders FOR VALUES FROM ('2024-02-01') TO ('2024-05-01');
CREATE TABLE orders_rest PARTITION OF orders FOR VALUES FROM ('2024-05-01') TO (MAXVALUE);
COMMENT ON TABLE orders_january IS 'the first';
INSERT INTO orders SELECT g, '2024-01-01'::timestamptz + g * interval '1 day', 'note ' || g
FROM generate_series(1, 200) g
"""
JANUARY, SPRING = "orders_january", '"Orders of spring"'


@pytest.fixture
def parted(bench: Bench) -> Bench:
    """A table of three partitions, of which the last has no end."""
    for text in TABLE.split(";"):
        bench.sql(text)
    bench.configure(window=None, purge={"mode": "drop_partition", "lock_timeout_s": 0.5})
    return bench


def drop(bench: Bench, number: int = 0) -> list[Receipt]:
    """Prove all generations of the n-th window, and drop its partition."""
    windows = sorted({g.manifest.window for g in bench.generations() if not g.purged}, key=lambda window: window.start)
    manifests = [g.manifest.path for g in bench.generations() if g.manifest.window == windows[number]]
    return drop_partition([bench.prove(manifest) for manifest in manifests], bench.job(), "run")


def partitions(bench: Bench) -> list[str]:
    """Return the partitions that are attached."""
    rows = bench.sql("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'orders'::regclass ORDER BY 1")
    return [name for (name,) in rows]


def test_windows_are_the_partitions_bounds_and_proven_ones_are_dropped(parted: Bench) -> None:
    parted.export()
    assert [str(g.manifest.window) for g in parted.generations()] == [
        "[2024-01-01Z, 2024-02-01Z)",
        "[2024-02-01Z, 2024-05-01Z)",
    ]
    (january,) = drop(parted)
    (spring,) = drop(parted)
    assert (january.deleted, spring.deleted) == (30, 90)
    assert partitions(parted) == ["orders_rest"]
    assert parted.sql("SELECT to_regclass('orders_january')") == [(None,)]
    assert parted.count() == 80 and len(parted.lake_rows("id")) == 120


def test_a_partition_whose_end_is_not_old_enough_is_left_alone(parted: Bench) -> None:
    parted.configure(to="2024-04-30")
    parted.export()
    assert [str(g.manifest.window) for g in parted.generations()] == ["[2024-01-01Z, 2024-02-01Z)"]


def test_with_a_default_partition_it_goes_without_concurrently(parted: Bench) -> None:
    parted.sql("CREATE TABLE orders_default PARTITION OF orders DEFAULT")
    parted.export()
    (receipt,) = drop(parted)
    assert receipt.deleted == 30 and JANUARY not in partitions(parted)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO orders VALUES (9999, '2024-01-05', 'late')",
        "UPDATE orders SET note = 'changed' WHERE id = 3",
        "UPDATE orders SET placed_at = '2024-01-05' WHERE id = 50",
    ],
)
def test_a_partition_with_an_unproven_row_stays_and_is_dropped_by_the_next_run(parted: Bench, change: str) -> None:
    parted.export()
    parted.sql(change)
    before = parted.sql("SELECT * FROM orders ORDER BY id, placed_at")
    with pytest.raises(ProofFailed, match=r"1 of 3\d rows .* not in the lake as they are now"):
        drop(parted)
    assert parted.sql("SELECT * FROM orders ORDER BY id, placed_at") == before
    parted.export()
    receipts = drop(parted)
    assert sum(receipt.deleted for receipt in receipts) == sum("2024-01" in str(row[1]) for row in before)
    assert JANUARY not in partitions(parted)


def test_a_row_that_comes_in_just_before_the_partition_is_taken_out_keeps_it(
    parted: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look before nobody is locked out finds all proven; the one under the lock decides."""
    parted.export()
    detach = PostgresPartitions._detach

    def late(*arguments: object) -> None:
        parted.sql("INSERT INTO orders VALUES (9999, '2024-01-05', 'late')")
        detach(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresPartitions, "_detach", late)
    with pytest.raises(ProofFailed, match="1 of 31 rows"):
        drop(parted)
    assert JANUARY in partitions(parted) and parted.count() == 201
    assert parted.sql("SELECT obj_description('orders_january'::regclass, 'pg_class')") == [("the first",)]


@pytest.mark.parametrize(
    "change",
    ["ADD COLUMN extra text", "ALTER COLUMN note TYPE varchar", "DROP COLUMN note"],
)
def test_a_column_that_changes_just_before_the_partition_is_taken_out_keeps_it(
    parted: Bench, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """No digest tells of a column that was not archived; the columns are looked at under the lock as well."""
    parted.export()
    detach = PostgresPartitions._detach

    def late(*arguments: object) -> None:
        parted.sql(f"ALTER TABLE orders {change}")
        if "ADD" in change:
            parted.sql("UPDATE orders SET extra = 'precious ' || id")
        detach(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresPartitions, "_detach", late)
    with pytest.raises(ProofFailed, match="the table's columns have changed since it was archived"):
        drop(parted)
    assert JANUARY in partitions(parted) and parted.count() == 200
    if "ADD" in change:
        assert parted.sql("SELECT extra FROM orders WHERE id = 3") == [("precious 3",)]


def test_a_partition_that_goes_back_is_what_it_was(parted: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """DETACH CONCURRENTLY leaves a CHECK with the partition's bounds; those that were there before are kept."""
    parted.sql("ALTER TABLE orders_january ADD CONSTRAINT small CHECK (id < 100000)")
    parted.sql("ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0)")
    query = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders_january'::regclass "
        "ORDER BY 1"
    )
    before = parted.sql(query)
    monkeypatch.setattr(drop_module, "_drop", _take_out_and_fail)
    parted.export()
    with pytest.raises(ProofFailed, match="not proven"):
        drop(parted)
    assert parted.sql(query) == before
    parted.sql("ALTER TABLE orders_january ADD CHECK (placed_at IS NOT NULL AND placed_at >= '2024-01-01 00:00:00+00' "
               "AND placed_at < '2024-02-01 00:00:00+00')")  # fmt: skip
    before = parted.sql(query)
    with pytest.raises(ProofFailed, match="not proven"):
        drop(parted)
    assert parted.sql(query) == before, "the operator's own CHECK of the bounds is nobody's leftover"


def _take_out_and_fail(session: object, known: PostgresPartitions, partition: Partition, *_: object) -> dict[str, int]:
    with known.taken_out(partition):
        raise ProofFailed("not proven")


def test_rows_deleted_since_are_already_gone_in_the_receipt(parted: Bench) -> None:
    parted.export()
    parted.sql("DELETE FROM orders WHERE id = 3")
    (receipt,) = drop(parted)
    assert (receipt.archived, receipt.deleted, receipt.already_gone) == (30, 29, 1)


def test_a_partition_that_is_gone_gives_its_receipt(parted: Bench) -> None:
    parted.export()
    parted.sql("DROP TABLE orders_january")
    (receipt,) = drop(parted)
    assert (receipt.deleted, receipt.already_gone) == (0, 30)


@pytest.mark.parametrize("to", ["'2024-01-20'", "'2024-02-15'"])
def test_a_partition_that_got_other_bounds_is_not_taken_for_gone(parted: Bench, to: str) -> None:
    parted.export()
    parted.sql("ALTER TABLE orders DETACH PARTITION orders_january")
    parted.sql("DELETE FROM orders_january WHERE id >= 10")
    parted.sql('ALTER TABLE orders DETACH PARTITION "Orders of spring"')
    parted.sql(f"ALTER TABLE orders ATTACH PARTITION orders_january FOR VALUES FROM ('2024-01-01') TO ({to})")
    records = parted.records()
    for _ in range(2):
        with pytest.raises(ProofFailed, match=r"has the bounds \[2024-01-01Z, 2024-02-01Z\) any more, but 9 rows"):
            drop(parted)
    assert parted.records() == records, "no receipt says of rows that are there that they are gone"
    assert parted.sql("SELECT count(*) FROM orders_january") == [(9,)]
    parted.sql("DROP TABLE orders_january")
    (receipt,) = drop(parted)
    assert receipt.already_gone == 30


def test_a_partition_in_use_is_not_waited_for_for_ever(parted: Bench) -> None:
    parted.export()
    with psycopg.connect(parted.url) as reader:
        reader.execute("SELECT count(*) FROM orders_january")
        with pytest.raises(SourceUnavailable, match="in use by process"):
            drop(parted)
        assert parted.count() == 200
    drop(parted)
    assert parted.count() == 170 and JANUARY not in partitions(parted)


def test_a_partition_that_cannot_go_back_is_told_and_goes_back_first_thing(
    parted: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took the lock between the look and the DETACH, which then waits in vain, half done."""
    parted.export()
    monkeypatch.setattr(PostgresPartitions, "_refuse_in_use", lambda *_: None)
    monkeypatch.setattr(partitions_module, "TRIES", 1)
    with psycopg.connect(parted.url) as reader:
        reader.execute("SELECT count(*) FROM orders_january")
        with pytest.raises(SourceUnavailable, match=r"(?s)half taken out.*All of its rows are in"):
            drop(parted)
    (receipt,) = drop(parted)
    assert receipt.deleted == 30 and JANUARY not in partitions(parted)


@pytest.mark.parametrize("moment", ["detached", "locked"])
def test_a_run_that_dies_while_a_partition_is_taken_out_leaves_it_for_the_next_one(parted: Bench, moment: str) -> None:
    parted.export()
    (manifest,) = [g.manifest.path for g in parted.generations()][:1]
    patch = {
        "detached": "from blocks.dialects.postgresql.partitions import PostgresTakenOut as P; P.locked = die",
        "locked": "from blocks.dialects.postgresql.partitions import PostgresTakenOut as P; P.drop = die",
    }[moment]
    killed = parted.in_another_process(
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{patch}\nfrom tasks.drop_partition import drop_partition\n"
        f"drop_partition([bench.prove({manifest!r})], bench.job(), 'killed')"
    )
    assert killed.wait(60) == -signal.SIGKILL
    assert JANUARY not in partitions(parted) and parted.count() == 170
    (receipt,) = drop(parted)
    assert receipt.deleted == 30 and JANUARY not in partitions(parted)
    assert parted.sql("SELECT to_regclass('orders_january')") == [(None,)]


def test_the_next_plan_takes_back_what_a_dead_run_left(parted: Bench, tmp_path: Path) -> None:
    job = parted.job()
    with psycopg.connect(parted.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        known = PostgresPartitions(connection, job.table, job.time)
        known._detach(next(p for p in known.listed() if p.name.endswith('"orders_january"')))
        assert parted.count() == 170
        assert known.take_back() == ['"public"."orders_january"']
        assert known.take_back() == []
    assert parted.count() == 200
    assert parted.sql("SELECT obj_description('orders_january'::regclass, 'pg_class')") == [("the first",)]


def test_one_damaged_row_in_the_evidence_keeps_the_partition(parted: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    parted.export()
    monkeypatch.setattr(drop_module, "_proven_rows", lambda digests, verified, job: {"x": 29})
    with pytest.raises(ProofFailed):
        drop(parted)
    assert JANUARY in partitions(parted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": "month"}, "needs `window: partition`"),
        ({"where": "id > 3"}, "no `where`"),
    ],
)
def test_what_does_not_go_with_partitions_is_refused(parted: Bench, changes: dict[str, str], message: str) -> None:
    parted.configure(**changes)
    with pytest.raises(ConfigError, match=message):
        parted.job()


def test_a_table_without_partitions_is_refused(bench: Bench) -> None:
    bench.fill_orders(10)
    bench.configure(window=None, purge={"mode": "drop_partition"})
    assert "is not partitioned" in bench.refusal().what


def test_partitions_of_another_column_are_refused(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz) PARTITION BY RANGE (id)")
    bench.configure(window=None, purge={"mode": "drop_partition"})
    assert "not partitioned by ranges of placed_at alone" in bench.refusal().what


def test_only_the_owner_may_drop(parted: Bench) -> None:
    parted.sql("CREATE ROLE clerk_of_partitions LOGIN PASSWORD 'x'")
    owner = parted.url
    try:
        parted.sql("GRANT SELECT, DELETE ON orders TO clerk_of_partitions")
        parted.url = "postgresql://clerk_of_partitions:x@" + owner.rpartition("@")[2]
        parted.configure()
        with pytest.raises(ConfigError, match="only the owner"):
            parted.job()
    finally:
        parted.url = owner
        parted.sql("DROP OWNED BY clerk_of_partitions")
        parted.sql("DROP ROLE clerk_of_partitions")


def test_a_whole_run_drops_and_a_further_one_changes_nothing(parted: Bench) -> None:
    report = parted.run()
    assert (report.totals["archived"], report.totals["deleted"]) == (120, 120)
    assert partitions(parted) == ["orders_rest"]
    records = parted.records()
    assert parted.run("again").totals["archived"] == 0
    assert parted.records() == records


def test_a_run_takes_back_what_a_dead_one_left_before_it_looks(parted: Bench) -> None:
    job = parted.job()
    with psycopg.connect(parted.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        known = PostgresPartitions(connection, job.table, job.time)
        known._detach(next(p for p in known.listed() if p.name.endswith('"orders_january"')))
    with source_of(job).locked(job.table) as session:
        take_back_partitions(session, job)
    assert parted.run().totals["deleted"] == 120
