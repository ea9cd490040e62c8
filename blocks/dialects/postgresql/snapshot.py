"""Snapshots of PostgreSQL that several connections read, and the fence that they give to a later DELETE."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blocks.dialects.postgresql.session import Connection, session, statement, translated
from blocks.dialects.postgresql.statements import FENCE_REACH
from schemas.manifest import Snapshot

# What tells one life of a server from another. Transaction numbers that were not yet on the disk are given out again
# after a crash, and all of them after the disk was put back to an earlier state: a number below an old snapshot's is
# then no sign of age. Both need a start, of the server or, when a process of it crashed, of its statistics. A server
# started from a copy of the disk shares the identifier and the timeline, but not the address.
_CLUSTER = """(SELECT system_identifier::text FROM pg_control_system()) || '/' ||
(SELECT timeline_id::text FROM pg_control_checkpoint()) || '/' || coalesce(host(inet_server_addr()), 'local') || ':' ||
coalesce(inet_server_port()::text, '') || '/' || current_database() || '/' ||
extract(epoch FROM pg_postmaster_start_time())::text || '/' ||
coalesce((SELECT extract(epoch FROM stats_reset)::text FROM pg_stat_bgwriter), '')"""


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A snapshot that is held open: others may join it by its id, and rows can be counted inside it."""

    id: str
    snapshot: Snapshot
    connection: Connection
    url: str

    def number(self, query: str) -> int:
        """Return the single number that a query gives, seen from inside the snapshot."""
        with translated(self.url):
            row = self.connection.execute(statement(query)).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def held_snapshot(url: str) -> Iterator[HeldSnapshot]:
    """Open a REPEATABLE READ, READ ONLY transaction, export its snapshot, and hold it until the end."""
    with session(url) as connection, translated(url):
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute(
            statement(
                "SELECT pg_export_snapshot(), now(), pg_snapshot_xmin(pg_current_snapshot())::text, "
                f"pg_snapshot_xmax(pg_current_snapshot())::text, {_CLUSTER}"
            )
        ).fetchone()
        assert row is not None
        snapshot = Snapshot(taken_at=row[1], xmin=int(row[2]), xmax=int(row[3]), cluster=row[4])
        yield HeldSnapshot(row[0], snapshot, connection, url)


def fence_holds(connection: Connection, snapshot: Snapshot) -> bool:
    """Return whether row versions here can be compared with the transaction numbers of that snapshot.

    Not on another cluster, timeline or server, not since the server was started or crashed (it may count again from
    an earlier number), and not when so many transactions have passed that old and new can no longer be told apart.
    """
    if snapshot.xmin is None or snapshot.xmax is None:
        return False
    row = connection.execute(statement(f"SELECT {_CLUSTER}, pg_snapshot_xmax(pg_current_snapshot())::text")).fetchone()
    assert row is not None
    cluster, now = row[0], int(row[1])
    return bool(cluster == snapshot.cluster and snapshot.xmax <= now and now - snapshot.xmin < FENCE_REACH)
