"""SQL that tells whether a table is still what an export read. Versions of rows say nothing of that.

Another table that took the name, a partition that took another's place, a column that was dropped and added again:
in all of them rows are older than the export's snapshot, and no export has read them. Each leaves a younger row in
the catalog. Asked for inside of the statement that deletes, as it takes its look after it has locked the table.
"""

from collections.abc import Iterable

from blocks.dialects.postgresql.session import literal

# The table, its partitions (and tables that inherit), its columns, and the names that lead to it.
_DEFINITION = """
WITH RECURSIVE family AS (
    SELECT {table}::pg_catalog.regclass::pg_catalog.oid AS oid
    UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i, family WHERE i.inhparent = family.oid
)
SELECT c.xmin, c.oid, c.relkind = 'f' AS is_foreign FROM pg_catalog.pg_class c, family WHERE c.oid = family.oid
UNION ALL SELECT i.xmin, i.inhrelid, false FROM pg_catalog.pg_inherits i, family WHERE i.inhrelid = family.oid
UNION ALL SELECT a.xmin, a.attrelid, false FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = {table}::pg_catalog.regclass AND a.attnum > 0
UNION ALL SELECT n.xmin, n.oid, false FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c
    WHERE c.oid = {table}::pg_catalog.regclass AND n.oid = c.relnamespace
UNION ALL SELECT d.xmin, d.oid, false FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""


def defined_before(table: str, horizon: str) -> str:
    """Return the predicate that no part of the table's definition is younger than a transaction.

    Nor on another server: rows of a foreign table have no version here.

    Args:
        table: Its quoted name.
        horizon: SQL of the transaction's age.
    """
    definition = _DEFINITION.format(table=literal(table))
    return (
        f"(SELECT coalesce(bool_and(pg_catalog.age(part.xmin) OPERATOR(pg_catalog.>) {horizon} "
        "AND NOT part.is_foreign), false) "
        f"FROM ({definition}) AS part)"
    )


def has_no_column_but(table: str, names: Iterable[str]) -> str:
    """Return the predicate that the table has no column but these: what came later is in no archived row."""
    return (
        "NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a "
        f"WHERE a.attrelid = {literal(table)}::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped "
        f"AND a.attname::text <> ALL ({literal(sorted(names))}::text[]))"
    )
