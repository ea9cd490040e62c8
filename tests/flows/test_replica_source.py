"""A streaming replica: as a source by itself, and beside the primary, for exports to read from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from service_bench import Bench
from service_replica import Replica

from schemas.errors import SourceUnavailable
from tidegate.demo.postgres import EmbeddedPostgres


@contextmanager
def paused(standby: Replica) -> Iterator[None]:
    """Have the replica stay as it is now for as long as the block runs, and catch up at its end."""
    standby.catch_up()
    with psycopg.connect(standby.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        while connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            pass
        yield
        connection.execute("SELECT pg_wal_replay_resume()")
    standby.catch_up()


@pytest.fixture
def split(bench: Bench, standby: Replica) -> Bench:
    """A bench whose exports read from the replica."""
    bench.fill_orders(100)
    standby.catch_up()
    bench.replica = standby.url(str(psycopg.conninfo.conninfo_to_dict(bench.url)["dbname"]))
    bench.configure()
    return bench


def test_a_replica_is_archived_and_only_the_primary_is_purged(bench: Bench, standby: Replica) -> None:
    bench.fill_orders(100)
    bench.sql("UPDATE orders SET note = 'changed' WHERE id > 90")
    standby.catch_up()
    replica = replace(bench, url=standby.url(str(psycopg.conninfo.conninfo_to_dict(bench.url)["dbname"])))
    assert replica.sql("SELECT pg_is_in_recovery()") == [(True,)]
    assert "is a replica" in bench.refusal().what
    report = replica.run(purging=False)
    assert report.totals["archived"] == 100
    assert set(replica.run("again", purging=False).totals.values()) == {0}
    bench.sql("UPDATE orders SET note = 'late' WHERE id = 7")
    bench.configure()
    report = bench.run("purge")
    assert (report.totals["archived"], report.totals["deleted"], report.totals["changed_since"]) == (1, 100, 1)
    assert bench.count() == 0


def test_exports_read_from_the_replica_and_the_primary_compares_every_row_by_its_digest(split: Bench) -> None:
    split.export()
    (generation,) = split.generations()
    port = psycopg.conninfo.conninfo_to_dict(str(split.replica))["port"]
    assert f":{port}/" in generation.manifest.attestation.snapshot.cluster
    receipt = split.purge(generation.manifest.path)
    assert (receipt.deleted, receipt.by_fence, split.count()) == (100, 0, 0)
    assert set(split.run("again").totals.values()) == {0}


def test_what_a_replica_does_not_have_yet_is_late_and_what_has_changed_stays(split: Bench, standby: Replica) -> None:
    with paused(standby):
        split.sql("INSERT INTO orders SELECT id + 1000, placed_at, 'late', 1, NULL, NULL FROM orders WHERE id <= 5")
        split.sql("UPDATE orders SET note = 'changed' WHERE id IN (10, 11)")
        split.sql("DELETE FROM orders WHERE id = 20")
        report = split.run()
        counts = {name: report.totals[name] for name in ("archived", "deleted", "changed_since", "already_gone")}
        assert counts == {"archived": 100, "deleted": 97, "changed_since": 2, "already_gone": 1}
        assert split.count() == 7
    report = split.run("again")
    assert (report.totals["archived"], report.totals["deleted"], split.count()) == (7, 7, 0)
    versions = split.lake_rows("id, note")
    assert len(versions) == 107
    assert [note for row_id, note in versions if row_id == 10].count("changed") == 1


def test_a_replica_that_is_behind_what_was_read_elsewhere_is_not_read(split: Bench, standby: Replica) -> None:
    """Its old versions of rows would pass for newer ones than those that the primary gave."""
    replica, split.replica = split.replica, None
    split.configure()
    split.run(purging=False)
    split.replica = replica
    with paused(standby):
        split.sql("UPDATE orders SET note = 'newest' WHERE id = 7")
        split.configure()
        with pytest.raises(SourceUnavailable, match="is behind, and earlier generations were read"):
            split.export()
        assert len(split.generations()) == 1
    assert split.run("again").totals["deleted"] == 100
    assert ("newest",) in split.lake_rows("note")


def refusal(bench: Bench, replica: str) -> str:
    bench.replica = replica
    bench.configure()
    return bench.refusal().what


def test_what_is_no_replica_of_the_source_is_refused(split: Bench, standby: Replica) -> None:
    assert "no standby: it takes writes" in refusal(split, split.url)
    assert "names the database postgres" in refusal(split, standby.url())
    assert "does not exist" in refusal(split, standby.url("nowhere"))


def test_a_standby_of_another_server_is_refused(split: Bench, tmp_path: Path) -> None:
    with EmbeddedPostgres() as other:
        stranger = Bench(other.url(), tmp_path / "stranger")
        stranger.fill_orders(10)
        assert "a standby of another server" in refusal(stranger, str(split.replica))


def test_a_replica_that_has_not_the_tables_columns_yet_is_refused(split: Bench, standby: Replica) -> None:
    with paused(standby):
        split.sql("ALTER TABLE orders ADD COLUMN coupon text")
        assert "it is behind" in split.refusal().what
    assert split.run().totals["deleted"] == 100
