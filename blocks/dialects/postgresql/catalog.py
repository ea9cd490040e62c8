"""What PostgreSQL's catalog says of a table: its columns, keys, rights, and who depends on its rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.pq import TransactionStatus

from blocks.dialects.postgresql.foreign_keys import referenced_by
from blocks.dialects.postgresql.operators_sql import check_expression
from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.types import TypeInfo, plan_column
from schemas.column_plan import Column
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.table import Table

# Since PostgreSQL 18 a column can be NOT NULL and hold NULLs all the same: NOT VALID says that nobody has looked.
_NOT_NULL = """a.attnotnull AND NOT EXISTS (
        SELECT FROM pg_constraint n WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND NOT n.convalidated
          AND n.conkey = ARRAY[a.attnum])"""

_COLUMNS = f"""
WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS typmod, 0 AS depth,
           format_type(a.atttypid, a.atttypmod) AS full_name, NOT ({_NOT_NULL}) AS nullable,
           a.attgenerated <> '' AS generated
    FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT b.attnum, b.attname, t.typbasetype, CASE WHEN t.typtypmod = -1 THEN b.typmod ELSE t.typtypmod END,
           b.depth + 1, b.full_name, b.nullable, b.generated
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT DISTINCT ON (b.attnum) b.attname, b.full_name,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END, b.typmod,
       b.nullable, b.generated
FROM base b JOIN pg_type t ON t.oid = b.type ORDER BY b.attnum, b.depth DESC
"""

_KEYS = f"""
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.place), bool_and({_NOT_NULL})
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
  AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
HAVING bool_and(k.attnum > 0)
"""

_TABLE = """
SELECT c.oid, c.relkind,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'DELETE'),
       (c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)),
       current_setting('server_encoding')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
"""

_SIMILAR = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%' AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY (lower(c.relname) = lower($1)) DESC, (n.nspname = $2) DESC, 1 LIMIT 10000
"""
_SHOWN_TABLES = 10


def describe(connection: Connection, schema_name: str, name: str) -> Table:
    """Return what the catalog says of the table.

    Raises:
        ConfigError: There is no such table, or it is not a table (a view, say).
    """
    found = connection.execute(_TABLE, [schema_name, name]).fetchone()
    if found is None:
        known = [row[0] for row in connection.execute(_SIMILAR, [name, schema_name])]
        shown = ", ".join(known[:_SHOWN_TABLES]) or "none that this role may see"
        raise ConfigError(
            f"There is no table {schema_name}.{name} in this database"
            f"{did_you_mean(f'{schema_name}.{name}', known) or '.'}",
            next_step="Check `table` in the configuration (names are taken to the letter, capitals too). "
            f"Tables here: {shown}{', …' if len(known) > _SHOWN_TABLES else '.'}",
        )
    oid, kind, may_select, may_delete, inherited, encoding = found
    if kind not in {"r", "p"}:
        raise ConfigError(
            f"{schema_name}.{name} is not a table (pg_class.relkind is {kind!r}).",
            next_step="Name the table behind it.",
        )
    check_encoding(encoding)
    with _qualified_types(connection):
        columns = tuple(
            plan_column(column, TypeInfo(full_name, base, typmod), nullable=nullable, generated=generated)
            for column, full_name, base, typmod, nullable, generated in connection.execute(_COLUMNS, [oid])
        )
    keys = connection.execute(_KEYS, [oid]).fetchall()
    return Table(
        schema_name=schema_name,
        name=name,
        columns=columns,
        primary_key=next((tuple(names) for primary, names, _ in keys if primary), ()),
        unique_keys=tuple(frozenset(names) for _, names, not_null in keys if not_null),
        kind=kind,
        inherited=inherited,
        may_select=may_select,
        may_delete=may_delete,
        referenced_by=referenced_by(connection, oid),
        utf8=encoding == "UTF8",
    )


def check_encoding(encoding: str) -> None:
    """Refuse a database that does not say what its texts are.

    Raises:
        ConfigError: Its encoding is SQL_ASCII.
    """
    if encoding == "SQL_ASCII":
        raise ConfigError(
            "The database's encoding is SQL_ASCII: its bytes have no agreed meaning as text, so they cannot be kept.",
            next_step="Convert the database to UTF8 first.",
        )


