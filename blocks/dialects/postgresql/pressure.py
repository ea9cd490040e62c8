"""What PostgreSQL says of the load that work puts on it, as brakes for the throttle, and who may ask.

Readings are taken on the connection that does the work, between its batches: if it is lost, so is the work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blocks.dialects.postgresql.replica_lag import LagHistory
from blocks.dialects.postgresql.session import Connection, session, translated
from blocks.dialects.postgresql.vacuum import DeadTuples, autovacuum_from, dead_tuples, may_vacuum, vacuum
from blocks.throttle.brake import Brake, Stopped, Wait
from blocks.throttle.limit import Limit
from blocks.throttle.lock_watch import CountWaiting
from schemas.table import Table
from schemas.throttle_options import ThrottleOptions

# Standbys, and subscribers of logical replication; a base backup replays nothing. One that is not connected is as far
# behind as the slot that keeps the WAL for it.
_REPLICAS = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_wal_lsn_diff(replay_lsn, '0/0')::bigint,
       extract(epoch FROM replay_lag)::float8
FROM pg_stat_replication WHERE replay_lsn IS NOT NULL
UNION ALL SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
       pg_wal_lsn_diff(coalesce(confirmed_flush_lsn, restart_lsn), '0/0')::bigint, NULL
FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost'
"""
_WAL = """
SELECT last_archived_wal, pg_walfile_name(pg_current_wal_lsn()), pg_size_bytes(current_setting('wal_segment_size'))
FROM pg_stat_archiver
"""
_ACTIVE = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_WAITING = """
SELECT count(DISTINCT pid) FROM pg_locks
WHERE CASE WHEN NOT granted AND pid <> $1 THEN $1 = ANY(pg_blocking_pids(pid)) ELSE false END
"""
_READS_ALL = "SELECT pg_has_role('pg_read_all_stats', 'USAGE'), current_user"


@dataclass(frozen=True, slots=True)
class PostgresPressure:
    """The load on a PostgreSQL server.

    Attributes:
        connection: The one that does the work, and takes the readings between its batches.
        url: For what needs a connection of its own: the watch over locks, and VACUUM.
        table: The table that is worked on.
        options: The limits.
    """

    connection: Connection
    url: str
    table: Table
    options: ThrottleOptions

    def brakes(self) -> list[Brake]:
        """Return the brakes that the options ask for."""
        return [_Translated(brake, self.url) for brake in self._brakes()]

    def _brakes(self) -> Iterator[Brake]:
        connection, options = self.connection, self.options
        if options.max_replica_lag_s is not None:
            history, most_s = LagHistory(), options.max_replica_lag_s
            yield Limit(
                "replica_lag", "replica lag", "lag_s", lambda: replica_lag_s(connection, history), most_s, " s",
                every_s=min(1.0, most_s / 2),
            )  # fmt: skip
        if options.max_unarchived_wal_files is not None:
            files = UnarchivedWal(connection).files
            yield Limit("wal_not_archived", "WAL files not archived", "files", files, options.max_unarchived_wal_files)
        if options.max_active_sessions is not None:
            most = options.max_active_sessions
            yield Limit("active_sessions", "active sessions", "sessions", lambda: active_sessions(connection), most)
        if options.max_dead_tuples is not None:
            yield DeadTuples(
                lambda: dead_tuples(connection, self.table),
                options.max_dead_tuples,
                self.vacuum if options.vacuum == "between" else None,
            )

    @contextmanager
    def lock_waits(self) -> Iterator[CountWaiting]:
        """Open a connection, and give what counts the sessions that wait for a lock of the one that works."""
        pid = self.connection.info.backend_pid
        with session(self.url) as connection:

            def count() -> int:
                with translated(self.url):
                    return int((connection.execute(_WAITING, [pid]).fetchone() or (0,))[0])

            yield count

    def vacuum(self, stopped: Stopped) -> None:
        """Vacuum the table."""
        vacuum(self.url, self.table, stopped)


