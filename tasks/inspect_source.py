"""Checks an archive's configuration against its table, before anything is read or written."""

from collections import Counter
from datetime import UTC, datetime

import psycopg

from blocks.dialects.postgresql.catalog import average_row_bytes, delete_rules, derived_column, describe, hides_rows
from blocks.dialects.postgresql.operators_sql import check_expression
from blocks.dialects.postgresql.session import Connection, session, statement, translated
from blocks.dialects.postgresql.statements import export_rows, operators_predicate
from blocks.gate import load_gate
from blocks.source_url import secret_url_of
from schemas.column_plan import TIME_KINDS, Column, quote_identifier
from schemas.config import Archive
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError, TidegateError
from schemas.job import Job
from schemas.partition import check_partition_keys
from schemas.project import Project
from schemas.table import Table
from schemas.window import as_moment

_UNTOUCHED = "Nothing was read, written or deleted."


def inspect_source(project: Project, archive: Archive) -> Job:
    """Return the job of an archive, having found everything that would make it fail later.

    Raises:
        ConfigError: Something that the configuration names is not there, not allowed, or not safe.
        SourceUnavailable: The source could not be reached.
    """
    try:
        return _inspect(secret_url_of(project.source(archive.source)), project, archive)
    except TidegateError as error:
        error.state = error.state or _UNTOUCHED
        raise


def _inspect(url: str, project: Project, archive: Archive) -> Job:
    gate_digest = load_gate(archive.gate).digest if archive.gate else None
    with session(url) as connection, translated(url):
        table = describe(connection, archive.table.schema_name, archive.table.name)
        columns = _columns(connection, archive, table)
        job = Job(
            config_dir=project.config_dir,
            settings=project.settings,
            archive=archive,
            table=table,
            columns=columns,
            key=_key(archive, table),
            gate_digest=gate_digest,
        )
        _check_time(job)
        check_partition_keys(archive.partition_by, columns, job.time)
        _check_rights(connection, job)
        _check_where(connection, job)
        _check_export(connection, job)
        job = job.model_copy(update={"average_row_bytes": average_row_bytes(connection, table)})
        if archive.purge.mode == "delete":
            _check_purge(connection, job)
    return job


def _columns(connection: Connection, archive: Archive, table: Table) -> tuple[Column, ...]:
    names = [column.name for column in table.columns]
    for key, wanted in (
        ("time_column", [archive.time_column]),
        ("key", archive.key or ()),
        ("columns.exclude", archive.columns.exclude),
        ("purge.discard_columns", archive.purge.discard_columns),
    ):
        for name in wanted:
            if name not in names:
                raise ConfigError(
                    f"archives[{archive.name}].{key}: {archive.table} has no column {name!r}"
                    f"{did_you_mean(name, names) or '.'}",
                    next_step=f"Correct the name in archives.yaml. The table's columns: {', '.join(names)}.",
                )
    kept = [column for column in table.columns if column.name not in archive.columns.exclude]
    for name, expression in archive.columns.derive.items():
        if name in names:
            raise ConfigError(
                f"archives[{archive.name}].columns.derive: {archive.table} already has a column {name!r}.",
                next_step="Give the derived column a name of its own.",
            )
        kept.append(derived_column(connection, table, name, expression))
    alike = [name for name, count in Counter(column.name.casefold() for column in kept).items() if count > 1]
    if alike:
        raise ConfigError(
            f"{archive.table} has columns whose names differ only in case ({', '.join(alike)}); readers of the lake "
            "cannot tell them apart.",
            next_step="Exclude one of them (columns.exclude) and derive it under another name (columns.derive).",
        )
    return tuple(kept)


def _key(archive: Archive, table: Table) -> tuple[str, ...]:
    key = archive.key or table.primary_key
    return () if set(key) & set(archive.columns.exclude) else tuple(key)


