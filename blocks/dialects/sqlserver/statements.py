"""The SQL that Tidegate sends to SQL Server, as text. Not verified against a server."""

from datetime import datetime

from blocks.dialects.sqlserver.types import digest_expression, read_expression
from blocks.source import Since, Slice
from schemas.column_plan import Column, Kind
from schemas.job import Job
from schemas.reading import Reading
from schemas.table import Table
from schemas.window import Window, WindowUnit

# Without them, digests or statements would depend on what the login or the driver chose.
SETTINGS = (
    "SET QUOTED_IDENTIFIER, ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL ON",
    "SET NOCOUNT, XACT_ABORT ON",
    "SET LANGUAGE us_english",
    "SET ROWCOUNT 0",
    "SET TEXTSIZE 2147483647",  # a driver may have it at 64 KiB, and longer texts would be cut
)
BEGIN_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION"
SNAPSHOT_ALLOWED = """
SELECT CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END, name FROM sys.databases WHERE database_id = DB_ID()
"""
PLACE = "SELECT CONCAT(@@SERVERNAME, '/', DB_NAME()), SYSUTCDATETIME()"
# The lock belongs to the session: it goes when the connection does. 0 and 1 mean that it was granted.
TAKE_LOCK = (
    "DECLARE @granted int; EXEC @granted = sp_getapplock @Resource = %s, @LockMode = 'Exclusive', "
    "@LockOwner = 'Session', @LockTimeout = 0; SELECT @granted"
)
TABLE = """
SELECT o.object_id, o.type, HAS_PERMS_BY_NAME(%s, 'OBJECT', 'SELECT'), HAS_PERMS_BY_NAME(%s, 'OBJECT', 'DELETE'),
       t.temporal_type
FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN sys.tables AS t ON t.object_id = o.object_id
WHERE s.name = %s AND o.name = %s AND o.type IN ('U', 'V')
"""
COLUMNS = """
SELECT c.name, CASE WHEN t.is_user_defined = 1 THEN CONCAT(SCHEMA_NAME(t.schema_id), '.', t.name) ELSE t.name END,
       COALESCE(TYPE_NAME(c.system_type_id), t.name), c.max_length, c.precision, c.scale, c.is_nullable,
       CASE WHEN c.is_computed = 1 OR c.generated_always_type <> 0 THEN 1 ELSE 0 END,
       CASE WHEN c.default_object_id <> 0 OR c.is_identity = 1 THEN 1 ELSE 0 END
FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id
WHERE c.object_id = %s ORDER BY c.column_id
"""
KEYS = """
SELECT i.index_id, i.is_primary_key, c.name, c.is_nullable
FROM sys.indexes AS i
JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.is_included_column = 0
JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
WHERE i.object_id = %s AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND k.key_ordinal > 0
ORDER BY i.index_id, k.key_ordinal
"""
REFERENCED_BY = """
SELECT OBJECT_SCHEMA_NAME(f.parent_object_id), OBJECT_NAME(f.parent_object_id), f.name,
       f.delete_referential_action_desc, f.is_disabled,
       COL_NAME(c.parent_object_id, c.parent_column_id), COL_NAME(c.referenced_object_id, c.referenced_column_id)
FROM sys.foreign_keys AS f JOIN sys.foreign_key_columns AS c ON c.constraint_object_id = f.object_id
WHERE f.referenced_object_id = %s ORDER BY f.name, f.object_id, c.constraint_column_id
"""
TRIGGERS = """
SELECT t.name, t.is_instead_of_trigger
FROM sys.triggers AS t JOIN sys.trigger_events AS e ON e.object_id = t.object_id
WHERE t.parent_id = %s AND t.is_disabled = 0 AND e.type_desc = 'DELETE' ORDER BY t.name
"""
HIDDEN_ROWS = (
    "SELECT COUNT(*) FROM sys.security_predicates WHERE target_object_id = %s AND predicate_type_desc = 'FILTER'"
)
# Analyses a statement, and executes nothing of it whatever it says.
DESCRIBE = """
SELECT error_message, system_type_name, max_length, precision, scale, TYPE_NAME(system_type_id)
FROM sys.dm_exec_describe_first_result_set(%s, NULL, 0)
"""
_GROUPS = {WindowUnit.HOUR: 13, WindowUnit.DAY: 10, WindowUnit.MONTH: 7, WindowUnit.YEAR: 4}


