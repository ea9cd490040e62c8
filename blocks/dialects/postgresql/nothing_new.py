"""SQL that tells whether a DELETE sets off something that was not there when the job was inspected.

A trigger or a foreign key that came since may take rows that nobody has archived. Asked for inside of the statement
that deletes: it holds a lock on the table by then, which keeps both away until its transaction has ended.
"""

from blocks.dialects.postgresql.session import literal
from schemas.job import Job
from schemas.table_name import TableName

_ON_DELETE = {"no action": "a", "restrict": "r", "cascade": "c", "set null": "n", "set default": "d"}
# Triggers for DELETE (1 << 3) that fire. A foreign key is found by its trigger on the table that it points at, as that
# has an index; one that was declared for a partitioned table is judged there, and not by its copies.
_FIRES = "t.tgtype & 8 = 8 AND t.tgenabled IN ('O', 'A')"
_NEW = f"""
SELECT FROM pg_catalog.pg_trigger t LEFT JOIN pg_catalog.pg_constraint c ON c.oid = t.tgconstraint AND c.contype = 'f'
WHERE {_FIRES} AND c.oid IS NULL AND t.tgname::text <> ALL ({{triggers}}::text[]) AND t.tgrelid IN (
    SELECT relid FROM pg_catalog.pg_partition_tree({{table}}::pg_catalog.regclass)
    UNION SELECT {{table}}::pg_catalog.regclass)
UNION ALL SELECT FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_constraint c ON c.oid = t.tgconstraint AND c.contype = 'f' AND c.confrelid = t.tgrelid
JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE {_FIRES} AND c.conparentid = 0
  AND pg_catalog.concat_ws('/', n.nspname, r.relname, c.conname, c.confdeltype) <> ALL ({{keys}}::text[])
  AND t.tgrelid IN (
    SELECT relid FROM pg_catalog.pg_partition_tree({{table}}::pg_catalog.regclass)
    UNION SELECT relid FROM pg_catalog.pg_partition_ancestors({{table}}::pg_catalog.regclass)
    UNION SELECT {{table}}::pg_catalog.regclass)
"""


def sets_off_nothing_new(job: Job) -> str:
    """Return the predicate that the job's table has no trigger and no foreign key that the job does not know."""
    keys = []
    for key in job.table.referenced_by:
        table = TableName.parse(key.table)
        keys.append("/".join([table.schema_name, table.name, key.name, _ON_DELETE[key.on_delete]]))
    new = _NEW.format(
        table=literal(job.table.quoted), triggers=literal(list(job.archive.purge.triggers)), keys=literal(keys)
    )
    return f"NOT EXISTS ({new})"
