"""Range partitions of a PostgreSQL table: which there are, and how one is taken out of the table and dropped."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.pq import TransactionStatus

from blocks.dialects.postgresql.session import Connection, literal, statement
from blocks.dialects.postgresql.statements import source_value
from blocks.dialects.postgresql.types import digest_expression
from blocks.partitioning import Partition
from blocks.run_log import log_event
from schemas.column_plan import Column, Kind, quote_identifier
from schemas.errors import ConfigError, SourceError, SourceUnavailable
from schemas.job import Job
from schemas.table import Table
from schemas.window import Window

_KEY = """
SELECT p.partstrat = 'r' AND p.partnatts = 1 AND p.partexprs IS NULL,
       (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]),
       pg_has_role(c.relowner, 'USAGE')
FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid WHERE p.partrelid = $1::regclass
"""
_PARTITIONS = """
SELECT n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = $1::regclass ORDER BY c.relname
"""
# What `_detach` has written on a partition. Its own table may have lost it, or be about to.
_MARKED = """
SELECT n.nspname, c.relname, d.description, coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false),
       i.inhrelid IS NOT NULL
FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description LIKE '{"tidegate": "taken out"%'
"""
# Whoever holds a lock on the partition, and old transactions that use the table: for both, a DETACH would wait.
_USERS = """
SELECT a.pid, a.usename, a.xact_start AT TIME ZONE 'UTC' FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.pid <> pg_backend_pid()
  AND (l.relation = $1::regclass OR l.relation = $2::regclass
       AND a.xact_start < now() - current_setting('lock_timeout')::interval)
ORDER BY a.xact_start LIMIT 1
"""
_COMMENT = "SELECT obj_description($1::regclass, 'pg_class')"
_CHECKS = "SELECT conname::text FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c' ORDER BY 1"
# Of a partition that is back: what says the same as its bounds. DETACH CONCURRENTLY writes that down.
_BOUND_CHECKS = """
SELECT conname::text FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c' AND coninhcount = 0
  AND pg_get_expr(conbin, conrelid) = pg_get_partition_constraintdef(conrelid) AND conname::text <> ALL ($2::text[])
