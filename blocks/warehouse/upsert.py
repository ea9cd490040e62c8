"""Changes and adds rows of a table of PostgreSQL by their key: what is equal is left alone, and nothing is deleted."""

from dataclasses import dataclass

import psycopg

from blocks.dialects.postgresql.session import Connection
from blocks.warehouse.column_types import comparable
from blocks.warehouse.connect import one, rows, run
from blocks.warehouse.existing import ExistingTable, quoted
from blocks.warehouse.load import Incoming, copy_rows, only_one, refusal_of
from blocks.warehouse.replace import grant
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError, ProofFailed, SourceUnavailable
from schemas.pipelines.publication import Grants
from schemas.table_name import TableName

_STAGED = 'pg_temp."tidegate rows"'
_EXAMPLES = 5
_LOCK_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Upserted:
    """How many rows were new, were different, and were there already as they are."""

    inserted: int
    updated: int
    equal: int


def upsert_obstacles(table: TableName, there: ExistingTable, types: dict[str, str], key: tuple[str, ...]) -> list[str]:
    """Return what keeps rows from being put into a table by their key, in words; columns that are new are none."""
    if there.obstacles and there.obstacles[0].startswith("it is "):
        return [there.obstacles[0]]
    found = [
        f"its column {name} is {there.types[name]}, and {kind} in the lake"
        for name, kind in types.items()
        if there.types.get(name, kind) != kind
    ]
    found += [
        f"its column {column.name} is not in the lake"
        for column in there.columns
        if column.name not in types and not column.generated
    ]
    missing = [name for name in types if name not in there.types]
    if missing and not there.owned:
        found.append(f"it has no column {missing[0]}, and only its owner {there.owner} may add one")
    if not any(index.arbiter and set(index.columns) == set(key) for index in there.indexes):
        columns = ", ".join(quote_identifier(name) for name in key)
        found.append(f"it has no unique index on the key: CREATE UNIQUE INDEX ON {quoted(table)} ({columns})")
    return found


