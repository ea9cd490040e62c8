"""The SQL that Tidegate sends to PostgreSQL, as text: no connection here, so that every statement can be read."""

from datetime import datetime

from blocks.dialects.postgresql.same_table import defined_before
from blocks.dialects.postgresql.session import literal
from blocks.dialects.postgresql.types import digest_expression, key_type, read_expression, value_expression
from blocks.source import Since, Slice
from schemas.column_plan import Column, Kind, quote_identifier
from schemas.job import Job
from schemas.reading import Reading
from schemas.window import Window, WindowUnit

DIGEST_ALIAS = "digest"
# Types of which an array cast from text[] reads each key as the column's input does.
ARRAY_KEYS = frozenset(
    {"int2", "int4", "int8", "numeric", "text", "varchar", "uuid", "date", "timestamp", "timestamptz"}
)
# The names that a purge adds hold a space, so that no table and no column in an operator's predicate is called so.
BATCH = '"tidegate batch"'
# Half of the transaction numbers are "older" than any given one. Well inside of it, `age` can be compared.
FENCE_REACH = 2**31 - 100_000_000


def bound(moment: datetime, kind: Kind) -> str:
    """Return a window's bound as a literal of the time column's type."""
    return f"{literal(moment.isoformat(sep=' '))}::{'timestamptz' if kind is Kind.TIMESTAMPTZ else 'timestamp'}"


def in_window(time: Column, window: Window, where: str | None) -> str:
    """Return the predicate of the rows of a window that are in scope."""
    name = quote_identifier(time.name)
    predicate = f"{name} >= {bound(window.start, time.kind)} AND {name} < {bound(window.end, time.kind)}"
    return predicate + operators_predicate(where)


def in_scope(job: Job, window: Window, where: str | None) -> str:
    """Return the predicate of a job's rows of a window: those of a child's table belong to rows of its parent."""
    if job.parent is None:
        return in_window(job.time, window, where)
    columns = ", ".join(quote_identifier(name) for name in job.parent.foreign_key)
    key = ", ".join(quote_identifier(name) for name in job.parent.key)
    parents = f"SELECT {key} FROM {job.parent.table.quoted} WHERE {in_window(job.parent.time, window, where)}"
    return f"({columns}) IN ({parents})"


def slice_predicate(job: Reading, rows: Slice) -> str:
    """Return the predicate of a slice's rows."""
    if rows.window is None:
        return f"{_since(rows.since) if rows.since else 'true'}{operators_predicate(rows.where)}"
    assert isinstance(job, Job)
    predicate = in_scope(job, rows.window, rows.where)
    if rows.written_after is None:
        return predicate
    assert rows.written_after.xmin is not None
    return f"{predicate} AND NOT ({older_than_fence(job.table.quoted, rows.written_after.xmin)})"


def _since(since: Since) -> str:
    value = since.value
    begin = str(value) if isinstance(value, int) else bound(value, since.column.kind)
    return f"({since.column.quoted} >= {begin} OR {since.column.quoted} IS NULL)"


def operators_predicate(where: str | None) -> str:
    """Return the job's further predicate, fenced in so that a comment at its end swallows nothing."""
    return f" AND (\n{where}\n)" if where else ""


def older_than_fence(table: str, xmin: int) -> str:
    """Return the predicate that holds for row versions that the export's snapshot has seen, and only for them.

    A live row whose version is older than the snapshot's horizon was written by a transaction that had ended
    before the snapshot: it is the very version that was read, if the table is what it was then. Sound on the same
    cluster and timeline, within 2^31 transactions of the snapshot.
    """
    # By their full names: nothing that somebody put into the search path may take their place.
    version, horizon = f"pg_catalog.age({table}.xmin)", f"pg_catalog.age('{xmin % 2**32}'::pg_catalog.xid)"
    return f"{version} OPERATOR(pg_catalog.>) {horizon} AND {defined_before(table, horizon)}"


def count_by_window(
    table: str, time: Column, unit: WindowUnit, zone: str, where: str | None, since: datetime | None, until: datetime
) -> str:
    """Return the query for (start of window as text, rows) of every window that holds rows in scope."""
    name = quote_identifier(time.name)
    if time.kind is Kind.TIMESTAMPTZ:
        start = f"date_trunc('{unit}', {name}, {literal(zone)})"
    else:
        start = f"date_trunc('{unit}', {name}::timestamp)"
    cut = f" AND {name} < {bound(until, time.kind)}" + (f" AND {name} >= {bound(since, time.kind)}" if since else "")
    return (
        f"SELECT {start}::text, count(*) FROM {table} "
        f"WHERE {_usable_time(time)}{cut}{operators_predicate(where)} GROUP BY {start} ORDER BY {start}"
    )


def out_of_time(table: str, time: Column, where: str | None) -> str:
    """Return the query for rows that no window can hold: (those whose time is NULL, those beyond years 1 to 9998)."""
    name = quote_identifier(time.name)
    return (
        f"SELECT count(*) FILTER (WHERE {name} IS NULL), count(*) FILTER (WHERE {name} IS NOT NULL) "
        f"FROM {table} WHERE ({name} IS NULL OR NOT ({_usable_time(time)})){operators_predicate(where)}"
    )


def _usable_time(time: Column) -> str:
    name = quote_identifier(time.name)
    earliest, latest = (bound(datetime(year, 1, 2), time.kind) for year in (1, 9998))
    return f"{name} >= {earliest} AND {name} < {latest}"


def count_rows(table: str, predicate: str) -> str:
    """Return the query for the number of rows."""
    return f"SELECT count(*) FROM {table} WHERE {predicate}"


