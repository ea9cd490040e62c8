"""A streaming replica that exports may read from, beside the primary that everything else goes to.

What is read there may be behind. Nothing is lost by that: a row is deleted only if the primary finds that it is still
what was read, and rows that the replica did not have yet are late rows for the next run.
"""

from collections.abc import Iterator

from blocks.dialects.postgresql.catalog import describe
from blocks.dialects.postgresql.inspection import check_export
from blocks.dialects.postgresql.query import describe_query
from blocks.dialects.postgresql.session import Connection, session, translated
from schemas.reading import Reading
from schemas.table import Table
from schemas.table_name import TableName

_IDENTITY = "SELECT (SELECT system_identifier FROM pg_control_system()), current_database(), pg_is_in_recovery()"
# Of a replica: what it has replayed. Of a primary: what it has written.
_POSITION = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text
"""
_PASSED = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn"


def replica_obstacles(primary_url: str, replica_url: str, job: Reading) -> Iterator[tuple[str, str]]:
    """Yield why the one is no replica of the other, or cannot be read in its place, and what to do about it.

    Raises:
        ConfigError: It may not be read, or has no such table.
        SourceUnavailable: One of them could not be reached.
    """
    where = f"sources.yaml: sources[{job.source_name}].replica"
    with (
        session(primary_url) as primary,
        translated(primary_url),
        session(replica_url) as replica,
        translated(replica_url),
    ):
        here, there = _identity(primary), _identity(replica)
        if not there[2]:
            yield (
                f"{where}: this server is no standby: it takes writes of its own.",
                "Name a streaming replica of the server in `connection`, or leave `replica` out.",
            )
        elif here[0] != there[0]:
            yield (
                f"{where}: it is a standby of another server than the one in `connection` (their system identifiers "
                f"are {there[0]} and {here[0]}).",
                "Name a streaming replica of that very server.",
            )
        elif here[1] != there[1]:
            yield (
                f"{where}: it names the database {there[1]}, and `connection` the database {here[1]}.",
                "Name the same database in both.",
            )
        else:
            yield from _other_table(replica, job)


def _identity(connection: Connection) -> tuple[int, str, bool]:
    found = connection.execute(_IDENTITY).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def _other_table(replica: Connection, job: Reading) -> Iterator[tuple[str, str]]:
    name = job.table.quoted
    if _described(replica, job).columns != job.table.columns:
        yield (
            f"The replica does not have the columns of {name} as the primary has them now: it is behind.",
            "Run it again once the replica has caught up (pg_stat_replication on the primary).",
        )
        return
    check_export(replica, job)


def _described(replica: Connection, job: Reading) -> Table:
    table = job.table
    if table.query is None:
        return describe(replica, table.schema_name, table.name)
    return describe_query(replica, TableName(table.schema_name, table.name), table.query, f"{job.label}.query")


def is_behind(primary_url: str, replica_url: str) -> bool:
    """Return whether the replica has not yet replayed all that the primary has written by now."""
    with session(primary_url) as primary, translated(primary_url):
        position = (primary.execute(_POSITION).fetchone() or ("0/0",))[0]
    with session(replica_url) as replica, translated(replica_url):
        return replica.execute(_PASSED, [position]).fetchone() != (True,)
