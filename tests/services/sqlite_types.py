"""Declared types of SQLite: how each is kept, values that fit it, and values that do not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hypothesis import strategies as st

from blocks.dialects.sqlite.moments import FORMATS, Value, format_named
from schemas.column_plan import Kind

BIG, SMALL = 2**63 - 1, -(2**63)
TEXTS = ("", " ", "a", "A", "a ", "ß😀\U0010ffff", "nul\0inside", "\0", "1", "01", "1.0", "NULL", "~", "3:a", "it's",
         '"', "a,b", "line\nbreak", "x'00'", "é", "e\u0301", "\ufeff")  # fmt: skip
BLOBS = (b"", b"\0", b"a", b"\xff\xfe", bytes(range(256)))
REALS = (0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 2.0**63, 1e15 + 0.3, float("inf"), float("-inf"))
INTEGERS = (0, 1, -1, BIG, SMALL, 2**53 + 1)


@dataclass(frozen=True, slots=True)
class SqliteType:
    """A declared type.

    Attributes:
        sql: As it stands in CREATE TABLE; "" for none.
        kind: What it is stored as.
        nasty: Values that fit, one by one.
        random: Draws lists of values that fit, of at least and at most so many.
        unfit: Values that SQLite keeps in such a column and that the kind does not.
        exact_text: Whether it is kept as literals.
    """

    sql: str
    kind: Kind
    nasty: tuple[Value, ...]
    random: Callable[[int, int], st.SearchStrategy[list[Value]]]
    unfit: tuple[Value, ...] = ()
    exact_text: bool = False

    def __str__(self) -> str:
        return self.sql or "no type"


def _lists(values: st.SearchStrategy[Value]) -> Callable[[int, int], st.SearchStrategy[list[Value]]]:
    return lambda least, most: st.lists(values, min_size=least, max_size=most)


_INTEGER: st.SearchStrategy[Value] = st.integers(SMALL, BIG)
_REAL: st.SearchStrategy[Value] = st.floats(allow_nan=False)
_TEXT: st.SearchStrategy[Value] = st.text(max_size=40)
_BLOB: st.SearchStrategy[Value] = st.binary(max_size=40)
_ANY = st.one_of(_INTEGER, _REAL, _TEXT, _BLOB)
_CENTS: st.SearchStrategy[Value] = st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: float(n) / 10**4)
_DAYS: st.SearchStrategy[Value] = st.dates().map(lambda day: day.isoformat())

TYPES = (
    *(SqliteType(sql, Kind.INTEGER, INTEGERS, _lists(_INTEGER), ("n/a", 1.5, 2.0**63, b"1", ""))
      for sql in ("INTEGER", "BIGINT", "UNSIGNED BIG INT", "TINYINT(1)")),
    SqliteType("BOOLEAN", Kind.BOOLEAN, (0, 1), _lists(st.sampled_from([0, 1])), (2, -1, "true", 0.5, b"\1")),
    *(SqliteType(sql, Kind.FLOAT64, REALS, _lists(_REAL), ("n/a", b"", "")) for sql in ("REAL", "DOUBLE PRECISION")),
    *(SqliteType(sql, Kind.TEXT, TEXTS, _lists(_TEXT), (b"blob", b""))
      for sql in ("TEXT", "VARCHAR(3)", "NATIVE CHARACTER(70)", "CLOB", "TEXT COLLATE NOCASE")),
    SqliteType("JSON", Kind.TEXT, ('{"a": 1.10}', "[]", "null"), _lists(st.sampled_from(["{}", '"a"'])), (5, b"{}")),
    SqliteType("BLOB", Kind.BINARY, BLOBS, _lists(_BLOB), ("text", "", 1, 0.5)),
    SqliteType("DECIMAL(12,4)", Kind.DECIMAL, (0, 1, -1, 0.5, -0.0001, 99999999.9999, 10**8 - 1, 12.34),
               _lists(_CENTS), (0.00001, 10**8, "n/a", 1e300, b"1", 0.1 + 0.2, float("inf"))),
    SqliteType("NUMERIC(3, 3)", Kind.DECIMAL, (0, 0.125, -0.999), _lists(st.sampled_from([0.1, 0.999, 0])), (1, "x")),
    SqliteType("DECIMAL(38,0)", Kind.DECIMAL, (BIG, SMALL, 1e30, 0), _lists(_INTEGER), (0.5, 1e38)),
    SqliteType("DATE", Kind.DATE, ("0001-01-01", "9999-12-31", "2024-02-29"), _lists(_DAYS),
               ("2024-02-30", "2024-1-1", "2024-W01-1", 20240101, "2024-01-01 00:00:00", b"2024-01-01", 2460310.5, "")),
    *(SqliteType(sql, Kind.TEXT, (*INTEGERS, *REALS, *TEXTS, *BLOBS), _lists(_ANY), exact_text=True)
      for sql in ("", "ANY", "NUMERIC", "DECIMAL(40,2)", "MONEY", "SOMETHING(1,2)")),
)  # fmt: skip


def moment_type(name: str, sql: str = "DATETIME") -> SqliteType:
    """Return the type of a column whose moments are written in the format of that name."""
    known = format_named(name)
    first = datetime(1, 1, 2) if isinstance(known.write(datetime(2024, 1, 1)), str) else datetime(2001, 9, 9, 2)
    last = datetime(2100, 1, 1) if first.year > 1 else datetime(9997, 12, 31, 23, 59, 59, 999_999)
    moments = (first, last, datetime(2024, 2, 29, 23, 59, 59), datetime(2024, 1, 1, 0, 0, 0, 120_000),
               datetime(2024, 1, 1, 0, 0, 0, 123_456), datetime(2024, 7, 1), datetime(2024, 7, 1, 12))  # fmt: skip
    written = tuple(dict.fromkeys(known.write(moment) for moment in moments))
    drawn: st.SearchStrategy[Value] = st.datetimes(first, last).map(known.write)
    others = ("2024-01-01t00:00:00", "2024-02-30 00:00:00", "yesterday", b"2024-01-01 00:00:00", 0.5, "")
    return SqliteType(sql, Kind.TIMESTAMP, written, _lists(drawn), others)


MOMENTS = tuple(str(known) for known in FORMATS)
