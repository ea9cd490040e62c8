"""The SQL that is sent to MariaDB and MySQL, as text: no connection here, so that every statement can be read."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from blocks.dialects.mysql.session import literal, quote
from blocks.dialects.mysql.types import charset_of, comes_back, digest_expression, read_expression
from blocks.source import Since, Slice
from schemas.column_plan import Column, Kind
from schemas.job import Job
from schemas.reading import Reading
from schemas.window import Window

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?")
_NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "year"})
# Of one statement; a transaction may have several. The server refuses statements beyond its max_allowed_packet.
MAX_STATEMENT_CHARACTERS = 2 * 2**20
MAX_KEYS = 5000


def bound(moment: datetime) -> str:
    """Return a window's bound as a literal; sessions are in UTC."""
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return f"TIMESTAMP'{naive.isoformat(sep=' ')}'"


def in_window(time: Column, window: Window, where: str | None) -> str:
    """Return the predicate of the rows of a window that are in scope."""
    name = quote(time.name)
    return f"{name} >= {bound(window.start)} AND {name} < {bound(window.end)}" + operators_predicate(where)


def slice_predicate(job: Reading, rows: Slice) -> str:
    """Return the predicate of a slice's rows; no snapshot of MySQL vouches for rows."""
    assert rows.written_after is None
    if rows.window is None:
        return f"{_since(rows.since) if rows.since else 'TRUE'}{operators_predicate(rows.where)}"
    assert isinstance(job, Job)
    return in_window(job.time, rows.window, rows.where)


def _since(since: Since) -> str:
    name, value = quote(since.column.name), since.value
    begin = str(value) if isinstance(value, int) else bound(value)
    return f"({name} >= {begin} OR {name} IS NULL)"


def operators_predicate(where: str | None) -> str:
    """Return the job's further predicate, fenced in so that a comment at its end swallows nothing."""
    return f" AND (\n{where}\n)" if where else ""


def count_rows(table: str, predicate: str) -> str:
    """Return the query for the number of rows."""
    return f"SELECT COUNT(*) FROM {table} WHERE {predicate}"


def count_by_day(
    table: str, time: Column, where: str | None, since: datetime | None, until: datetime, *, hours: bool
) -> str:
    """Return the query for (day or hour as text, rows) of a DATE or DATETIME; their zeros are no day of a calendar."""
    text = f"LEFT(CAST({quote(time.name)} AS CHAR), {13 if hours else 10})"
    return f"SELECT {text}, COUNT(*) FROM {table} WHERE {_in_scope(time, where, since, until)} GROUP BY 1 ORDER BY 1"


def count_by_quarter_hour(table: str, time: Column, where: str | None, since: datetime | None, until: datetime) -> str:
    """Return the query for (first, last, rows) of each quarter of an hour of a TIMESTAMP, as seconds since 1970.

    Windows of all time zones of today begin at a quarter; which zones the server knows does not matter.
    """
    seconds = f"UNIX_TIMESTAMP({quote(time.name)})"
    return (
        f"SELECT MIN({seconds}), MAX({seconds}), COUNT(*) FROM {table} "
        f"WHERE {_in_scope(time, where, since, until)} GROUP BY FLOOR({seconds} / 900) ORDER BY 1"
    )


def out_of_time(table: str, time: Column, where: str | None) -> str:
    """Return the query for rows that no window can hold: (those whose time is NULL, those beyond years 1 to 9998)."""
    name = quote(time.name)
    return (
        f"SELECT CAST(COALESCE(SUM({name} IS NULL), 0) AS SIGNED), "
        f"CAST(COALESCE(SUM({name} IS NOT NULL), 0) AS SIGNED) "
        f"FROM {table} WHERE ({name} IS NULL OR NOT ({_usable_time(time)})){operators_predicate(where)}"
    )


def _in_scope(time: Column, where: str | None, since: datetime | None, until: datetime) -> str:
    name = quote(time.name)
    cut = f" AND {name} < {bound(until)}" + (f" AND {name} >= {bound(since)}" if since else "")
    return f"{_usable_time(time)}{cut}{operators_predicate(where)}"


def _usable_time(time: Column) -> str:
    name = quote(time.name)
    return f"{name} >= {bound(datetime(1, 1, 2))} AND {name} < {bound(datetime(9998, 1, 2))}"


def reference(column: Column) -> str:
    """Return the SQL of a column's value as the table gives it, derived ones computed."""
    return f"(\n{column.derived}\n)" if column.derived else quote(column.name)


def row_digest(columns: tuple[Column, ...]) -> str:
    """Return the SQL of the first 16 hex digits of the MD5 of a row of the table."""
    return digest_expression(columns, [reference(column) for column in columns])


