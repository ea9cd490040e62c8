"""What would make an export or a purge of a PostgreSQL table fail later, found before anything is touched."""

from collections.abc import Iterator

import psycopg

from blocks.dialects.postgresql.catalog import delete_rules, hides_rows, triggers_on_delete
from blocks.dialects.postgresql.operators_sql import check_expression
from blocks.dialects.postgresql.pressure import obstacles
from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.statements import export_rows, operators_predicate
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.reading import Reading
from schemas.table import Table


def check_export(connection: Connection, job: Reading) -> None:
    """Find what would make reading fail, or read less than all.

    Raises:
        ConfigError: The role may not read all rows, or the predicate is wrong.
    """
    if job.table.query is None:  # of a query, the server has checked its tables: rights, and rows that are hidden
        _check_rights(connection, job.table)
    where = job.where
    _check_where(connection, job, where)
    # The server plans the export, so that what is left to go wrong is found before the first window.
    query = export_rows(
        job.table.relation, job.columns, f"true{operators_predicate(where)}", digest=True, utf8=job.table.utf8
    )
    connection.execute(statement(f"EXPLAIN {query}"), prepare=True)


def _check_rights(connection: Connection, table: Table) -> None:
    if not table.may_select:
        raise ConfigError(
            f"The source's role may not read {table.quoted}.",
            next_step=f"GRANT USAGE ON SCHEMA {quote_identifier(table.schema_name)} and GRANT SELECT ON {table.quoted} "
            "TO the role that the source connects as.",
        )
    if hides_rows(connection, table):
        raise ConfigError(
            f"Row-level security hides rows of {table.quoted} from the source's role: what is hidden would be missing "
            "from the archive, or would be taken for deleted.",
            next_step="Connect as a role that sees all rows (ALTER ROLE … BYPASSRLS), and choose rows with `where`.",
        )


def _check_where(connection: Connection, job: Reading, where: str | None) -> None:
    """Find a wrong predicate before the first window."""
    if where is None:
        return
    try:
        check_expression(connection, job.table.relation, where)
        query = f"EXPLAIN SELECT FROM {job.table.relation} WHERE true{operators_predicate(where)}"
        connection.execute(statement(query), prepare=True)
    except psycopg.Error as error:
        raise ConfigError(
            f"{job.label}.where: {str(error).strip()}",
            next_step="Correct the predicate; it stands in WHERE as it is.",
        ) from None


def purge_obstacles(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    """Yield what keeps rows of the table from being deleted, and what to do about it."""
    table = job.table
    if table.inherited:
        yield (
            f"Other tables inherit from {table.quoted}; its key does not hold for their rows.",
            "Archive each of the tables by its own name.",
        )
    rules = delete_rules(connection, table)
    if rules:
        yield (
            f"Rules of {table.quoted} turn a DELETE into something else: {', '.join(rules)}.",
            f"DROP RULE … ON {table.quoted} (a trigger can do its work), or run with --no-purge.",
        )
    yield from _unseen_triggers(connection, job)
    yield from _held_partitions(connection, job)
    if connection.execute("SELECT current_setting('session_replication_role')").fetchone() != ("origin",):
        yield (
            "The source's role works with session_replication_role set to replica or local: foreign keys are not "
            "checked, and triggers do not fire.",
            "ALTER ROLE … RESET session_replication_role (or ALTER DATABASE …), for the role that the source connects "
            "as; or run with --no-purge.",
        )
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        yield (
            "The source is a replica; nothing can be deleted there.",
            "Name the primary in sources.yaml.",
        )
    if not table.may_delete:
        yield (
            f"The source's role may not delete from {table.quoted}.",
            f"GRANT DELETE ON {table.quoted} TO the role that the source connects as; or run with --no-purge.",
        )
    if job.parent or job.children:
        may_lock = connection.execute("SELECT has_any_column_privilege($1, 'UPDATE')", [table.quoted]).fetchone()
        if may_lock != (True,):
            yield (
                f"The source's role may not lock rows of {table.quoted}; families are locked while they leave.",
                f"GRANT UPDATE ON {table.quoted} TO the role that the source connects as (PostgreSQL asks for it to "
                "lock a row; nothing is updated).",
            )
    yield from obstacles(connection, table, job.archive.purge, f"archives[{job.archive.name}].purge")


_HELD_PARTITIONS = """
SELECT c.confrelid::regclass::text, c.conname, c.conrelid::regclass::text FROM pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0
  AND c.confrelid IN (SELECT relid FROM pg_partition_tree($1::regclass) WHERE level > 0) ORDER BY 1, 2, 3
"""


def _held_partitions(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    """Yield the partitions that PostgreSQL lets nobody drop, whatever their rows are."""
    if job.archive.purge.mode == "drop_partition":
        for partition, key, table in connection.execute(_HELD_PARTITIONS, [job.table.quoted]):
            yield (
                f"{partition} cannot be dropped: the foreign key {key} on {table} points at that partition by itself.",
                f"Have the key point at {job.table.quoted}, or set archives[{job.archive.name}].purge.mode to delete.",
            )


def _unseen_triggers(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    """Yield the triggers that nobody has said to have looked at."""
    options, table = job.archive.purge, job.table.quoted
    unseen = [t for t in triggers_on_delete(connection, job.table) if t.name not in options.triggers]
    if not unseen:
        return
    names, where = ", ".join(map(str, unseen)), f"archives[{job.archive.name}].purge"
    if options.mode == "drop_partition":
        yield (
            f"Triggers of {table} fire when rows are deleted, but will not when a partition is dropped: {names}.",
            f"If what they do is not needed for archived rows, name each of them under {where}.triggers. If it is, set "
            f"{where}.mode to delete; or run with --no-purge.",
        )
    else:
        yield (
            f"Triggers of {table} fire when its rows are deleted, and may delete or change other rows: {names}.",
            f"Look at what they do. If that is meant to happen, name each of them under {where}.triggers; or run with "
            "--no-purge.",
        )