def bound(moment: datetime, time: Column) -> str:
    """Return a window's bound as a literal of the time column's own type, so that an index finds it."""
    kept = time.base_type if time.base_type != "datetime2" else "datetime2(7)"
    digits = "milliseconds" if time.base_type == "datetime" else "microseconds"  # more than it has, it does not read
    text = moment.date().isoformat() if time.kind is Kind.DATE else moment.isoformat("T", digits)
    return f"CAST('{text}' AS {kept})"


def in_window(time: Column, window: Window, where: str | None) -> str:
    """Return the predicate of the rows of a window that are in scope."""
    limits = f"{time.quoted} >= {bound(window.start, time)} AND {time.quoted} < {bound(window.end, time)}"
    return limits + operators_predicate(where)


def slice_predicate(job: Reading, rows: Slice) -> str:
    """Return the predicate of a slice's rows; no snapshot of SQL Server vouches for any."""
    assert rows.written_after is None
    if rows.window is None:
        return f"{_since(rows.since) if rows.since else '1 = 1'}{operators_predicate(rows.where)}"
    assert isinstance(job, Job)
    return in_window(job.time, rows.window, rows.where)


def _since(since: Since) -> str:
    name, value = since.column.quoted, since.value
    begin = str(value) if isinstance(value, int) else bound(value, since.column)
    return f"({name} >= {begin} OR {name} IS NULL)"


def operators_predicate(where: str | None) -> str:
    """Return the job's further predicate, fenced in so that a comment at its end swallows nothing."""
    return f" AND (\n{where}\n)" if where else ""


def one_expression(table: Table, expression: str) -> tuple[str, str]:
    """Return two statements that are right, both of them, only if the text is one predicate over a row of the table.

    What closes the brackets of one early is a syntax error in the other.
    """
    start = f"SELECT 1 AS found FROM {table.quoted} WHERE"
    return f"{start} (\n{expression}\n)", f"{start} CASE WHEN\n{expression}\nTHEN 1 END = 1"


def one_value(table: Table, expression: str) -> tuple[str, str]:
    """Return two statements that are right only if the text is one value over a row of the table, which they give."""
    return (
        f"SELECT (\n{expression}\n) AS found FROM {table.quoted}",
        f"SELECT CASE WHEN 1 = 1 THEN\n{expression}\nEND AS found FROM {table.quoted}",
    )


def count_rows(table: str, predicate: str) -> str:
    """Return the query for the number of rows."""
    return f"SELECT COUNT_BIG(*) FROM {table} WHERE {predicate}"


def count_by_window(
    table: str, time: Column, unit: WindowUnit, where: str | None, since: datetime | None, until: datetime
) -> str:
    """Return the query for (beginning of an ISO text, rows) of every window that holds rows in scope."""
    group = f"LEFT(CONVERT(varchar(33), {time.quoted}, 126), {_GROUPS[unit]})"
    cut = f" AND {time.quoted} < {bound(until, time)}"
    cut += f" AND {time.quoted} >= {bound(since, time)}" if since else ""
    return (
        f"SELECT {group}, COUNT_BIG(*) FROM {table} WHERE {usable_time(time)}{cut}{operators_predicate(where)} "
        f"GROUP BY {group} ORDER BY 1"
    )


def out_of_time(table: str, time: Column, where: str | None) -> str:
    """Return the query for rows that no window can hold: (those whose time is NULL, those beyond its years)."""
    without = f"COUNT_BIG(CASE WHEN {time.quoted} IS NULL THEN 1 END)"
    beyond = f"COUNT_BIG(CASE WHEN {time.quoted} IS NOT NULL THEN 1 END)"
    return (
        f"SELECT {without}, {beyond} FROM {table} "
        f"WHERE ({time.quoted} IS NULL OR NOT ({usable_time(time)})){operators_predicate(where)}"
    )