def checked_columns(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of text that might not survive its way to UTF-8."""
    return tuple(column for column in columns if comes_back(column, "") is not None)


def export_rows(table: str, columns: tuple[Column, ...], predicate: str, *, digest: bool) -> str:
    """Return the query that reads rows for the lake: values, flags of checked columns, and perhaps the digest."""
    reads = [read_expression(column, reference(column)) for column in columns]
    reads += [str(comes_back(column, reference(column))) for column in checked_columns(columns)]
    if digest:
        reads.append(f"UNHEX({row_digest(columns)})")
    return f"SELECT {', '.join(reads)} FROM {table} WHERE {predicate}"


def among_keys(key: tuple[Column, ...], keys: list[str]) -> str:
    """Return the predicate for rows with one of these keys (`key_literals`), as an index finds them."""
    names = ", ".join(quote(column.name) for column in key)
    return f"{names if len(key) == 1 else f'({names})'} IN ({', '.join(keys)})"


def indexed(table: str, index: str | None) -> str:
    """Return the table as a statement names it that must go by this index, whatever the statistics say."""
    return f"{table} FORCE INDEX ({quote(index)})" if index else table


def delete_equal(table: str, index: str | None, among: str, columns: tuple[Column, ...], among_digests: str) -> str:
    """Return the DELETE of the rows with one of the keys whose content has one of the digests.

    A digest is over the whole row, its key to the letter included: which of the keys has which of the digests need
    not be said, and keys that a collation takes for equal (`a` and `A`) are told apart.
    """
    return f"DELETE {table} FROM {indexed(table, index)} WHERE {among} AND {row_digest(columns)} IN ({among_digests})"


def select_digests(table: str, index: str | None, among: str, columns: tuple[Column, ...]) -> str:
    """Return the query for the digests of the rows with one of the keys."""
    return f"SELECT {row_digest(columns)} FROM {indexed(table, index)} WHERE {among}"


def count_left(
    table: str, index: str | None, among: str, columns: tuple[Column, ...], among_digests: str, predicate: str
) -> str:
    """Return the query for (rows that still have one of the keys, those of them that had to be deleted), as of now."""
    had_to_go = f"{row_digest(columns)} IN ({among_digests}) AND {predicate}"
    return (
        f"SELECT COUNT(*), CAST(COALESCE(SUM({had_to_go}), 0) AS SIGNED) "
        f"FROM {indexed(table, index)} WHERE {among} LOCK IN SHARE MODE"
    )


def portions(
    key: tuple[Column, ...], keys: tuple[pa.StringArray, ...], collations: Mapping[str, str]
) -> Iterator[tuple[int, int, list[str]]]:
    """Yield (first row, row behind the last, key literals) of portions that fit into a statement each.

    Args:
        key: The key's columns.
        keys: For each of them, the texts of its values.
        collations: Of the table's columns of text (`catalog.collations`).
    """
    columns = [_key_literals(column, texts, collations) for column, texts in zip(key, keys, strict=True)]
    rows = columns[0] if len(columns) == 1 else [f"({', '.join(values)})" for values in zip(*columns, strict=True)]
    first, size = 0, 0
    for row, text in enumerate(rows):
        if row - first >= MAX_KEYS or (size + len(text) > MAX_STATEMENT_CHARACTERS and row > first):
            yield first, row, rows[first:row]
            first, size = row, 0
        size += len(text) + 2
    if first < len(rows):
        yield first, len(rows), rows[first:]


def _key_literals(column: Column, texts: pa.StringArray, collations: Mapping[str, str]) -> list[str]:
    literals, charset = value_literals(column, texts), charset_of(column)
    if not charset or column.name not in collations:
        return literals
    # MariaDB compares texts of rows, `(a, b) IN ((…), (…))`, by their octets, whatever their character sets are.
    return [f"CONVERT({text} USING {charset}) COLLATE {collations[column.name]}" for text in literals]


def value_literals(column: Column, texts: pa.StringArray) -> list[str]:
    """Return values, given as exchange texts (`schemas.column_plan`), as literals that say them to the bit."""
    if column.kind is Kind.FLOAT32:  # a float is written as the double that it is
        floats = pc.cast(pc.cast(texts, pa.float32()), pa.float64())
        return [_double(value) for value in floats.to_pylist()]
    if column.kind is Kind.FLOAT64:
        return [_double(value) for value in pc.cast(texts, pa.float64()).to_pylist()]
    return ["NULL" if text is None else _value_literal(column, text) for text in texts.to_pylist()]


def _double(value: float | None) -> str:
    if value is None:
        return "NULL"
    assert np.isfinite(value)
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _value_literal(column: Column, text: str) -> str:
    match column.kind:
        case Kind.BINARY:
            return f"X'{text.removeprefix(chr(92) + 'x')}'"
        case Kind.BOOLEAN:
            return {"true": "1", "false": "0"}[text]
        case Kind.TIMESTAMPTZ:
            return literal(text.removesuffix("+00"))
    if column.base_type in _NUMBERS and _NUMBER.fullmatch(text):
        return text
    return literal(text)
