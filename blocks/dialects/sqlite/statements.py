"""The SQL that Tidegate sends to SQLite, as text: no connection here, so that every statement can be read.

Columns stand with schema and table (`"main"."orders"."id"`): a name alone in double quotes is a text to SQLite when
there is no such column.
"""

from datetime import datetime

from blocks.dialects.sqlite.moments import format_named, within
from blocks.dialects.sqlite.types import digest, fields, read_expression, reference, relation
from blocks.source import Since, Slice
from schemas.column_plan import Column
from schemas.job import Job
from schemas.reading import Reading
from schemas.table import Table
from schemas.window import Window, WindowUnit


def in_window(table: str, time: Column, window: Window, where: str | None) -> str:
    """Return the predicate of the rows of a window that are in scope."""
    return within(format_named(time.text_format), reference(table, time), window) + operators_predicate(where)


def slice_predicate(job: Reading, rows: Slice) -> str:
    """Return the predicate of a slice's rows; no snapshot of SQLite vouches for any."""
    assert rows.written_after is None
    if rows.window is None:
        return f"{_since(job, rows.since) if rows.since else 'true'}{operators_predicate(rows.where)}"
    assert isinstance(job, Job)
    return in_window(job.table.quoted, job.time, rows.window, rows.where)


def _since(job: Reading, since: Since) -> str:
    name, value = reference(job.table.alias, since.column), since.value
    if isinstance(value, int):
        later = f"{name} >= {value}"
    else:
        later = format_named(since.column.text_format).between(name, value, None)
    return f"({later} OR {name} IS NULL)"


def operators_predicate(where: str | None) -> str:
    """Return the job's further predicate, fenced in so that a comment at its end swallows nothing."""
    return f" AND (\n{where}\n)" if where else ""


def count_rows(table: str, predicate: str) -> str:
    """Return the query for the number of rows."""
    return f"SELECT count(*) FROM {table} WHERE {predicate}"


def count_by_window(
    table: str, time: Column, unit: WindowUnit, where: str | None, since: datetime | None, until: datetime
) -> str:
    """Return the query for (group of moments, rows); a group is as long as a window, or shorter."""
    written, name = format_named(time.text_format), reference(table, time)
    group = written.group(name, unit)
    predicate = f"{written.usable(name)} AND {written.between(name, since, until)}{operators_predicate(where)}"
    return f"SELECT {group}, count(*) FROM {table} WHERE {predicate} GROUP BY 1 ORDER BY 1"


def out_of_time(table: str, time: Column, where: str | None) -> str:
    """Return the query for rows that no window can hold: (those whose time is NULL, those whose time is none)."""
    written = format_named(time.text_format)
    name = reference(table, time)
    return (
        f"SELECT count(*) FILTER (WHERE {name} IS NULL), count(*) FILTER (WHERE {name} IS NOT NULL) FROM {table} "
        f"WHERE ({name} IS NULL OR NOT coalesce({written.usable(name)}, false)){operators_predicate(where)}"
    )


def export_rows(table: Table, columns: tuple[Column, ...], predicate: str, *, with_digest: bool) -> str:
    """Return the query that reads rows for the lake, each with the digest of its canonical text at the end.

    Columns are named `c0`, `c1`, … so that errors name them without a doubt.
    """
    values = [reference(table.alias, column) for column in columns]
    reads = [f"{read_expression(c, v)} AS c{i}" for i, (c, v) in enumerate(zip(columns, values, strict=True))]
    if with_digest:
        reads.append(f"{digest(columns, values)} AS digest")
    return f"SELECT {', '.join(reads)} FROM {relation(table)} WHERE {predicate}"


def row_digest(table: str, columns: tuple[Column, ...]) -> str:
    """Return the SQL of the digest of a row of the table."""
    return digest(columns, [reference(table, column) for column in columns])


def same_key(table: str, key: tuple[Column, ...]) -> str:
    """Return the predicate of the row with a key, its values as parameters; by the columns' own collations."""
    return " AND ".join(f"{reference(table, column)} = ?" for column in key)


def delete_equal(table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str) -> str:
    """Return the DELETE of the row with a key whose content has the archived digest (the last parameter)."""
    equal = f"{row_digest(table, columns)} = ?"
    return f"DELETE FROM {table} WHERE {same_key(table, key)} AND {predicate} AND {equal}"


def look_at(table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str) -> str:
    """Return the query for whether each row with a key had to be deleted; the first parameter is the digest."""
    equal = f"{row_digest(table, columns)} = ?"
    return f"SELECT {equal} AND {predicate} FROM {table} WHERE {same_key(table, key)}"


def read_fields(table: str, key: tuple[Column, ...], columns: tuple[Column, ...], predicate: str) -> str:
    """Return the query for the key's values and the bytes of each column's canonical field."""
    keys = [read_expression(column, reference(table, column)) for column in key]
    texts = [fields((column,), [reference(table, column)]) for column in columns]
    return f"SELECT {', '.join([*keys, *texts])} FROM {table} WHERE {predicate}"


def not_utf8(table: str, column: Column, predicate: str) -> str:
    """Return the predicate of the rows whose text in a column is no UTF-8."""
    name = reference(table, column)
    return f"({predicate}) AND typeof({name}) = 'text' AND NOT tidegate_is_utf8(CAST({name} AS BLOB))"