def usable_time(time: Column) -> str:
    """Return the predicate of moments that a window can hold; some types begin late or end early."""
    first = {"datetime": 1753, "smalldatetime": 1900}.get(time.base_type, 1)
    last = 2079 if time.base_type == "smalldatetime" else 9998
    return (
        f"{time.quoted} >= {bound(datetime(first, 1, 2), time)} AND {time.quoted} < {bound(datetime(last, 1, 1), time)}"
    )


def reference(column: Column, table: str = "t") -> str:
    """Return the SQL of a column's value as the table gives it, derived ones computed."""
    return f"(\n{column.derived}\n)" if column.derived else f"{table}.{column.quoted}"


def row_digest(columns: tuple[Column, ...]) -> str:
    """Return the SQL of the first 16 hex digits of the MD5 of a row of the table `t`."""
    return digest_expression(columns, [reference(column) for column in columns])


def export_rows(table: str, columns: tuple[Column, ...], predicate: str, *, with_digest: bool) -> str:
    """Return the query that reads rows for the lake, each with its digest at the end."""
    reads = [f"{read_expression(c, reference(c))} AS c{i}" for i, c in enumerate(columns)]
    if with_digest:
        reads.append(f"{row_digest(columns)} AS digest")
    return f"SELECT {', '.join(reads)} FROM {table} AS t WHERE {predicate}"


def batch(key: tuple[Column, ...]) -> str:
    """Return the SQL of a batch of keys: one JSON parameter, an array of [place, key, …, digest] a row.

    The names that it adds hold a space, so that no column in an operator's predicate is called so.
    """
    columns = ["[tidegate n] int '$[0]'"]
    columns += [f"[tidegate k{i}] nvarchar(4000) '$[{i + 1}]'" for i in range(len(key))]
    columns.append(f"[tidegate digest] char(16) '$[{len(key) + 1}]'")
    return f"OPENJSON(%s) WITH ({', '.join(columns)}) AS b"


def matches(key: tuple[Column, ...]) -> str:
    """Return the predicate that a row of the table `t` has the key of a row of the batch `b`."""
    return " AND ".join(f"{reference(c)} = {value_of(c, f'b.[tidegate k{i}]')}" for i, c in enumerate(key))


def value_of(column: Column, text: str) -> str:
    """Return the SQL of the value that an exchange text (`schemas.column_plan`) stands for."""
    match column.kind:
        case Kind.BINARY:  # the text begins with \\x
            return f"CONVERT(varbinary(max), SUBSTRING({text}, 3, LEN({text})), 2)"
        case Kind.BOOLEAN:
            return f"CASE {text} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
        case Kind.TIMESTAMP:
            return f"CAST(REPLACE({text}, ' ', 'T') AS {column.source_type})"
        case _:
            return f"CAST({text} AS {column.source_type})"


def delete_equal(table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str) -> str:
    """Return the statements that delete the rows of a batch whose content still has the archived row's digest.

    They give (rows deleted, rows of the batch that the table still holds, those of them that had to be deleted).
    `OUTPUT … INTO` counts what was deleted also where triggers count rows of their own. The batch is a parameter
    twice.
    """
    joined = f"{table} AS t JOIN {batch(key)} ON {matches(key)}"
    equal = f"{row_digest(columns)} = b.[tidegate digest] AND {predicate}"
    had_to_go = f"CASE WHEN ({equal}) OR d.[tidegate n] IS NOT NULL THEN 1 END AS had_to_go"
    left = f"SELECT {had_to_go} FROM {joined} LEFT JOIN @deleted AS d ON d.[tidegate n] = b.[tidegate n]"
    return (
        "DECLARE @deleted TABLE ([tidegate n] int NOT NULL);\n"
        f"DELETE t OUTPUT b.[tidegate n] INTO @deleted FROM {joined} WHERE {equal};\n"
        f"SELECT (SELECT COUNT(*) FROM @deleted), COUNT(*), COUNT(had_to_go) FROM ({left}) AS l"
    )


def count_keys(table: str, key: tuple[Column, ...]) -> str:
    """Return the query for how many rows of the table have a key of the batch."""
    return f"SELECT COUNT_BIG(*) FROM {table} AS t JOIN {batch(key)} ON {matches(key)}"
