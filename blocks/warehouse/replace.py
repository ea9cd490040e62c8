"""Replaces a table of PostgreSQL: the new one is written beside the old one, then takes its place, all at once.

Everything is one transaction. Whoever dies in it leaves nothing behind, and there is nothing to be cleaned up. The
rows are frozen as they are copied: a transaction that began before and first looks at the table afterwards finds the
new table, and would otherwise find no row in it. Only the swap itself needs the table alone. It waits for readers in
short attempts, between which those who came meanwhile go on.

What is swapped in has the indexes, constraints, rights, comments, options and the owner of the old table; views that
read it are made anew over the new one, in place, so that their own rights, comments and views stay. Whatever else
hangs on the old table is found beforehand and named (`ExistingTable.obstacles`), and nothing is written then.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import psycopg

from blocks.dialects.postgresql.session import Connection, literal
from blocks.warehouse.connect import rows, run
from blocks.warehouse.existing import ExistingTable, Index, existing_table, quoted
from blocks.warehouse.load import Incoming, copy_rows, only_one, refusal_of
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError, SourceUnavailable
from schemas.pipelines.publication import Grants
from schemas.table_name import TableName

_PAUSE_S = 0.2, 1.5


class _Names:
    """Names for what has no place yet, each with the name that people know it by, or will.

    Attributes:
        known: The latter by the former.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def temporary(self, name: str) -> str:
        """Return a name that nobody else has."""
        ours = f"tidegate_{uuid4().hex[:16]}"
        self.known[ours] = name
        return ours