@contextmanager
def _qualified_types(connection: Connection) -> Iterator[None]:
    """Have types that users made printed with their schema, whatever the session's `search_path` is.

    A manifest's types are compared with those of later sessions, whose path may be another.
    """
    (path,) = connection.execute("SELECT current_setting('search_path')").fetchone() or ("",)
    connection.execute("SET search_path = pg_catalog")
    try:
        yield
    finally:
        # After an error, the end of the transaction brings the path back.
        if connection.info.transaction_status is not TransactionStatus.INERROR:
            connection.execute("SELECT set_config('search_path', $1, false)", [path])


_TYPE = """
WITH RECURSIVE base AS (
    SELECT $1::oid AS type, $2::int AS typmod, 0 AS depth
  UNION ALL
    SELECT t.typbasetype, CASE WHEN t.typtypmod = -1 THEN b.typmod ELSE t.typtypmod END, b.depth + 1
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT format_type($1, $2), CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END, b.typmod
FROM base b JOIN pg_type t ON t.oid = b.type ORDER BY b.depth DESC LIMIT 1
"""


def derived_column(connection: Connection, table: Table, name: str, expression: str) -> Column:
    """Return how the value of an operator's expression over the table's columns is stored.

    Raises:
        ConfigError: The text is not one expression over a row of this table.
    """
    try:
        check_expression(connection, table.relation, expression)
        query = statement(f"SELECT (\n{expression}\n) FROM {table.relation} LIMIT 0")
        result = connection.execute(query, prepare=True).pgresult
    except psycopg.Error as error:
        raise ConfigError(f"columns.derive.{name}: {str(error).strip()}", next_step="Correct the expression.") from None
    assert result is not None
    (info,) = types_of(connection, [(result.ftype(0), result.fmod(0))])
    return plan_column(name, info, nullable=True, derived=expression)


def types_of(connection: Connection, announced: Sequence[tuple[int, int]]) -> list[TypeInfo]:
    """Return the types of a result's columns, announced as (oid, modifier)."""
    with _qualified_types(connection):
        found = [connection.execute(_TYPE, [oid, modifier]).fetchone() for oid, modifier in announced]
    return [TypeInfo(*row) for row in found if row is not None]


def average_row_bytes(connection: Connection, table: Table) -> int:
    """Return how large a row of the table is as text, judged by a few hundred of them; 0 if it is empty."""
    sample = f"SELECT avg(octet_length(row::text)) FROM (SELECT * FROM {table.relation} LIMIT 300) AS row"
    return int((connection.execute(statement(sample)).fetchone() or (0,))[0] or 0)


def hides_rows(connection: Connection, table: Table) -> bool:
    """Return whether row-level security keeps rows of the table from this session's role."""
    return connection.execute("SELECT row_security_active($1::regclass)", [table.quoted]).fetchone() == (True,)


def delete_rules(connection: Connection, table: Table) -> list[str]:
    """Return the names of the rules that rewrite a DELETE of the table into something else."""
    rules = connection.execute(
        "SELECT rulename FROM pg_rewrite WHERE ev_class = $1::regclass AND ev_type = '4' ORDER BY 1", [table.quoted]
    )
    return [row[0] for row in rules]


@dataclass(frozen=True, slots=True)
class DeleteTrigger:
    """A trigger that fires when rows are deleted."""

    name: str
    table: str
    function: str

    def __str__(self) -> str:
        return f"{self.name} of {self.table} (calls {self.function})"


# Before or after, for rows or for statements, and no matter what it does: that cannot be told from outside. Those of
# foreign keys are no such triggers. A trigger of a partitioned table has copies, of the same name, in its partitions.
_DELETE_TRIGGERS = """
SELECT DISTINCT ON (t.tgname, t.tgfoid) t.tgname, t.tgrelid::regclass::text, t.tgfoid::regprocedure::text
FROM pg_trigger t
WHERE t.tgrelid IN (SELECT relid FROM pg_partition_tree($1::regclass) UNION SELECT $1::regclass)
  AND t.tgtype & 8 = 8 AND t.tgenabled IN ('O', 'A')
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.oid = t.tgconstraint AND c.contype = 'f')
ORDER BY t.tgname, t.tgfoid, t.tgrelid <> $1::regclass, 2
"""


def triggers_on_delete(connection: Connection, table: Table) -> list[DeleteTrigger]:
    """Return the triggers of the table and of its partitions that fire when rows are deleted, by name."""
    return [DeleteTrigger(*found) for found in connection.execute(_DELETE_TRIGGERS, [table.quoted])]


def delete_triggers(connection: Connection, table: Table) -> list[str]:
    """Return the names of `triggers_on_delete`."""
    return list(dict.fromkeys(trigger.name for trigger in triggers_on_delete(connection, table)))
