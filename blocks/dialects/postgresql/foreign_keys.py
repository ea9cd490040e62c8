"""The foreign keys that point at a table, at one of its partitions, or at a table that it is a partition of."""

from blocks.dialects.postgresql.session import Connection
from schemas.table import ForeignKey
from schemas.table_name import TableName

# A key that was declared for a partitioned table has copies for the partitions, whose parent it is: they are no keys of
# their own. NOT ENFORCED came with PostgreSQL 18. Else the database checks a key by triggers, which can be disabled: on
# the table that refers, on the one that is referred to, and on the partitions of both.
_REFERENCED_BY = """
WITH RECURSIVE targets AS (
    SELECT $1::oid AS oid
    UNION SELECT relid FROM pg_partition_tree($1::oid) UNION SELECT relid FROM pg_partition_ancestors($1::oid)
)
SELECT c.conname, n.nspname, t.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum),
       CASE c.confdeltype WHEN 'a' THEN 'no action' WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade'
                          WHEN 'n' THEN 'set null' ELSE 'set default' END,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
               AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey),
       coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) AND NOT EXISTS (
           WITH RECURSIVE copies AS (
               SELECT c.oid UNION SELECT k.oid FROM pg_constraint k JOIN copies ON k.conparentid = copies.oid)
           SELECT FROM pg_trigger g JOIN copies ON g.tgconstraint = copies.oid WHERE g.tgenabled NOT IN ('O', 'A')),
       m.nspname, r.relname, c.confrelid = $1::oid
FROM pg_constraint c JOIN targets ON targets.oid = c.confrelid
JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace m ON m.oid = r.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY c.conname, n.nspname, t.relname
"""


def referenced_by(connection: Connection, oid: int) -> tuple[ForeignKey, ...]:
    """Return the foreign keys that a row of the table may be referred to by, in the order of their names."""
    return tuple(
        ForeignKey(
            name=name,
            table=str(TableName(schema, table)),
            columns=columns,
            referenced=referenced,
            on_delete=on_delete,
            indexed=indexed,
            enforced=enforced,
            target=None if itself else str(TableName(target_schema, target)),
        )
        for name, schema, table, columns, referenced, on_delete, indexed, enforced, target_schema, target, itself in (
            connection.execute(_REFERENCED_BY, [oid])
        )
    )
