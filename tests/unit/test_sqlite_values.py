"""Values of SQLite as literals and decimals: from the text comes the same value, of the same storage class."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.dialects.sqlite.moments import FORMATS, Format, UnixFormat, Value, format_named, guess_format
from blocks.dialects.sqlite.types import plan_column
from blocks.dialects.sqlite.values import (
    UndecodedText,
    as_decimal,
    exchange_of,
    literal_of,
    value_of_decimal,
    value_of_literal,
)
from schemas.column_plan import Kind

VALUES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.binary())


@settings(max_examples=300, database=None)
@given(VALUES)
def test_a_literal_stands_for_one_value_of_one_storage_class(value: int | float | str | bytes) -> None:
    text = literal_of(value.encode() if isinstance(value, str) else value, text=isinstance(value, str))
    back = value_of_literal(text)
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_text_that_is_no_utf8_is_told_from_a_blob() -> None:
    text, blob = (literal_of(b"a\xff", text=is_text) for is_text in (True, False))
    assert (text, blob) == ("CAST(x'61ff' AS TEXT)", "x'61ff'")
    assert isinstance(value_of_literal(text), UndecodedText)
    assert type(value_of_literal(blob)) is bytes


@pytest.mark.parametrize(
    "text", ["", "abc", "'a'b'", "x'0'", "9223372036854775808", "1.", "nan", "1 ", "NULL", "X'00'"]
)
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"literal|64 bits"):
        value_of_literal(text)


@pytest.mark.parametrize(
    ("value", "precision", "scale", "kept"),
    [
        (5, 10, 2, "5"), (5.5, 10, 2, "5.5"), (5.0, 10, 2, None), (0, 2, 2, "0"), (0.05, 2, 2, "0.05"),
        (1e20, 38, 0, "1E+20"), (1e20, 20, 0, None), (99.5, 3, 1, "99.5"), (100.5, 3, 1, None), (0.125, 5, 2, None),
        (float("inf"), 38, 0, None), (2**63 - 1, 19, 0, str(2**63 - 1)), (True, 5, 0, None), ("5", 5, 0, None),
    ],
)  # fmt: skip
def test_a_decimal_is_one_that_comes_back_as_the_same_value(
    value: Value, precision: int, scale: int, kept: str | None
) -> None:
    number = as_decimal(value, precision, scale)
    assert number == (None if kept is None else Decimal(kept))
    if number is not None:
        back = value_of_decimal(number)
        assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("declared", "kind", "exact_text"),
    [
        ("int", Kind.INTEGER, False), ("POINT", Kind.INTEGER, False), ("FLOATING POINT", Kind.INTEGER, False),
        ("CHARINT", Kind.INTEGER, False), ("varchar(5)", Kind.TEXT, False), ("tinyblob", Kind.BINARY, False),
        ("float", Kind.FLOAT64, False), ("decimal ( 5 )", Kind.DECIMAL, False), ("DECIMAL(5,6)", Kind.TEXT, True),
        ("numeric", Kind.TEXT, True), ("", Kind.TEXT, True), ("datetime(6)", Kind.TIMESTAMP, False),
        ("TIMESTAMP WITH TIME ZONE", Kind.TIMESTAMP, False), ("bool", Kind.BOOLEAN, False), ("uuid", Kind.TEXT, False),
    ],
)  # fmt: skip
def test_declared_types_are_read_by_the_rules_of_sqlite(declared: str, kind: Kind, exact_text: bool) -> None:
    planned = plan_column("a", declared, nullable=True)
    assert (planned.kind, planned.exact_text, planned.source_type) == (kind, exact_text, declared or "ANY")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["2024-01-01 00:00:00"], "YYYY-MM-DD HH:MM:SS[.ffffff]"),
        (["2024-01-01 00:00:00.000000", "2024-01-01 00:00:00.120000"], "YYYY-MM-DD HH:MM:SS.ffffff"),
        (["2024-01-01T00:00:00.120Z"], "YYYY-MM-DDTHH:MM:SS.fffZ"),
        (["2024-01-01 00:00:00.1", "2024-01-01 00:00:00"], "YYYY-MM-DD HH:MM:SS[.f]"),
        (["2024-01-01 00:00:00+00:00", "odd", None], "YYYY-MM-DD HH:MM:SS[.ffffff]+00:00"),
        ([1704067200], "unix seconds"), ([1704067200000, 0], "unix milliseconds"), (["2024-01-01"], "YYYY-MM-DD"),
        ([1704067200000000], "unix microseconds"), ([], "YYYY-MM-DD HH:MM:SS[.ffffff]"),
    ],
)  # fmt: skip
def test_the_format_that_most_values_are_written_in_is_the_column_s(values: list[Value], name: str) -> None:
    assert guess_format(values) == name


@settings(max_examples=200, database=None)
@given(st.datetimes(), st.sampled_from(FORMATS))
def test_a_moment_is_read_only_from_what_would_be_written_for_it(moment: datetime, known: Format) -> None:
    written = known.write(moment)
    read = known.read(written)
    assert read is None or known.write(read) == written
    if isinstance(written, str):
        assert known.read(f"{written} ") is None
        assert known.read(f" {written}") is None


def test_an_unknown_format_is_refused() -> None:
    assert format_named("unix seconds") == UnixFormat("unix seconds")
    with pytest.raises(ValueError, match="unknown format"):
        format_named("julian days")


@pytest.mark.parametrize(
    ("declared", "text", "exchanged"),
    [
        ("INTEGER", "+05", "5"), ("INTEGER", "9223372036854775808", None), ("DECIMAL(5,2)", "01.50", "1.50"),
        ("DECIMAL(5,2)", "1.501", None), ("BLOB", "x'0A'", r"\x0a"), ("BLOB", r"\x0a", r"\x0a"),
        ("BOOLEAN", "TRUE", "true"), ("BOOLEAN", "0", "false"),
        ("DATE", "2024-01-01", "2024-01-01"), ("DATE", "2024-01-01 10:00:00", None),
        ("REAL", "5e-1", "0.5"), ("", "'it''s'", "'it''s'"), ("TEXT", "it's", "it's"),
        ("DATETIME", "2024-01-01 12:00:00+02:00", "2024-01-01 10:00:00"),
        ("DATETIME", "1704067200", "2024-01-01 00:00:00"),
    ],
)  # fmt: skip
def test_a_key_is_understood_however_it_is_written(declared: str, text: str, exchanged: str | None) -> None:
    written = "unix seconds" if text.isdigit() else "YYYY-MM-DD HH:MM:SS[.ffffff]"
    assert exchange_of(plan_column("id", declared, nullable=False, text_format=written), text) == exchanged


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("INTEGER", "n/a"), ("DECIMAL(5,2)", "n/a"), ("BLOB", "xyz"), ("", "abc"), ("BOOLEAN", "maybe"),
        ("DATETIME", "soon"), ("DATE", "2024-02-30"), ("REAL", "much"),
    ],
)  # fmt: skip
def test_a_key_that_is_no_value_of_its_column_is_refused(declared: str, text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        exchange_of(plan_column("id", declared, nullable=False, text_format="unix seconds"), text)
