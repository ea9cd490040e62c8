"""The table that is to receive archived rows, as PostgreSQL describes it."""

from blocks.dialects.postgresql.catalog import describe
from blocks.dialects.postgresql.session import Connection
from schemas.errors import ConfigError
from schemas.restore import UNTOUCHED
from schemas.restore_target import Target
from schemas.table_name import TableName

_WRITABLE = """
SELECT a.attname, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       has_column_privilege(a.attrelid, a.attnum, 'INSERT')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
"""


def inspect_target(connection: Connection, name: TableName) -> Target:
    """Return what the catalog says of the table that is to receive rows.

    Raises:
        ConfigError: There is no such table, or it may not be read.
    """
    table = describe(connection, name.schema_name, name.name)
    if not table.may_select:
        raise ConfigError(
            f"The role may not read {table.quoted}, so that what is put into it could not be proven.",
            state=UNTOUCHED,
            next_step=f"GRANT SELECT, INSERT ON {table.quoted} TO the role that the source connects as;",
        )
    rows = connection.execute(_WRITABLE, [name.schema_name, name.name]).fetchall()
    return Target(
        table=table,
        defaults=frozenset(column for column, default, _ in rows if default),
        writable=frozenset(column for column, _, may_insert in rows if may_insert),
    )
