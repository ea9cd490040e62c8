"""A moment of MariaDB or MySQL: a consistent snapshot on one connection, in which rows are counted and read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC

from blocks.dialects.mysql.decode import decode
from blocks.dialects.mysql.session import Connection, relation, session
from blocks.dialects.mysql.source_errors import translated
from blocks.dialects.mysql.statements import checked_columns, count_rows, export_rows, slice_predicate
from blocks.dialects.mysql.wire import read_columns
from blocks.source import RowBatch, Slice
from schemas.manifest import Snapshot
from schemas.reading import BATCH_BYTES, Reading

MAX_BATCH_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class MySQLSnapshot:
    """A transaction that sees one moment. It numbers no row versions, so it vouches for none to a later DELETE."""

    connection: Connection
    record: Snapshot

    def vouches_for(self, snapshot: Snapshot) -> bool:
        """Return False: no row says when it was written."""
        return False

    def count(self, job: Reading, rows: Slice) -> int:
        """Return the number of rows."""
        with translated(self.connection.url):
            query = count_rows(relation(job.table), slice_predicate(job, rows))
            return int(self.connection.one(query)[0])

    def read(self, job: Reading, rows: Slice, *, digest: bool) -> Iterator[RowBatch]:
        """Yield the rows."""
        query = export_rows(relation(job.table), job.columns, slice_predicate(job, rows), digest=digest)
        checked = checked_columns(job.columns)
        with translated(self.connection.url):
            for columns in read_columns(self.connection, query, job.rows_at_once(MAX_BATCH_ROWS), BATCH_BYTES):
                yield decode(columns, job.columns, checked, job.key, digest)


@contextmanager
def held_snapshot(url: str) -> Iterator[MySQLSnapshot]:
    """Open a transaction that sees the moment at which it began, and hold it until the end."""
    with session(url) as connection, translated(url):
        connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        variables = "@@server_uuid" if not connection.is_mariadb else "@@server_id"
        taken_at, server, host, port = connection.one(f"SELECT UTC_TIMESTAMP(6), {variables}, @@hostname, @@port")
        record = Snapshot(
            taken_at=taken_at.replace(tzinfo=UTC), cluster=f"mysql:{server}/{host}:{port}/{connection.database}"
        )
        yield MySQLSnapshot(connection, record)
