"""Hypothesis strategies for literals of PostgreSQL's types: text as a type's input function reads it."""

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Literals = SearchStrategy[str]

# Everything that PostgreSQL takes in text: no NUL, no surrogates.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

NASTY_TEXT = (
    "", " ", "  both  ", "trailing ", "trailing\t", "\n", "line\r\nline", "~", "1:~", "NULL", "null", "\\N", "\\",
    "\\.", ",", ",~,", "0:", "3:a,b", '"', '""', "'", "''", "O'Brien", "{}", "{NULL}", "%s %d %%", "$1", "{0}",
    "\ufeffbom",
    "é", "e\u0301", "ß", "İ", "日本語", "😀", "👩\u200d👧", "\u200b", "\u202eabc", "\U0010ffff", "\ufffe", "\x01",
    "\x1a", "\x7f", "\x85", "=cmd|' /C calc'!A0", "; DROP TABLE x; --", "a" * 10_000, "😀" * 3_000,
)  # fmt: skip


_NO_TIME: Literals = st.just("")


def text(max_size: int = 30) -> Literals:
    return st.text(CHARACTERS, max_size=max_size)


def nasty_text(max_size: int) -> tuple[str, ...]:
    return tuple(value for value in NASTY_TEXT if len(value) <= max_size)


def integers(bits: int) -> Literals:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(str)


def numbers(precision: int, scale: int) -> Literals:
    """Values of numeric(precision, scale), every digit used."""
    return st.integers(1 - 10**precision, 10**precision - 1).map(lambda number: scaled(number, scale))


def long_numbers(precision: int, scale: int) -> Literals:
    """Values of a numeric so wide that random digits in all of its places would be too much to draw."""
    return st.builds(
        lambda number, shift: scaled(number * 10**shift, scale),
        st.integers(-(10**40), 10**40),
        st.integers(0, precision - 41),
    )


def scaled(number: int, scale: int) -> str:
    """Return number / 10^scale without rounding, whatever the size."""
    if scale <= 0:
        return str(number * 10**-scale)
    digits = str(abs(number)).rjust(scale + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def any_numbers() -> Literals:
    """Values of numeric without precision: 100 digits on either side of the point, trailing zeros kept."""
    finite = st.builds(scaled, st.integers(-(10**100), 10**100), st.integers(-100, 100))
    return finite | st.sampled_from(("NaN", "Infinity", "-Infinity"))


def floats(width: int) -> Literals:
    return (st.floats(width=32) if width == 32 else st.floats()).map(repr)


def cents() -> Literals:
    return st.integers(-(2**63), 2**63 - 1).map(lambda number: scaled(number, 2))


def dates(last_year: int, times: Literals = _NO_TIME) -> Literals:
    """Days from 4713 BC to the end of the last year, many of them near ours; with a time of day if wanted."""
    years = st.integers(1900, 2100) | st.integers(-4712, last_year)
    return st.builds(_day, years, st.integers(1, 12), st.integers(1, 28), times) | st.sampled_from(
        ("infinity", "-infinity")
    )


def _day(year: int, month: int, day: int, time: str) -> str:
    before_christ = year < 1
    number = 1 - year if before_christ else year
    return " ".join(filter(None, [f"{number:04d}-{month:02d}-{day:02d}", time, "BC" if before_christ else ""]))


def times(zones: bool = False) -> Literals:
    clock = st.times().map(lambda time: time.isoformat()) | st.just("24:00:00")
    return st.builds(lambda time, zone: time + zone, clock, offsets()) if zones else clock


def offsets() -> Literals:
    return st.builds(
        lambda sign, hours, minutes: f"{sign}{hours:02d}:{minutes:02d}",
        st.sampled_from("+-"),
        st.integers(0, 15),
        st.integers(0, 59),
    )


def intervals() -> Literals:
    """Months, days and microseconds, each with a sign of its own."""
    return st.builds(
        lambda months, days, us: f"{months} mons {days} days {us} microseconds",
        st.integers(-(2**31) + 1, 2**31 - 1),
        st.integers(-(2**31) + 1, 2**31 - 1),
        st.integers(-(2**52), 2**52),
    )


def json_texts() -> Literals:
    """JSON with the spacing and escapes that a writer may choose."""
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | text(8)
    values: SearchStrategy[Any] = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text(5), inner, max_size=3), max_leaves=6
    )
    return st.builds(
        lambda value, indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii),
        values,
        st.sampled_from((None, 0, 3)),
        st.booleans(),
    )


def quoted(item: str | None) -> str:
    """Return an element as arrays and composites quote it."""
    return "NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


def arrays(items: Literals) -> Literals:
    """Arrays with NULLs: empty, of one dimension, of two, and with a lower bound of their own."""
    elements = (items | st.none()).map(quoted)
    flat = st.lists(elements, max_size=4).map(_braces)
    shifted = st.builds(
        lambda low, row: f"[{low}:{low + len(row) - 1}]={_braces(row)}",
        st.integers(-5, 5),
        st.lists(elements, min_size=1, max_size=3),
    )
    square = st.lists(st.lists(elements, min_size=2, max_size=2), min_size=1, max_size=3).map(
        lambda rows: _braces([_braces(row) for row in rows])
    )
    return flat | shifted | square


def _braces(items: list[str]) -> str:
    return "{" + ",".join(items) + "}"


def ranges(bounds: SearchStrategy[tuple[str, str]]) -> Literals:
    """Ranges over pairs of ordered bounds; a missing bound is infinite."""
    return st.builds(
        lambda opening, pair, has_low, has_high, closing: (
            f"{opening}{pair[0] if has_low else ''},{pair[1] if has_high else ''}{closing}"
        ),
        st.sampled_from("[("),
        bounds,
        st.booleans(),
        st.booleans(),
        st.sampled_from("])"),
    ) | st.just("empty")


def multiranges(items: Literals) -> Literals:
    return st.lists(items, max_size=3).map(_braces)


def ordered_integers(limit: int = 2**31 - 2) -> SearchStrategy[tuple[str, str]]:
    return st.tuples(st.integers(-limit, limit), st.integers(-limit, limit)).map(
        lambda pair: (str(min(pair)), str(max(pair)))
    )


def ordered_moments() -> SearchStrategy[tuple[str, str]]:
    return st.tuples(st.datetimes(), st.datetimes()).map(
        lambda pair: (f'"{min(pair).isoformat(" ")}+00"', f'"{max(pair).isoformat(" ")}+00"')
    )


def bits(least: int, most: int) -> Literals:
    return st.text("01", min_size=least, max_size=most)


def hexadecimal(octets: int) -> Literals:
    return st.binary(min_size=octets, max_size=octets).map(lambda value: value.hex(":"))


def lexemes() -> Literals:
    """A tsvector: quoted words, some with positions and weights."""
    word = text(8).filter(bool).map(lambda value: "'" + value.replace("\\", "\\\\").replace("'", "''") + "'")
    place = st.builds(lambda number, weight: f":{number}{weight}", st.integers(1, 16_383), st.sampled_from("ABCD"))
    return st.lists(st.builds(lambda w, p: w + p, word, place | st.just("")), max_size=4).map(" ".join)


def points(count: int) -> Literals:
    """Points of finite, not too large coordinates, such as polygons take."""
    number = st.floats(-1e9, 1e9)
    point = st.tuples(number, number).map(lambda pair: f"({pair[0]!r},{pair[1]!r})")
    return st.lists(point, min_size=count, max_size=count).map(",".join)