@dataclass(frozen=True, slots=True)
class _Rename:
    """What an index or constraint of the new table is called once the old table is gone."""

    temporary: str
    name: str
    constraint: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a table is to be.

    Attributes:
        key: Columns that get a primary key, unless a unique index on them is there.
        indexes: Lists of columns that get an index, unless one on them is there.
        grants: Rights by role, beside those that are there.
        comment: What is written as the table's comment.
        lock_timeout_s: How long one attempt to swap waits.
        give_up_after_s: How long attempts go on.
    """

    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    grants: Grants
    comment: str
    lock_timeout_s: float
    give_up_after_s: float


def replace_table(
    connection: Connection, table: TableName, old: ExistingTable | None, incoming: Incoming, wanted: Wanted
) -> None:
    """Write a new table and let it take the old one's place, or the place where none is yet.

    Raises:
        Busy: Another run publishes this table.
        ProofFailed: Not all rows have arrived.
        Refused: PostgreSQL does not take the rows.
        ConfigError: An index, constraint or view of the old table does not fit the new one.
        SourceUnavailable: The table was not free for as long as was waited, or somebody changed it meanwhile.
    """
    doing, names = "creating it", _Names()
    try:
        with connection.transaction():
            only_one(connection, table)
            new = TableName(table.schema_name, names.temporary(table.name))
            _create(connection, new, old, incoming)
            doing = "copying rows"
            copy_rows(connection, quoted(new), incoming, freeze=True)
            doing = "building its indexes and constraints"
            renames = _build(connection, new, table, old, incoming, wanted, names)
            run(connection, f"ANALYZE {quoted(new)}")
            doing = "taking the place of the old one"
            if old is None:
                _finish(connection, table, new, None, renames, wanted)
            else:
                _swap_patiently(connection, table, new, old, renames, wanted)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise _does_not_fit(table, doing, error) from error
    except psycopg.errors.DuplicateTable as error:
        raise SourceUnavailable(
            f"Somebody else has made {table} meanwhile: {error.diag.message_primary}",
            state="That table is as they made it; nothing of this run is there.",
            next_step="Run the same command again; it looks at that table.",
        ) from error
    except psycopg.Error as error:
        refused = refusal_of(error, table, doing, names.known)
        if refused is None:
            raise
        raise refused from error


def _create(connection: Connection, new: TableName, old: ExistingTable | None, incoming: Incoming) -> None:
    unlogged = "UNLOGGED " if old and old.unlogged else ""
    options = f" WITH ({', '.join(old.options)})" if old and old.options else ""
    space = f" TABLESPACE {quote_identifier(old.tablespace)}" if old and old.tablespace else ""
    run(connection, f"CREATE {unlogged}TABLE {quoted(new)} ({incoming.definitions}){options}{space}")


def _build(
    connection: Connection,
    new: TableName,
    table: TableName,
    old: ExistingTable | None,
    incoming: Incoming,
    wanted: Wanted,
    names: _Names,
) -> list[_Rename]:
    """Give the new table what the old one has, and what is wanted; return what is to be renamed, and to what."""
    place = quoted(new)
    kept = old.indexes if old else ()
    renames = [_rebuild_index(connection, place, table, index, names) for index in kept]
    here = {column.name: column for column in (old.columns if old else ()) if column.name in incoming.types}
    for name, column in here.items():
        if column.not_null:
            run(connection, f"ALTER TABLE {place} ALTER COLUMN {quote_identifier(name)} SET NOT NULL")
        if column.default is not None:
            run(connection, f"ALTER TABLE {place} ALTER COLUMN {quote_identifier(name)} SET DEFAULT {column.default}")
        if column.comment is not None:
            run(connection, f"COMMENT ON COLUMN {place}.{quote_identifier(name)} IS {literal(column.comment)}")
    for name, definition in old.checks if old else ():
        run(connection, f"ALTER TABLE {place} ADD CONSTRAINT {quote_identifier(name)} {definition}")
    if wanted.key and not any(set(i.columns) == set(wanted.key) and i.arbiter for i in kept):
        kind = "UNIQUE" if any((i.constraint or "").startswith("PRIMARY KEY") for i in kept) else "PRIMARY KEY"
        final = f"{table.name}_{'pkey' if kind == 'PRIMARY KEY' else 'key'}"
        name = names.temporary(final)
        keys = ", ".join(quote_identifier(column) for column in wanted.key)
        run(connection, f"ALTER TABLE {place} ADD CONSTRAINT {name} {kind} ({keys})")
        renames.append(_Rename(name, final, constraint=True))
    for columns in wanted.indexes:
        if not any(index.columns == columns for index in kept):
            final = f"{table.name}_{'_'.join(columns)}_idx"
            name = names.temporary(final)
            keys = ", ".join(quote_identifier(column) for column in columns)
            run(connection, f"CREATE INDEX {name} ON {place} ({keys})")
            renames.append(_Rename(name, final, constraint=False))
    return renames


def _rebuild_index(connection: Connection, place: str, table: TableName, index: Index, names: _Names) -> _Rename:
    name = names.temporary(index.name)
    try:
        if index.constraint is not None:
            run(connection, f"ALTER TABLE {place} ADD CONSTRAINT {name} {index.constraint}")
        else:
            assert index.definition.startswith(index.head), index.definition
            unique = "UNIQUE " if index.head.startswith("CREATE UNIQUE") else ""
            run(connection, f"CREATE {unique}INDEX {name} ON {place} {index.definition.removeprefix(index.head)}")
    except psycopg.errors.UndefinedColumn as error:
        raise ConfigError(
            f"The index {index.name} of {table} cannot be kept: {error.diag.message_primary}.",
            state=f"{table} is as it was.",
            next_step="Drop it, or let the pipeline keep the column.",
        ) from error
    if index.comment is not None:
        place_of_index = quoted(TableName(table.schema_name, name))
        run(connection, f"COMMENT ON INDEX {place_of_index} IS {literal(index.comment)}")
    return _Rename(name, index.name, constraint=index.constraint is not None)


def _swap_patiently(
    connection: Connection,
    table: TableName,
    new: TableName,
    old: ExistingTable,
    renames: Sequence[_Rename],
    wanted: Wanted,
) -> None:
    until = time.monotonic() + wanted.give_up_after_s
    while True:
        try:
            with connection.transaction():  # a savepoint: what it has locked is free again when it did not work out
                run(connection, f"SET LOCAL lock_timeout = {max(1, round(wanted.lock_timeout_s * 1000))}")
                _lock(connection, table, old)
                if existing_table(connection, table) != old:
                    raise SourceUnavailable(
                        f"{table} was changed by somebody else while it was being replaced.",
                        state=f"{table} is as they left it.",
                        next_step="Run the same command again; it takes the change over.",
                    )
                _finish(connection, table, new, old, renames, wanted)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() >= until:
                raise SourceUnavailable(
                    f"{table} was in use for {wanted.give_up_after_s:g} s without a gap, by {_users(connection, old)}.",
                    state=f"{table} is as it was.",
                    next_step="Run it again when those have finished, or raise give_up_after_s or lock_timeout_s in "
                    "publish.yaml.",
                ) from None
            time.sleep(random.uniform(*_PAUSE_S))


def _lock(connection: Connection, table: TableName, old: ExistingTable) -> None:
    # Readers lock a view, then the table: in another order, each would wait for the other. LOCK TABLE on a view locks
    # all the tables that it reads; this locks the view alone, and changes nothing.
    for view in old.views:
        run(connection, f"ALTER VIEW {view.name} OWNER TO {view.owner}")
    run(connection, f"LOCK TABLE {quoted(table)} IN ACCESS EXCLUSIVE MODE")


def _finish(
    connection: Connection,
    table: TableName,
    new: TableName,
    old: ExistingTable | None,
    renames: Sequence[_Rename],
    wanted: Wanted,
) -> None:
    """Put the new table in its place, under the old one's name, rights and owner."""
    gone = TableName(table.schema_name, f"tidegate_old_{uuid4().hex[:12]}")
    if old is not None:
        run(connection, f"ALTER TABLE {quoted(table)} RENAME TO {gone.name}")
    run(connection, f"ALTER TABLE {quoted(new)} RENAME TO {quote_identifier(table.name)}")
    if old is not None:
        for view in old.views:
            options = f" WITH ({', '.join(view.options)})" if view.options else ""
            try:
                run(connection, f"CREATE OR REPLACE VIEW {view.name}{options} AS {view.definition}")
            except (psycopg.errors.UndefinedColumn, psycopg.errors.InvalidTableDefinition) as error:
                raise _view_does_not_fit(table, view.name, error) from error
            except (psycopg.errors.DatatypeMismatch, psycopg.errors.UndefinedFunction) as error:
                raise _view_does_not_fit(table, view.name, error) from error
        run(connection, f"DROP TABLE {quoted(gone)}")
    for rename in renames:
        _rename(connection, table, rename)
    if old is not None and old.identity in ("f", "n"):
        identity = {"f": "FULL", "n": "NOTHING"}[old.identity]
        run(connection, f"ALTER TABLE {quoted(table)} REPLICA IDENTITY {identity}")
    _comment(connection, table, wanted.comment)
    if old is not None:
        _grant_as_before(connection, table, old)
    grant(connection, table, wanted.grants)
    if old is not None:
        run(connection, f"ALTER TABLE {quoted(table)} OWNER TO {old.owner}")


