"""The column plan of SQLite: what a declared type promises, and the SQL that a value is read and digested by.

SQLite binds no value to its column's declared type. The type decides how a column is stored in Parquet; a value of
another storage class than that is refused by column and key, never converted. Columns whose declared type promises
nothing (none, ANY, NUMERIC without digits, unknown names) are kept as **literals**: the text of each value as SQL
writes it (`5`, `5.0`, `'five'`, `x'05'`), which tells the storage classes apart. `columns.as_text` makes the same of
any other column.
"""

import re

from blocks.dialects.sqlite.moments import DAY
from schemas.column_plan import Column, Kind, quote_identifier
from schemas.table import Table

MAX_DECIMAL_DIGITS = 38
MAX_ARGUMENTS = 90  # of a function; SQLite allows at least 100
DIGEST_BYTES = 8
_NAMED = {"DATE": Kind.DATE, "BOOLEAN": Kind.BOOLEAN, "BOOL": Kind.BOOLEAN}
# Their affinity is NUMERIC, but what they hold is text.
_TEXT_NAMES = frozenset({"ENUM", "GUID", "JSON", "STRING", "TIME", "UUID", "XML"})
_DIGITS = re.compile(r"(?:DECIMAL|NUMERIC|DEC|NUMBER)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)


def plan_column(name: str, declared: str, *, nullable: bool, text_format: str = "", generated: bool = False) -> Column:
    """Return how a column of this declared type is stored.

    Args:
        name: Its name.
        declared: Its type as `CREATE TABLE` has it, or "".
        nullable: Whether NULL is allowed.
        text_format: How its moments are written (`moments`), for a type that holds some.
        generated: Whether it is computed.
    """
    kind, precision, scale = _kind(declared)
    return Column(
        name=name,
        source_type=declared or "ANY",
        base_type=_word(declared),
        kind=kind or Kind.TEXT,
        precision=precision,
        scale=scale,
        nullable=nullable,
        exact_text=kind is None,
        text_format=text_format if kind is Kind.TIMESTAMP else DAY if kind is Kind.DATE else "",
        generated=generated,
    )


def _kind(declared: str) -> tuple[Kind | None, int | None, int | None]:
    """Return kind, precision and scale; no kind for what is kept as literals. The order is that of SQLite's rules."""
    upper, word = declared.upper(), _word(declared)
    plain: Kind | None = None
    if word in _NAMED:
        plain = _NAMED[word]
    elif word.startswith(("DATETIME", "TIMESTAMP")):
        plain = Kind.TIMESTAMP
    elif "INT" in upper:
        plain = Kind.INTEGER
    elif any(part in upper for part in ("CHAR", "CLOB", "TEXT")) or word in _TEXT_NAMES:
        plain = Kind.TEXT
    elif "BLOB" in upper:
        plain = Kind.BINARY
    elif any(part in upper for part in ("REAL", "FLOA", "DOUB")):
        plain = Kind.FLOAT64
    elif digits := _DIGITS.fullmatch(declared.strip()):
        precision, scale = int(digits[1]), int(digits[2] or 0)
        if 0 < precision <= MAX_DECIMAL_DIGITS and scale <= precision:
            return Kind.DECIMAL, precision, scale
    return plain, None, None


def _word(declared: str) -> str:
    """Return the type's name without its digits, in capitals."""
    return declared.partition("(")[0].strip().upper()


def as_text(column: Column) -> Column:
    """Return the column as one that is stored as the literals of its values, whatever they are."""
    plain = {"bits": 64, "precision": None, "scale": None, "text_format": ""}
    return column.model_copy(update={"kind": Kind.TEXT, "exact_text": True, **plain})


def is_literal(column: Column) -> bool:
    """Return whether the column is stored as the literals of its values."""
    return column.kind is Kind.TEXT and column.exact_text


def code(column: Column) -> str:
    """Return the short text that tells `fields.field_writer` how the column's values are digested."""
    if is_literal(column):
        return "literal"
    return f"{column.kind} {column.scale if column.kind is Kind.DECIMAL else column.text_format}".strip()


def reference(table: str, column: Column) -> str:
    """Return the SQL of a column's value as the table gives it, derived ones computed.

    Always with its table: a name alone in double quotes is a text to SQLite when there is no such column.
    """
    return f"(\n{column.derived}\n)" if column.derived else f"{table}.{quote_identifier(column.name)}"


def relation(table: Table) -> str:
    """Return what stands in FROM: a table, or a query in brackets, in which a comment at its end swallows nothing.

    OFFSET keeps SQLite from pulling the query up, by which it would evaluate `random()` once for the value and once
    more for its digest.
    """
    if table.query is None:
        return table.quoted
    return f"(SELECT * FROM (\n{table.query}\n) LIMIT -1 OFFSET 0) AS {table.alias}"


def digest_argument(column: Column, value: str) -> str:
    """Return the SQL of what the digest's function is given for a value: text as its bytes.

    A function is never given text, which might be no UTF-8; what is not of the column's storage classes is given as
    one of a storage class that the column's writer takes for nothing it knows.
    """
    as_bytes = f"CASE typeof({value}) WHEN 'text' THEN CAST({value} AS BLOB)"
    if is_literal(column):
        return literal(value)
    match column.kind:
        case Kind.TEXT | Kind.DATE | Kind.TIMESTAMP:
            return f"{as_bytes} WHEN 'blob' THEN -0.5 ELSE {value} END"
        case Kind.BINARY:
            return f"CASE typeof({value}) WHEN 'text' THEN -0.5 ELSE {value} END"
        case _:
            return f"CASE typeof({value}) WHEN 'text' THEN x'' ELSE {value} END"


def literal(value: str) -> str:
    """Return the SQL of a value's literal."""
    return (
        f"tidegate_literal(typeof({value}), CASE typeof({value}) WHEN 'text' THEN CAST({value} AS BLOB) "
        f"ELSE {value} END)"
    )


def fields(columns: tuple[Column, ...], values: list[str]) -> str:
    """Return the SQL (a BLOB) of some columns' fields in a row's canonical text, joined by commas."""
    codes = "\n".join(code(column) for column in columns)
    given = ", ".join(digest_argument(column, value) for column, value in zip(columns, values, strict=True))
    return f"tidegate_fields('{codes}', {given})"


def digest(columns: tuple[Column, ...], values: list[str]) -> str:
    """Return the SQL (a BLOB) of the first 8 bytes of the MD5 of a row's canonical text (`schemas.column_plan`)."""
    parts = [
        fields(columns[i : i + MAX_ARGUMENTS], values[i : i + MAX_ARGUMENTS])
        for i in range(0, len(columns), MAX_ARGUMENTS)
    ]
    # A table may have 2,000 columns: parts of parts would be needed for more than 8,100.
    return f"tidegate_digest({', '.join(parts)})"


def read_expression(column: Column, value: str) -> str:
    """Return the SQL of what is fetched for a column."""
    return literal(value) if is_literal(column) else value
