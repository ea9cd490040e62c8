"""Who holds locks on rows: the sessions of the transactions that the rows name."""

from collections.abc import Sequence

from blocks.dialects.postgresql.session import Connection

# What a role may not see of others (start, application) is NULL; process and user are there for everybody.
_HOLDERS = """
SELECT DISTINCT l.pid, a.usename::text, a.application_name, a.xact_start
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid::text = ANY($1::text[]) ORDER BY 1
"""
# A row names its locker by the lower half of the number.
_RUNNING = """
SELECT x FROM unnest($1::text[]) AS x,
    LATERAL (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next) AS now,
    LATERAL (SELECT (next >> 32 << 32) + x::bigint AS number) AS same_epoch
WHERE pg_xact_status(greatest(CASE WHEN number > next THEN number - 4294967296 ELSE number END, 3)::text::xid8)
      = 'in progress'
"""


def running(connection: Connection, transactions: Sequence[str]) -> set[str]:
    """Return which of these transactions, which began not long ago, have not ended yet; sub-transactions too."""
    return {row[0] for row in connection.execute(_RUNNING, [list(transactions)])}


def lock_holders(connection: Connection, transactions: Sequence[str]) -> tuple[str, ...]:
    """Return who runs these transactions: `process 4711 (user app, psql, since 2026-01-31 12:00:05 UTC)`."""
    holders = []
    for pid, user, application, since in connection.execute(_HOLDERS, [list(transactions)]):
        known = [
            f"user {user}" if user else "",
            application or "",
            f"since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "",
        ]
        told = ", ".join(filter(None, known))
        name = f"process {pid}" if pid else "a prepared transaction"
        holders.append(f"{name} ({told})" if told else name)
    return tuple(holders)