@dataclass(frozen=True, slots=True)
class _Translated:
    """A brake whose driver's errors come out as Tidegate's."""

    brake: Brake
    url: str

    @property
    def every_s(self) -> float:
        return self.brake.every_s

    def look(self) -> Wait | None:
        with translated(self.url):
            return self.brake.look()


def obstacles(connection: Connection, table: Table, options: ThrottleOptions, where: str) -> Iterator[tuple[str, str]]:
    """Yield which of the limits cannot be kept here, and what to do about it.

    Args:
        connection: As the role that does the work.
        table: The table that is to be worked on.
        options: The limits.
        where: The options' place in the configuration: `archives[orders].purge`.
    """
    yield from _unreadable(connection, options, where)
    if options.max_unarchived_wal_files is not None:
        mode = (connection.execute("SELECT current_setting('archive_mode')").fetchone() or ("off",))[0]
        if mode == "off":
            yield (
                f"{where}.max_unarchived_wal_files: this server archives no WAL (archive_mode is off).",
                "Leave the key out, or set archive_mode and archive_command.",
            )
    if options.vacuum != "none" and not may_vacuum(connection, table):
        yield (
            f"{where}.vacuum: the source's role may not vacuum {table.quoted}.",
            f"GRANT MAINTAIN ON {table.quoted} TO the role that the source connects as (PostgreSQL 17 and later), make "
            "it a member of the table's owner, or set vacuum: none.",
        )
    if options.vacuum != "between" and options.max_dead_tuples is not None:
        starts = autovacuum_from(connection, table)
        if starts is None or starts > options.max_dead_tuples:
            when = "never looks after" if starts is None else f"begins at {starts:,.0f} dead rows with"
            yield (
                f"{where}.max_dead_tuples: autovacuum {when} {table.quoted}, so that the work would wait for ever.",
                "Set vacuum: between, or a higher limit, or have autovacuum begin earlier (ALTER TABLE … SET "
                "(autovacuum_vacuum_scale_factor = …)).",
            )


def _unreadable(connection: Connection, options: ThrottleOptions, where: str) -> Iterator[tuple[str, str]]:
    names = [
        name for name in ("max_replica_lag_s", "max_active_sessions") if getattr(options, name) is not None
    ]  # other limits read what every role may read
    may, role = connection.execute(_READS_ALL).fetchone() or (False, "ROLE")
    if names and not may:
        yield (
            f"{where}.{' and '.join(names)}: the source's role may not see the activity of others.",
            f'GRANT pg_read_all_stats TO "{role}" (pg_monitor includes it).',
        )


def replica_lag_s(connection: Connection, history: LagHistory) -> float | None:
    """Return how far the slowest replica is behind; None if there is none."""
    rows = connection.execute(_REPLICAS).fetchall()
    return history.lag_s(rows[0][0], [(replayed, measured) for _, replayed, measured in rows]) if rows else None


def active_sessions(connection: Connection) -> int:
    """Return how many other sessions are at work now, in all databases of the server."""
    return int((connection.execute(_ACTIVE).fetchone() or (0,))[0])


class UnarchivedWal:
    """Counts finished WAL files that the archiver has not reported yet.

    From `pg_stat_archiver`, which every role may read, where the exact list (`pg_ls_archive_statusdir`) is for
    monitoring roles only. As long as the archiver has reported nothing, files are counted from the first look on.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._first: int | None = None

    def files(self) -> int:
        """Return the number of files."""
        archived, current, size_bytes = self._connection.execute(_WAL).fetchone() or (None, "", 0)
        now = wal_file_number(current, size_bytes)
        assert now is not None, current
        if self._first is None:
            self._first = now
        known = wal_file_number(archived, size_bytes) if archived else None
        return max(0, now - (known if known is not None else self._first - 1) - 1)


def wal_file_number(name: str, size_bytes: int) -> int | None:
    """Return the number of a WAL file by its name; None for a timeline's history, which stands between them."""
    if len(name) < 24:
        return None
    log, part = int(name[8:16], 16), int(name[16:24], 16)
    return log * (2**32 // size_bytes) + part
