"""What would make an export or a purge of a MariaDB or MySQL table fail later, found before anything is touched."""

from collections.abc import Iterator

import pymysql

from blocks.dialects.mysql.catalog import said
from blocks.dialects.mysql.grants import EVERYTHING, Grant, grants, has_right, like, places_seen
from blocks.dialects.mysql.operators_sql import check_expression
from blocks.dialects.mysql.session import Connection, literal, quoted_table, relation
from blocks.dialects.mysql.statements import export_rows, operators_predicate
from blocks.throttle.pressure import unsupported
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.reading import Reading
from schemas.table import Table

_NO_PURGE = "or run with --no-purge."


def check_export(connection: Connection, job: Reading) -> None:
    """Find what would make reading fail.

    Raises:
        ConfigError: The user may not read all columns, or the predicate is wrong.
    """
    table = relation(job.table)
    if job.with_children:
        raise families_refused(job)
    if not job.table.may_select:
        raise ConfigError(
            f"The source's user may not read {table}.",
            next_step=f"GRANT SELECT ON {table} TO the user that the source connects as.",
        )
    _check_digests(connection)
    where = job.where
    if where is not None:
        try:
            check_expression(connection, table, where)
        except pymysql.Error as error:
            raise ConfigError(
                f"{job.label}.where: {said(error)}",
                next_step="Correct the predicate; it stands in WHERE as it is.",
            ) from None
    connection.rows(f"EXPLAIN {export_rows(table, job.columns, f'1 = 1{operators_predicate(where)}', digest=True)}")


def _check_digests(connection: Connection) -> None:
    """Find that the server cannot attest its rows: MySQL 9.6 and later have MD5 in a component of its own."""
    try:
        connection.rows("SELECT MD5('')")
    except pymysql.Error as error:
        raise ConfigError(
            f"The server has no MD5(), by which it attests what its rows hold: {said(error)}",
            next_step="INSTALL COMPONENT 'file://component_classic_hashing'; as a user who may (it stays installed).",
        ) from None


def families_refused(job: Reading) -> ConfigError:
    """Return the error that says that children do not leave together with their parents here."""
    return ConfigError(
        f"{job.label}.children: families of tables are for PostgreSQL.",
        next_step="Archive each of the tables by an entry of its own, those that refer to others first.",
    )


def purge_obstacles(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    """Yield what keeps rows of the table from being deleted safely, and what to do about it."""
    table = quoted_table(job.table)
    engine, kind = connection.one(
        "SELECT ENGINE, TABLE_TYPE FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {literal(job.table.schema_name)} AND TABLE_NAME = {literal(job.table.name)}"
    )
    if str(engine).lower() != "innodb":
        yield (
            f"{table} is a table of the engine {engine}, which has neither snapshots nor transactions: what is "
            "archived of it is of no single moment, and a batch that fails half-way cannot be taken back.",
            f"ALTER TABLE {table} ENGINE = InnoDB, {_NO_PURGE}",
        )
    if kind == "SYSTEM VERSIONED":
        yield (
            f"{table} is system-versioned: its rows would not go, but become history, which is not archived.",
            f"ALTER TABLE {table} DROP SYSTEM VERSIONING, {_NO_PURGE}",
        )
    yield from unsupported(job.archive.purge, "MySQL", f"archives[{job.archive.name}].purge")
    yield from _server_obstacles(connection, job)
    if not job.table.may_delete:
        yield (
            f"The source's user may not delete from {table}.",
            f"GRANT DELETE ON {table} TO the user that the source connects as; {_NO_PURGE}",
        )
    held = grants(connection)
    yield from _hidden_tables(held, job)
    yield from _triggers(connection, held, job)


def _server_obstacles(connection: Connection, job: Job) -> Iterator[tuple[str, str]]:
    (read_only, log_bin) = connection.one("SELECT @@global.read_only, @@global.log_bin")
    replica = _replicates(connection)
    if read_only or replica:
        yield (
            f"The source is {'a replica' if replica else 'read-only (read_only = 1), as a replica is'}; rows deleted "
            "there would come apart from those of its primary.",
            "Name the primary in sources.yaml.",
        )
    if not log_bin and not job.archive.purge.without_binary_log:
        yield (
            "The server writes no binary log (log_bin = 0): what a purge deletes could neither be seen afterwards nor "
            "be taken back to a point in time, and no replica would follow.",
            "Turn the binary log on, or say in archives.yaml that the lake is backup enough "
            "(purge.without_binary_log: true).",
        )


def _replicates(connection: Connection) -> bool:
    """Return whether the server follows another one, as far as the user may know."""
    for text in ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"):
        try:
            return bool(connection.rows(text))
        except pymysql.Error:  # not allowed, or not known by that name
            continue
    return False


def _hidden_tables(held: list[Grant], job: Job) -> Iterator[tuple[str, str]]:
    """Yield that the user may not see all tables: foreign keys of the others would delete or change rows unseen."""
    database = job.table.schema_name
    places = places_seen(held)
    if EVERYTHING in places:
        return
    sees_database = any(like(database, place) for place in places)
    if sees_database and job.archive.purge.references == "check":  # the operator has looked at what refers to it
        return
    yield (
        f"The source's user sees only some tables of the {'server' if sees_database else f'database {database}'}: a "
        f"foreign key of another one, that deletes or changes rows when rows of {quoted_table(job.table)} go, would "
        "be hidden from it.",
        "GRANT REFERENCES ON *.* TO the user that the source connects as (by that it sees names, and may neither read "
        f"nor write); or, if no other database refers to this one, GRANT REFERENCES ON `{database}`.* and set "
        f"purge.references: check; {_NO_PURGE}",
    )


def _triggers(connection: Connection, held: list[Grant], job: Job) -> Iterator[tuple[str, str]]:
    """Yield the triggers that nobody has looked at, or that the user would not see any."""
    table = quoted_table(job.table)
    if not has_right(held, "TRIGGER", job.table):
        yield (
            f"The source's user may not see the triggers of {table}: what they delete or change when rows of it go "
            "would be hidden from it.",
            f"GRANT TRIGGER ON {table} TO the user that the source connects as (MariaDB and MySQL ask for it to show "
            f"triggers; none is made), {_NO_PURGE}",
        )
    unnamed = sorted(set(delete_triggers(connection, job.table)) - set(job.archive.purge.triggers))
    if unnamed:
        yield (
            f"Triggers of {table} fire when its rows are deleted, and may delete or change other rows: "
            f"{', '.join(unnamed)}.",
            f"Look at what they do. If that is meant to happen, name each of them under "
            f"archives[{job.archive.name}].purge.triggers, {_NO_PURGE}",
        )


def delete_triggers(connection: Connection, table: Table) -> list[str]:
    """Return the names of the table's triggers for DELETE; the user sees them with the right TRIGGER only."""
    return [
        str(name)
        for (name,) in connection.rows(
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS "
            f"WHERE EVENT_MANIPULATION = 'DELETE' AND EVENT_OBJECT_SCHEMA = {literal(table.schema_name)} "
            f"AND EVENT_OBJECT_TABLE = {literal(table.name)} ORDER BY 1"
        )
    ]
