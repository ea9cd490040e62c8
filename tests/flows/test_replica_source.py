"""A streaming replica as the source: it can be archived, and a purge of it is refused at planning."""

from dataclasses import replace

import psycopg
import pytest
from service_bench import Bench
from service_replica import Replica

from tidegate.demo.postgres import EmbeddedPostgres


@pytest.mark.slow
def test_a_replica_is_archived_and_only_the_primary_is_purged(bench: Bench, postgres: EmbeddedPostgres) -> None:
    bench.fill_orders(100)
    bench.sql("UPDATE orders SET note = 'changed' WHERE id > 90")
    name = str(psycopg.conninfo.conninfo_to_dict(bench.url)["dbname"])
    with Replica(primary=postgres, settings={"max_connections": "100"}) as standby:
        replica = replace(bench, url=standby.url(name))
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