"""
_RANGE = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)")
TRIES = 6  # to bring a partition back, with growing pauses
CONCURRENTLY_FROM = 140000  # PostgreSQL 14; and not beside a default partition


@dataclass(frozen=True, slots=True)
class PostgresPartitions:
    """The partitions of a job's table.

    Args:
        connection: In autocommit mode.
        table: The table.
        by: The column that it is partitioned by.
    """

    connection: Connection
    table: Table
    by: Column

    def listed(self) -> list[Partition]:
        """Return all partitions by name; those without a lower and an upper bound have no window."""
        found = self.connection.execute(_PARTITIONS, [self.table.quoted])
        return [Partition(_quoted(schema, name), self._window(bound), bound) for schema, name, bound in found]

    def holding(self, window: Window) -> Partition | None:
        """Return the partition with exactly these bounds, or None if there is none any more."""
        return next((partition for partition in self.listed() if partition.window == window), None)

    def take_back(self) -> list[str]:
        """Attach again what a run that died had taken out of the table, and return its names."""
        taken = []
        for schema, name, comment, pending, attached in self.connection.execute(_MARKED).fetchall():
            partition, mark = _quoted(schema, name), json.loads(comment)
            if mark["table"] != self.table.quoted:
                continue
            if pending:
                self._run(f"ALTER TABLE {self.table.quoted} DETACH PARTITION {partition} FINALIZE")
            if pending or not attached:
                self._attach(partition, mark["bound"])
                taken.append(partition)
            self._drop_checks(partition, mark.get("checks"))
            self._comment(partition, mark["comment"])
        return taken

    def write_digests(self, partition: Partition, columns: tuple[Column, ...], target: Path) -> int:
        """Write the first 16 hex digits of each row's MD5, a line each, and return the number of rows that it counts.

        Rows are counted on their own: what a COPY loses on its way would be missed.
        """
        digest = digest_expression(columns, [source_value(c) for c in columns], utf8=self.table.utf8)
        query = f"COPY (SELECT left({digest}, 16) FROM {partition.name}) TO STDOUT"
        with self._one_moment(), target.open("wb") as file:
            with self.connection.cursor().copy(statement(query)) as copy:
                for chunk in copy:
                    file.write(chunk)
            counted = self.connection.execute(statement(f"SELECT count(*) FROM {partition.name}")).fetchone()
        return int((counted or (0,))[0])

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Read of one moment: that of the transaction around it, which has locked the rows, or one of its own."""
        alone = self.connection.info.transaction_status is TransactionStatus.IDLE
        with self.connection.transaction():
            if alone:
                self._run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    @contextmanager
    def taken_out(self, partition: Partition) -> Iterator["PostgresTakenOut"]:
        """Take a partition out of its table for as long as the block lives; unless it was dropped, it goes back."""
        taken = PostgresTakenOut(self, partition)
        self._refuse_in_use(partition)
        try:
            self._detach(partition)
            yield taken
        finally:
            # A lost connection leaves it for the next run, which takes it back first.
            if not taken.dropped and not self.connection.closed:
                self._return(partition)

    def _refuse_in_use(self, partition: Partition) -> None:
        """Refuse what would have to wait for somebody: half taken out, its rows would be hidden meanwhile."""
        user = self.connection.execute(_USERS, [partition.name, self.table.quoted]).fetchone()
        if user is not None:
            raise SourceUnavailable(
                f"{partition.name} is in use by process {user[0]} ({user[1]}), whose transaction began at "
                f"{user[2]:%H:%M:%S} UTC.",
                next_step="Run the same command again when that has ended.",
            )

    def _return(self, partition: Partition) -> None:
        for attempt in range(TRIES):
            try:
                self.take_back()
            except psycopg.errors.LockNotAvailable:
                log_event("partition_waits_to_return", partition=partition.name, attempt=attempt + 1)
                time.sleep(0.2 * 2**attempt)
            else:
                return
        raise SourceUnavailable(
            f"{partition.name} is half taken out of {self.table.quoted}, and somebody's lock keeps it from going back.",
            state=f"All of its rows are in {partition.name}; queries of {self.table.quoted} do not see them.",
            next_step="End the transaction that uses it and run the same command again at once: it goes back first.",
        )

    def _detach(self, partition: Partition) -> None:
        """Detach it, having written on it where it belongs: whatever dies now, the next run knows."""
        found = self.connection.execute(_COMMENT, [partition.name]).fetchone()
        mark = {
            "tidegate": "taken out",
            "table": self.table.quoted,
            "bound": partition.bound,
            "comment": (found or [None])[0],
            "checks": [name for (name,) in self.connection.execute(_CHECKS, [partition.name])],
        }
        self._comment(partition.name, json.dumps(mark))
        alone = not any(other.bound == "DEFAULT" for other in self.listed())
        concurrently = alone and self.connection.info.server_version >= CONCURRENTLY_FROM
        how = " CONCURRENTLY" if concurrently else ""
        self._run(f"ALTER TABLE {self.table.quoted} DETACH PARTITION {partition.name}{how}")
        log_event("partition_detached", partition=partition.name, concurrently=concurrently)

    def _attach(self, partition: str, bound: str) -> None:
        attach = f"ALTER TABLE {self.table.quoted} ATTACH PARTITION {partition} {bound}"
        try:
            self._run(attach)
        except psycopg.Error as error:
            raise SourceError(
                f"{partition} was taken out of {self.table.quoted} and cannot go back: {str(error).strip()}",
                state=f"Its rows are all in {partition}, which is a table of its own now.",
                next_step=f"Settle that, then run: {attach}",
            ) from None
        log_event("partition_attached_again", partition=partition)

    def _drop_checks(self, partition: str, before: list[str] | None) -> None:
        """Drop the CHECK that DETACH CONCURRENTLY has left: it spared ATTACH a look at every row, and now says nothing.

        Args:
            partition: It is in its table again.
            before: The names of the CHECKs that it had before it was taken out; None if nobody wrote them down.
        """
        if before is None:
            return
        for (name,) in self.connection.execute(_BOUND_CHECKS, [partition, before]).fetchall():
            try:
                self._run(f"ALTER TABLE {partition} DROP CONSTRAINT {quote_identifier(name)}")
            except psycopg.errors.LockNotAvailable:  # it does no harm
                log_event("partition_keeps_check", partition=partition, constraint=name)

    def _comment(self, partition: str, comment: str | None) -> None:
        self._run(f"COMMENT ON TABLE {partition} IS {literal(comment)}")

    def _window(self, bound: str) -> Window | None:
        found = _RANGE.fullmatch(bound)
        if found is None:
            return None
        aware = self.by.kind is Kind.TIMESTAMPTZ
        try:
            start, end = (datetime.fromisoformat(text) for text in found.groups())
        except ValueError:  # beyond the years that a window can hold
            return None
        return Window(start=start.astimezone(UTC) if aware else start, end=end.astimezone(UTC) if aware else end)

    def _run(self, text: str) -> None:
        self.connection.execute(statement(text))


class PostgresTakenOut:
    """A partition that is a table of its own for the moment."""

    def __init__(self, partitions: PostgresPartitions, partition: Partition) -> None:
        self._partitions, self._partition = partitions, partition
        self._to_drop = self.dropped = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold it against everybody: what is counted in this block is what `drop` drops. Commits at the end."""
        connection = self._partitions.connection
        with connection.transaction():
            connection.execute(statement(f"LOCK TABLE {self._partition.name} IN ACCESS EXCLUSIVE MODE"))
            yield
        self.dropped = self._to_drop

    def drop(self) -> None:
        """Drop it, to be called in a `locked` block."""
        self._partitions.connection.execute(statement(f"DROP TABLE {self._partition.name}"))
        self._to_drop = True


def partitions_of(connection: Connection, job: Job) -> PostgresPartitions:
    """Return the partitions of a job's table.

    Raises:
        ConfigError: The table has none, or they are not ranges of the time column.
    """
    where = f"archives[{job.archive.name}].window"
    found = connection.execute(_KEY, [job.table.quoted]).fetchone()
    if found is None:
        raise ConfigError(
            f"{where}: {job.table.quoted} is not partitioned.",
            next_step="Set window to hour, day, month or year, and purge.mode to delete.",
        )
    plain, column, owner = found
    if not plain or column != job.time.name:
        raise ConfigError(
            f"{where}: {job.table.quoted} is not partitioned by ranges of {job.time.name} alone.",
            next_step="Set window to hour, day, month or year, and purge.mode to delete.",
        )
    if job.archive.purge.mode == "drop_partition" and not owner:
        raise ConfigError(
            f"archives[{job.archive.name}].purge.mode: only the owner of {job.table.quoted} may drop its partitions.",
            next_step="Connect as the table's owner or a role that has its rights, or set purge.mode to delete.",
        )
    connection.execute(statement(f"SET lock_timeout = '{int(job.archive.purge.lock_timeout_s * 1000)}ms'"))
    return PostgresPartitions(connection, job.table, job.time)


def _quoted(schema: str, name: str) -> str:
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"