def export_rows(table: str, columns: tuple[Column, ...], predicate: str, *, digest: bool, utf8: bool) -> str:
    """Return the query that reads rows for the lake, each with the MD5 of its canonical text.

    Columns are named `c0`, `c1`, … so that no reader meets a hostile name. `OFFSET 0` keeps the planner from
    evaluating a value once for the reader and once more for the digest.
    """
    aliases = [f"c{i}" for i in range(len(columns))]
    values = ", ".join(f"{source_value(c)} AS {a}" for c, a in zip(columns, aliases, strict=True))
    reads = [f"{read_expression(c, a)} AS {a}" for c, a in zip(columns, aliases, strict=True)]
    if digest:
        reads.append(f"{digest_expression(columns, aliases, utf8=utf8)} AS {DIGEST_ALIAS}")
    return f"SELECT {', '.join(reads)} FROM (SELECT {values} FROM {table} WHERE {predicate} OFFSET 0) AS rows"


def source_value(column: Column) -> str:
    """Return the SQL of a column's value as the table gives it, derived ones computed."""
    reference = f"(\n{column.derived}\n)" if column.derived else quote_identifier(column.name)
    return value_expression(column, reference)


def delete_unchanged(table: str, key: tuple[Column, ...], predicate: str, xmin: int) -> str:
    """Return the DELETE of the rows of a batch of keys whose version the snapshot fence vouches for."""
    fence = older_than_fence(table, xmin)
    if among := _among_keys(table, key):
        return f"DELETE FROM {table} WHERE {among} AND {fence} AND {predicate}"
    return f"DELETE FROM {table} USING {key_batch(key)} WHERE {matches(table, key)} AND {fence} AND {predicate}"


def delete_equal(
    table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str, *, utf8: bool
) -> str:
    """Return the DELETE of the rows of a batch whose content still has the archived row's digest.

    The last parameter is the array of digests: the first 16 hex digits of each row's MD5.
    """
    digest = digest_expression(columns, [source_value(c) for c in columns], utf8=utf8)
    return (
        f"DELETE FROM {table} USING {key_batch(key, digests=True)} "
        f'WHERE {matches(table, key)} AND left({digest}, 16) = {BATCH}."tidegate digest" AND {predicate}'
    )


def count_left(table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str, *, utf8: bool) -> str:
    """Return the query for (keys of a batch that the table still holds, those of them that had to be deleted).

    To be asked in the transaction of the DELETEs. What had to be deleted is a row with the archived content, and a
    row that this very transaction has written, which only deletes: both are the work of a trigger of the table.
    The last parameter is the array of digests, as for `delete_equal`.
    """
    digest = digest_expression(columns, [source_value(c) for c in columns], utf8=utf8)
    equal = f'left({digest}, 16) = {BATCH}."tidegate digest" AND {predicate}'
    ours = f"{table}.xmin = pg_current_xact_id_if_assigned()::xid"
    return (
        f"SELECT count(*), count(*) FILTER (WHERE {equal} OR {ours}) "
        f"FROM {table}, {key_batch(key, digests=True)} WHERE {matches(table, key)}"
    )


def count_keys(table: str, key: tuple[Column, ...]) -> str:
    """Return the query for the number of rows with one of a batch of keys, whatever else is in them."""
    return f"SELECT count(*) FROM {table}, {key_batch(key)} WHERE {matches(table, key)}"


def locked_keys(table: str, key: tuple[Column, ...]) -> str:
    """Return the query for (place in the batch from 1, locker) of the keys whose rows others may have locked.

    A row's `xmax` is the transaction that locks it, updates it, deletes it, or once did. Those that may still run are
    listed. Rows that several transactions share are not found (there, `xmax` counts something else); nothing depends
    on it: the DELETE itself waits for no lock longer than its time limit.
    """
    locker = f"pg_catalog.age({table}.xmax)"
    may_run = f"{locker} BETWEEN 0 AND pg_catalog.age(pg_snapshot_xmin(pg_current_snapshot())::xid)"
    return (
        f'SELECT {BATCH}."tidegate place", {table}.xmax::text FROM {table}, {key_batch(key, places=True)} '
        f"WHERE {matches(table, key)} AND {table}.xmax <> '0'::xid AND {may_run}"
    )


def key_batch(key: tuple[Column, ...], *, digests: bool = False, places: bool = False) -> str:
    """Return the FROM item of a batch's keys: text arrays as parameters, perhaps digests, perhaps numbered from 1."""
    names = [f'"tidegate k{i}"' for i in range(len(key))] + (['"tidegate digest"'] if digests else [])
    arrays = [f"${i + 1}::text[]" for i in range(len(names))]
    ordinality, names = (" WITH ORDINALITY", [*names, '"tidegate place"']) if places else ("", names)
    return f"unnest({', '.join(arrays)}){ordinality} AS {BATCH}({', '.join(names)})"


def matches(table: str, key: tuple[Column, ...]) -> str:
    """Return the predicate that a row of the table has a key of the batch."""
    equal = [f'{table}.{quote_identifier(c.name)} = {BATCH}."tidegate k{i}"::{key_type(c)}' for i, c in enumerate(key)]
    # Says nothing new, but shows the planner the way when its statistics take a refilled table for an empty one.
    among = _among_keys(table, key)
    return " AND ".join([*equal, among] if among else equal)


def _among_keys(table: str, key: tuple[Column, ...]) -> str | None:
    """Return the predicate for the keys of a batch as an array, where the key is one column of a plain type."""
    if len(key) != 1 or key[0].base_type not in ARRAY_KEYS:
        return None
    return f"{table}.{quote_identifier(key[0].name)} = ANY($1::text[]::{key_type(key[0])}[])"
