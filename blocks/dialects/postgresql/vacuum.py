"""Rows that are deleted and not cleaned away yet, and the VACUUM that does it: plain, so that it locks nobody out."""

import threading
import time
from collections.abc import Callable

import psycopg

from blocks.dialects.postgresql.session import Connection, session, statement, translated
from blocks.run_log import log_event
from blocks.throttle.brake import Stopped, Wait
from schemas.errors import TidegateError
from schemas.table import Table

AGAIN_S = 60.0  # after a VACUUM that did not help: somebody's old snapshot still needs the rows
LOOK_S = 0.2

# The table and, if it is partitioned, all of its partitions.
_DEAD = """
SELECT coalesce(sum(pg_stat_get_dead_tuples(relid)), 0)::bigint
FROM (SELECT relid FROM pg_partition_tree($1::regclass) UNION SELECT $1::regclass) AS tables
"""
_OWNED = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = $1::regclass"
_MAY_MAINTAIN = "SELECT has_table_privilege($1, 'MAINTAIN')"  # PostgreSQL 17 and later
_THRESHOLD = """
SELECT coalesce(bool_and(coalesce(o.enabled, 'on')::bool AND current_setting('autovacuum')::bool), true),
       max(coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold'))::float8
           + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor'))::float8 * greatest(c.reltuples, 0))
FROM pg_class c CROSS JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale
    FROM pg_options_to_table(c.reloptions)) AS o
WHERE c.relkind = 'r'
  AND c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass) UNION SELECT $1::regclass)
"""


def dead_tuples(connection: Connection, table: Table) -> int:
    """Return how many dead rows the table has, as the server's statistics know it (they may be a second old)."""
    return int((connection.execute(_DEAD, [table.quoted]).fetchone() or (0,))[0])


def may_vacuum(connection: Connection, table: Table) -> bool:
    """Return whether the session's role may vacuum the table: to others, VACUUM gives a warning and does nothing."""
    if connection.execute(_OWNED, [table.quoted]).fetchone() == (True,):
        return True
    newer = connection.info.server_version >= 170000
    return newer and connection.execute(_MAY_MAINTAIN, [table.quoted]).fetchone() == (True,)


def autovacuum_from(connection: Connection, table: Table) -> float | None:
    """Return from how many dead rows on autovacuum looks after the table; None if it never does."""
    enabled, threshold = connection.execute(_THRESHOLD, [table.quoted]).fetchone() or (True, 0.0)
    return float(threshold or 0.0) if enabled else None


def vacuum(url: str, table: Table, stopped: Stopped) -> bool:
    """Vacuum the table at autovacuum's own pace, and return whether that was done to the end.

    Neither waits for somebody else's lock (then there is nothing done), nor shortens the table's file: that would
    need a lock that keeps everybody out, on replicas too.
    """
    began, state = time.monotonic(), "done"
    with session(url) as connection:
        with translated(url):
            connection.execute("SET vacuum_cost_delay = 2")
        errors: list[psycopg.Error] = []

        def work() -> None:
            try:
                connection.execute(statement(f"VACUUM (TRUNCATE false, SKIP_LOCKED true) {table.quoted}"))
            except psycopg.Error as error:
                errors.append(error)

        log_event("vacuum_begins", table=table.quoted)
        thread = threading.Thread(target=work, name="vacuum", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_S)
            if thread.is_alive() and stopped():
                state = "stopped"
                connection.cancel_safe()
                thread.join(10)
                break
        if errors and state == "done":
            with translated(url):
                raise errors[0]
    log_event("vacuum_ends", table=table.quoted, seconds=round(time.monotonic() - began, 1), state=state)
    return state == "done"


class DeadTuples:
    """Holds the work back while the table has too many dead rows; `between`, it vacuums the table meanwhile."""

    every_s = 2.0  # statistics are no fresher

    def __init__(
        self,
        read: Callable[[], int],
        limit: int,
        clean: Callable[[Stopped], object] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._limit, self._clean, self._clock = read, limit, clean, clock
        self._cleaned_at = float("-inf")

    def look(self) -> Wait | None:
        """Return a wait if there are too many, with VACUUM as the remedy."""
        dead = self._read()
        if dead <= self._limit:
            return None
        due = self._clean is not None and self._clock() - self._cleaned_at >= AGAIN_S
        who = "VACUUM" if self._clean else "autovacuum"
        return Wait(
            "dead_tuples",
            f"dead rows {dead:,} > {self._limit:,}, {who} has to clean up",
            {"dead": dead, "limit": self._limit},
            remedy=self._remedy if due else None,
        )

    def _remedy(self, stopped: Stopped) -> None:
        assert self._clean is not None
        try:
            self._clean(stopped)
        except TidegateError as error:
            log_event("vacuum_failed", error=repr(error.what.splitlines()[0]))
        self._cleaned_at = self._clock()