def add_columns(connection: Connection, table: TableName, there: ExistingTable, types: dict[str, str]) -> list[str]:
    """Add the columns that are new in the lake, in a transaction of its own, and return their names."""
    new = {name: kind for name, kind in types.items() if name not in there.types}
    if new:
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {quote_identifier(name)} {kind}" for name, kind in new.items())
        with connection.transaction(), _waiting(table):
            run(connection, f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'")
            run(connection, f"ALTER TABLE {quoted(table)} {added}")
    return list(new)


def upsert(
    connection: Connection,
    table: TableName,
    incoming: Incoming,
    key: tuple[str, ...],
    grants: Grants,
    comment: str | None,
) -> Upserted:
    """Put rows into a table, in one transaction.

    Args:
        connection: To the database.
        table: With a unique index on the key, and all columns of the rows.
        incoming: The rows.
        key: Columns that tell rows apart.
        grants: Rights that are given on the table.
        comment: What ends up as the table's comment, with `{rows}` for the rows that are in it then; None if this
            role may not say.

    Raises:
        Busy: Another run publishes this table.
        ConfigError: The key is NULL somewhere, or the same in several rows.
        ProofFailed: Not all rows have arrived, or the table has made something else of them.
        Refused: PostgreSQL does not take the rows.
    """
    doing = "copying rows"
    try:
        with connection.transaction(), _waiting(table):
            run(connection, f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'")
            only_one(connection, table)
            run(connection, f'CREATE TEMP TABLE "tidegate rows" ({incoming.definitions}) ON COMMIT DROP')
            copy_rows(connection, _STAGED, incoming, freeze=False)
            _check_key(connection, table, key)
            run(connection, f"ANALYZE {_STAGED}")
            doing = "upserting rows"
            done = _merge(connection, table, incoming, key)
            _prove(connection, table, incoming, key)
            if comment is not None:
                grant(connection, table, grants)
                found = one(connection, f"SELECT count(*) FROM {quoted(table)}")
                text = comment.replace("{rows}", str(found)).replace("'", "''")
                run(connection, f"COMMENT ON TABLE {quoted(table)} IS '{text}'")
            return done
    except psycopg.Error as error:
        refused = refusal_of(error, table, doing)
        if refused is None:
            raise
        raise refused from error


class _waiting:
    """Turns a lock that is not to be had into an error that says so."""

    def __init__(self, table: TableName) -> None:
        self._table = table

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise SourceUnavailable(
                f"Rows of {self._table} were locked by others for {_LOCK_TIMEOUT_S} s.",
                state=f"{self._table} is as it was.",
                next_step="Run the same command again when they have finished.",
            ) from error


def _check_key(connection: Connection, table: TableName, key: tuple[str, ...]) -> None:
    names = [quote_identifier(name) for name in key]
    shown = " || ', ' || ".join(f"coalesce({name}::text, 'NULL')" for name in names)
    nulls = " OR ".join(f"{name} IS NULL" for name in names)
    wrong = rows(connection, f"SELECT {shown} FROM {_STAGED} WHERE {nulls} LIMIT {_EXAMPLES}")
    what = "is NULL"
    if not wrong:
        by = ", ".join(names)
        wrong = rows(connection, f"SELECT {shown} FROM {_STAGED} GROUP BY {by} HAVING count(*) > 1 LIMIT {_EXAMPLES}")
        what = "is the same"
    if wrong:
        raise ConfigError(
            f"The key ({', '.join(key)}) of what is to be {table} {what} in several rows of the lake, for example "
            f"{'; '.join(str(example) for (example,) in wrong)}.",
            state=f"{table} is as it was.",
            next_step="Let the pipeline deduplicate by the key, name another key, or publish with mode: replace.",
        )


def _merge(connection: Connection, table: TableName, incoming: Incoming, key: tuple[str, ...]) -> Upserted:
    others = [name for name in incoming.types if name not in key]
    on = ", ".join(quote_identifier(name) for name in key)
    action = "DO NOTHING"
    if others:
        new = ", ".join(f"{quote_identifier(name)} = excluded.{quote_identifier(name)}" for name in others)
        action = f"DO UPDATE SET {new} WHERE {_differs('t', 'excluded', incoming, others)}"
    # A row that was inserted has been locked or deleted by nobody; one that ON CONFLICT updates was locked by it.
    [(inserted, updated)] = rows(
        connection,
        f"WITH done AS (INSERT INTO {quoted(table)} AS t ({incoming.names}) OVERRIDING SYSTEM VALUE "
        f"SELECT {incoming.names} FROM {_STAGED} ON CONFLICT ({on}) {action} RETURNING (t.xmax = 0) AS inserted) "
        "SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM done",
    )
    added, changed = int(str(inserted)), int(str(updated))
    return Upserted(added, changed, incoming.expected - added - changed)


def _prove(connection: Connection, table: TableName, incoming: Incoming, key: tuple[str, ...]) -> None:
    same = " AND ".join(f"t.{quote_identifier(name)} = s.{quote_identifier(name)}" for name in key)
    differs = _differs("t", "s", incoming, list(incoming.types))
    there = one(
        connection, f"SELECT count(*) FROM {_STAGED} AS s JOIN {quoted(table)} AS t ON {same} WHERE NOT ({differs})"
    )
    if there != incoming.expected:
        raise ProofFailed(
            f"Of {incoming.expected} rows that {table} was given, it holds {there} as they are.",
            state=f"{table} is as it was.",
            next_step="A trigger, a rule or a policy of the table changes rows; publish into a table without it.",
        )


def _differs(one: str, other: str, incoming: Incoming, names: list[str]) -> str:
    pairs = [
        f"{comparable(f'{one}.{quote_identifier(name)}', kind)} IS DISTINCT FROM "
        f"{comparable(f'{other}.{quote_identifier(name)}', kind)}"
        for name, kind in incoming.types.items()
        if name in names
    ]
    return " OR ".join(pairs)