def _rename(connection: Connection, table: TableName, rename: _Rename) -> None:
    """Rename an index or constraint; a name of our own choice that is taken gets a number."""
    how = f"ALTER INDEX {quoted(TableName(table.schema_name, rename.temporary))} RENAME"
    if rename.constraint:
        how = f"ALTER TABLE {quoted(table)} RENAME CONSTRAINT {rename.temporary}"
    for number in range(1, 100):
        tail = "" if number == 1 else f"_{number}"
        candidate = rename.name.encode()[: 63 - len(tail)].decode(errors="ignore") + tail
        taken = rows(
            connection,
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = $2",
            table.schema_name,
            candidate,
        )
        if not taken:
            run(connection, f"{how} TO {quote_identifier(candidate)}")
            return


def _comment(connection: Connection, table: TableName, comment: str) -> None:
    run(connection, f"COMMENT ON TABLE {quoted(table)} IS {literal(comment)}")


def _grant_as_before(connection: Connection, table: TableName, old: ExistingTable) -> None:
    """Give the rights of the old table, and take those that new tables of this role come with."""
    fresh = existing_table(connection, table)
    assert fresh is not None
    place = quoted(table)
    for role in dict.fromkeys(role for role, *_ in fresh.grants):
        run(connection, f"REVOKE ALL ON {place} FROM {role}")
    here = fresh.types
    for role, right, grantable, column in old.grants:
        if column is None or column in here:
            of = f" ({quote_identifier(column)})" if column is not None else ""
            run(connection, f"GRANT {right}{of} ON {place} TO {role}{' WITH GRANT OPTION' if grantable else ''}")


def grant(connection: Connection, table: TableName, grants: Grants) -> None:
    """Give rights on a table, and on its schema the one without which they are worth nothing."""
    for role, rights in grants.items():
        to = "PUBLIC" if role.casefold() == "public" else quote_identifier(role)
        run(connection, f"GRANT {', '.join(rights)} ON {quoted(table)} TO {to}")
        [(ours, has)] = rows(
            connection,
            "SELECT pg_has_role(nspowner, 'USAGE'), has_schema_privilege($2, oid, 'USAGE') "
            "FROM pg_namespace WHERE nspname = $1",
            table.schema_name,
            "public" if to == "PUBLIC" else role,
        )
        if ours and not has:
            run(connection, f"GRANT USAGE ON SCHEMA {quote_identifier(table.schema_name)} TO {to}")


def _users(connection: Connection, old: ExistingTable) -> str:
    oids = ", ".join([str(old.oid), *(f"'{view.name.replace(chr(39), chr(39) * 2)}'::regclass" for view in old.views)])
    found = rows(
        connection,
        "SELECT DISTINCT format('process %s (%s, %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'), "
        f"coalesce(a.state, 'unknown')) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        f"WHERE l.relation IN ({oids}) AND l.granted AND l.pid <> pg_backend_pid() LIMIT 5",
    )
    return ", ".join(str(text) for (text,) in found) or "others"


def _view_does_not_fit(table: TableName, view: str, error: psycopg.Error) -> ConfigError:
    return ConfigError(
        f"The view {view} does not fit the new {table}: {error.diag.message_primary}.",
        state=f"{table} and the view are as they were.",
        next_step="Change or drop the view, publish, and make it anew.",
    )


def _does_not_fit(table: TableName, doing: str, error: psycopg.Error) -> ConfigError:
    return ConfigError(
        f"{table} cannot be replaced ({doing}): {error.diag.message_primary}; {error.diag.message_detail}.",
        state=f"{table} is as it was.",
        next_step="Drop what depends on it, publish, and make it anew; or publish with mode: upsert.",
    )
