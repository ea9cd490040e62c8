"""What would make an export or a purge of a SQLite table fail later, found before anything is touched."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from blocks.dialects.sqlite.dependents import delete_triggers
from blocks.dialects.sqlite.operators_sql import WrongExpression, check_expression
from blocks.dialects.sqlite.session import Connection, one
from blocks.dialects.sqlite.statements import export_rows, operators_predicate
from blocks.throttle.pressure import unsupported
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.reading import Reading


def check_export(connection: Connection, job: Reading) -> None:
    """Find what would make reading fail, or read less than all.

    Raises:
        ConfigError: It is a family, or the predicate is wrong.
    """
    if job.with_children:
        raise families_refused(job)
    if job.where is not None:
        try:
            check_expression(connection, job.table, job.where)
        except WrongExpression as error:
            raise ConfigError(
                f"{job.label}.where: {error}",
                next_step="Correct the predicate; it stands in WHERE as it is.",
            ) from None
    # SQLite plans the export, so that what is left to go wrong is found before the first window.
    predicate = f"true{operators_predicate(job.where)}"
    connection.execute(f"EXPLAIN {export_rows(job.table, job.columns, predicate, with_digest=True)}").close()


def families_refused(job: Reading) -> ConfigError:
    """Return the error that says that children do not leave together with their parents here."""
    return ConfigError(
        f"{job.label}.children: families of tables are not supported for SQLite.",
        next_step="Archive each of the tables by an entry of its own, those that refer to others first.",
    )


def purge_obstacles(connection: Connection, path: Path, job: Job) -> Iterator[tuple[str, str]]:
    """Yield what keeps rows of the table from being deleted, and what to do about it."""
    if not job.table.may_delete:
        yield (
            f"This user may not write {path}, or not into its folder, where SQLite keeps its journal.",
            "Give this user the right to write both; or run with --no-purge.",
        )
    yield from unsupported(job.archive.purge, "SQLite", f"archives[{job.archive.name}].purge")
    if job.table.referenced_by and one(connection, "PRAGMA foreign_keys") != (1,):
        yield (
            f"This SQLite checks no foreign keys, and some point at {job.table.quoted}.",
            "Run it with a Python whose SQLite can; or run with --no-purge.",
        )
    try:
        unnamed = sorted(set(delete_triggers(connection, job.table)) - set(job.archive.purge.triggers))
    except sqlite3.Error as error:
        yield (
            f"No row of {job.table.quoted} can be deleted: {error}.",
            "Correct the table's triggers, and the foreign keys that point at it; or run with --no-purge.",
        )
        return
    if unnamed:
        yield (
            f"Triggers of {job.table.quoted} fire when its rows are deleted, and may delete or change other rows: "
            f"{', '.join(unnamed)}.",
            f"Look at what they do. If that is meant to happen, name each of them under "
            f"archives[{job.archive.name}].purge.triggers, or run with --no-purge.",
        )