def _check_time(job: Job) -> None:
    time = job.table.column(job.archive.time_column)
    assert time is not None
    if time.kind not in TIME_KINDS:
        usable = [column.name for column in job.table.columns if column.kind in TIME_KINDS]
        raise ConfigError(
            f"archives[{job.archive.name}].time_column: {time.name} is of type {time.source_type}; windows need a "
            f"date, timestamp or timestamptz. Columns that are: {', '.join(usable) or 'none'}.",
            next_step="Name one of them in archives.yaml.",
        )
    if job.archive.window == "hour" and time.kind == "date":
        raise ConfigError(
            f"archives[{job.archive.name}].window: {time.name} is a date; its windows cannot be hours.",
            next_step="Set window to day, month or year.",
        )
    until = job.archive.to
    if until is not None:
        now = datetime.now(UTC)
        if as_moment(until, job.zone, aware=True) > now:
            raise ConfigError(
                f"archives[{job.archive.name}].to: {until.isoformat()} is in the future; rows of windows that are not "
                "over yet are still being written.",
                next_step="Give a `to` that is not after now, or use older_than.",
            )


def _check_rights(connection: Connection, job: Job) -> None:
    table = job.table
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


def _check_where(connection: Connection, job: Job) -> None:
    """Find a wrong predicate before the first window."""
    where = job.archive.where
    if where is None:
        return
    try:
        check_expression(connection, job.table.quoted, where)
        query = f"EXPLAIN SELECT FROM {job.table.quoted} WHERE true{operators_predicate(where)}"
        connection.execute(statement(query), prepare=True)
    except psycopg.Error as error:
        raise ConfigError(
            f"archives[{job.archive.name}].where: {str(error).strip()}",
            next_step="Correct the predicate in archives.yaml; it stands in WHERE as it is.",
        ) from None


def _check_export(connection: Connection, job: Job) -> None:
    """Let the server plan the export, so that what is left to go wrong is found before the first window."""
    query = export_rows(
        job.table.quoted, job.columns, f"true{operators_predicate(job.archive.where)}", digest=True, utf8=job.table.utf8
    )
    connection.execute(statement(f"EXPLAIN {query}"), prepare=True)


def _check_purge(connection: Connection, job: Job) -> None:
    """Find what would make deleting fail, or make it delete more than was archived."""
    archive, table = job.archive, job.table
    where = f"archives[{archive.name}]"
    lost = set(archive.columns.exclude) - set(archive.purge.discard_columns)
    rules = delete_rules(connection, table)
    in_recovery = connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    problems = [
        (
            not job.key,
            f"{table.quoted} has no primary key (a deferrable one is none), so a single row of it cannot be named.",
            f"Name a unique, NOT NULL key in {where}.key, or archive without purge (--no-purge).",
        ),
        (
            bool(job.key) and frozenset(job.key) not in table.unique_keys,
            f"{where}.key: no unique index of {table.quoted} covers exactly ({', '.join(job.key)}) with all of it "
            "NOT NULL (a partial or deferrable one does not count), so a key might mean several rows.",
            "Use the primary key, or create a unique index over NOT NULL columns.",
        ),
        (
            bool(lost),
            f"{where}: the columns {', '.join(sorted(lost))} are excluded from the archive; a purge would lose them.",
            "Archive them, or name each of them under purge.discard_columns.",
        ),
        (
            table.inherited,
            f"Other tables inherit from {table.quoted}; its key does not hold for their rows.",
            "Archive each of the tables by its own name.",
        ),
        (
            bool(table.dependents),
            f"Deleting from {table.quoted} would change other tables: {'; '.join(table.dependents)}.",
            "Archive the dependent rows first and make the foreign keys NO ACTION, or run with --no-purge.",
        ),
        (
            bool(rules),
            f"Rules of {table.quoted} turn a DELETE into something else: {', '.join(rules)}.",
            f"DROP RULE … ON {table.quoted} (a trigger can do its work), or run with --no-purge.",
        ),
        (in_recovery, "The source is a replica; nothing can be deleted there.", "Name the primary in sources.yaml."),
        (
            not table.may_delete,
            f"The source's role may not delete from {table.quoted}.",
            f"GRANT DELETE ON {table.quoted} TO the role that the source connects as; or run with --no-purge.",
        ),
    ]
    for wrong, what, next_step in problems:
        if wrong:
            raise ConfigError(what, next_step=next_step)
