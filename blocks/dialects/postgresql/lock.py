"""One archiver per table: an advisory lock on the connection that does the work, so that losing one loses both."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.dialects.postgresql.session import Connection, session, translated
from schemas.errors import Busy
from schemas.table import Table


@contextmanager
def archiver_lock(url: str, table: Table) -> Iterator[Connection]:
    """Open a connection that holds the table's archiver lock for as long as the connection lives.

    Raises:
        Busy: Another archiver holds it.
    """
    number = int.from_bytes(hashlib.sha256(f"tidegate {table.quoted}".encode()).digest()[:8], "big", signed=True)
    with session(url) as connection, translated(url):
        row = connection.execute("SELECT pg_try_advisory_lock($1)", [number]).fetchone()
        if row != (True,):
            holder = connection.execute(_HOLDER, [number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF]).fetchone()
            who = (
                f"process {holder[0]} from {holder[1]}, connected since {holder[2]:%Y-%m-%d %H:%M:%S} UTC"
                if holder
                else "another process"
            )
            raise Busy(
                f"Another archiver works on {table.quoted}: {who}.",
                state="This run changed nothing in the source.",
                next_step="Wait for it to end and run the same command again. If it is dead, end its connection: "
                f"SELECT pg_terminate_backend({holder[0] if holder else 'PID'})",
            )
        yield connection


_HOLDER = """
SELECT a.pid, coalesce(host(a.client_addr), 'a local socket'), a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid::bigint = $1 AND l.objid::bigint = $2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
