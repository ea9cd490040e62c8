"""The types of MariaDB that a table may have, each with random and with hand-picked nasty values."""

from dataclasses import dataclass

import pg_literals as lit
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from schemas.column_plan import Kind

Literals = SearchStrategy[str]


@dataclass(frozen=True, slots=True)
class MySQLType:
    """A type as a column is declared with it.

    Attributes:
        sql: The declaration.
        kind: How it should be stored.
        values: SQL expressions for its values.
        nasty: Expressions picked by hand.
        exact_text: Whether the plan should say that the stored text stands for a type that Parquet lacks.
        is_key: Whether it can be a primary key.
    """

    sql: str
    kind: Kind
    values: Literals
    nasty: tuple[str, ...] = ()
    exact_text: bool = False
    is_key: bool = True

    def __str__(self) -> str:
        return self.sql

    def random(self, least: int, most: int) -> SearchStrategy[list[str]]:
        """Values that are not all alike, as the first ones are that Hypothesis comes up with."""
        return st.lists(self.values, min_size=least, max_size=most).filter(lambda values: len(set(values)) > 1)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def octets(value: bytes) -> str:
    return f"X'{value.hex()}'"


def _integer(sql: str, bits: int) -> MySQLType:
    low, high = (
        (0, 2**bits - 1) if "unsigned" in sql or "zerofill" in sql else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    kind = Kind.DECIMAL if high >= 2**63 else Kind.INTEGER
    return MySQLType(sql, kind, st.integers(low, high).map(str), (str(low), str(high), "0", "1"))


def _decimal(sql: str, precision: int, scale: int, *, unsigned: bool = False) -> MySQLType:
    numbers = lit.numbers(precision, scale).map(lambda text: text.removeprefix("-") if unsigned else text)
    most = lit.scaled(10**precision - 1, scale)
    nasty = ("0", "0.0", most) if unsigned else ("0", "-0.0", most, f"-{most}", lit.scaled(-1, scale))
    return MySQLType(sql, Kind.TEXT if precision > 38 else Kind.DECIMAL, numbers, nasty, exact_text=precision > 38)


def _text(sql: str, longest: int, *, characters: str = "", is_key: bool = True) -> MySQLType:
    values = st.text(characters, max_size=min(longest, 30)) if characters else lit.text(min(longest, 30))
    nasty = tuple(v for v in lit.nasty_text(longest) if not characters or set(v) <= set(characters))
    return MySQLType(sql, Kind.TEXT, values.map(quoted), tuple(map(quoted, nasty)), is_key=is_key)


def _exact(sql: str, values: Literals, nasty: tuple[str, ...] = (), *, is_key: bool = True) -> MySQLType:
    return MySQLType(sql, Kind.TEXT, values, nasty, exact_text=True, is_key=is_key)


def _binary(sql: str, longest: int, *, is_key: bool = True) -> MySQLType:
    nasty = (b"", b"\0", b"\0\0\0", b"\xff", b"~", b"NULL", b"a ", b"A", b"\\'\"")
    values = st.binary(max_size=min(longest, 40)).map(octets)
    return MySQLType(sql, Kind.BINARY, values, tuple(octets(v) for v in nasty if len(v) <= longest), is_key=is_key)


def _moments(fraction: int, first: int, last: int) -> Literals:
    clock = st.times().map(lambda time: time.isoformat(timespec="microseconds")[: 8 + fraction + (fraction > 0)])
    return st.builds(
        lambda year, month, day, time: quoted(f"{year:04d}-{month:02d}-{day:02d} {time}"),
        st.integers(first, last), st.integers(1, 12), st.integers(1, 28), clock,
    )  # fmt: skip


def _times(fraction: int) -> Literals:
    return st.builds(
        lambda sign, hours, minutes, us: quoted(
            f"{sign}{hours}:{minutes:02d}:{us // 10**6:02d}.{us % 10**6:06d}"[: -6 + fraction or None].rstrip(".")
        ),
        st.sampled_from(("", "-")), st.integers(0, 837), st.integers(0, 59), st.integers(0, 59_999_999),
    )  # fmt: skip


def _floats(sql: str, width: int, *, nasty: tuple[str, ...]) -> MySQLType:
    floats = st.floats(allow_nan=False, allow_infinity=False, width=32 if width == 32 else 64)
    kind = Kind.FLOAT32 if width == 32 else Kind.FLOAT64
    common = ("0e0", "0e0 * -1", "1e-7", "0.1e0", "1e15", "1e16", "123456789.123e0", "-1.5e0", "16777217e0")
    return MySQLType(
        sql, kind, floats.map(lambda value: f"{value!r}{'' if 'e' in repr(value) else 'e0'}"), common + nasty
    )


_LATIN1 = "".join(bytes([n]).decode("latin-1") for n in range(32, 256) if not 127 <= n < 160) + "€™"
_LATIN2 = "".join(bytes([n]).decode("latin2") for n in range(160, 256))
_MOODS = ("sad", "O'Brien", "two words", "ünï😀", "NULL", "~", 'x"y', "")
_FLAGS = ("a", "b c", "NULL", "ü😀")
_DATES = tuple(
    map(quoted, ("0001-01-01", "1000-01-01", "1582-10-10", "1900-02-28", "1970-01-01", "2024-02-29", "9999-12-31"))
)
_JSON = ('{"a": 1.10}', "null", ' {"b" :  "é"}', '"~"', "[1e400]", '{"a":1,"a":2}', '"\\\\u00e9"')

TYPES = (
    *(
        _integer(f"{name}{sign}", bits)
        for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64))
        for sign in ("", " unsigned")
    ),
    _integer("tinyint(1)", 8),
    _integer("int(5) zerofill", 32),
    _integer("bigint zerofill", 64),
    _decimal("decimal(12,4)", 12, 4),
    _decimal("decimal(5,5)", 5, 5),
    _decimal("decimal(38,0)", 38, 0),
    _decimal("decimal(38,38)", 38, 38),
    _decimal("decimal(8,2) unsigned", 8, 2, unsigned=True),
    _decimal("decimal(8,2) zerofill", 8, 2, unsigned=True),
    _decimal("decimal(39,2)", 39, 2),
    _decimal("decimal(65,30)", 65, 30),
    _floats("float", 32, nasty=("1.4e-45", "1.1754942e-38", "1.1754944e-38", "3.4028234e38", "0.3333333432674408e0")),
    _floats("double", 64, nasty=("5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "9007199254740993e0",
                                 "0.30000000000000004e0", "5.684341886080801e-14")),
    MySQLType("double(10,2)", Kind.FLOAT64, st.floats(-1e7, 1e7).map(lambda v: f"{v:.2f}e0"), ("0.1e0", "1.25e0")),
    MySQLType("float(7,3)", Kind.FLOAT32, st.floats(-9e3, 9e3).map(lambda v: f"{v:.3f}e0"), ("0.1e0", "0.001e0")),
    MySQLType("bit(1)", Kind.BOOLEAN, st.sampled_from(("0", "1")), ("0", "1")),
    MySQLType("bit(8)", Kind.INTEGER, st.integers(0, 255).map(str), ("0", "48", "255")),
    MySQLType("bit(40)", Kind.INTEGER, st.integers(0, 2**40 - 1).map(str), ("0", str(2**40 - 1))),
    MySQLType("bit(64)", Kind.DECIMAL, st.integers(0, 2**64 - 1).map(str), ("0", str(2**64 - 1))),
    MySQLType("year", Kind.INTEGER, st.integers(1901, 2155).map(str), ("0", "1901", "2155")),
    MySQLType("date", Kind.DATE, st.dates().map(lambda day: quoted(day.isoformat())), _DATES),
    MySQLType("datetime", Kind.TIMESTAMP, _moments(0, 1, 9999),
              (*_DATES, "'2024-02-29 10:20:30'", "'2024-01-01 00:00:10'")),
    MySQLType("datetime(3)", Kind.TIMESTAMP, _moments(3, 1, 9999),
              ("'2024-02-29 10:20:30.100'", "'2024-02-29 10:00:00'")),
    MySQLType("datetime(6)", Kind.TIMESTAMP, _moments(6, 1, 9999),
              ("'2024-02-29 23:59:59.999999'", "'2024-02-29 00:00:00.000001'", "'2024-02-29 00:00:00.1'", *_DATES)),
    MySQLType("timestamp null", Kind.TIMESTAMPTZ, _moments(0, 1971, 2037),
              ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-03-31 02:30:00'", "'2024-10-27 02:30:00'")),
    MySQLType("timestamp(6) null", Kind.TIMESTAMPTZ, _moments(6, 1971, 2037),
              ("'1970-01-01 00:00:01.000000'", "'2038-01-19 03:14:07.999999'", "'2024-03-31 02:30:00.500000'")),
    _exact("time", _times(0), ("'00:00:00'", "'838:59:59'", "'-838:59:59'", "'24:00:00'", "'-00:00:01'")),
    _exact("time(6)", _times(6), ("'838:59:59.000000'", "'-838:59:59.999999'", "'-00:00:00.000001'", "'12:00:00.1'")),
    _text("char(5)", 5),
    _text("varchar(20)", 20),
    _text("varchar(20) collate utf8mb4_bin", 20),
    _text("varchar(20) character set latin1", 20, characters=_LATIN1),
    _text("varchar(20) character set latin2", 20, characters=_LATIN2),
    _text("char(4) character set ascii", 4, characters="".join(map(chr, range(1, 127)))),
    _text("varchar(20) character set utf8mb3", 20, characters="aäßé日本 ~\t"),
    _text("varchar(20) character set utf16", 20),
    _text("varchar(20) character set koi8r", 20, characters="абвЯЁ ~"),
    _text("varchar(20) character set sjis", 20, characters="日本語アｱ~a"),
    _text("tinytext", 50, is_key=False),
    _text("text", 10_000, is_key=False),
    _text("mediumtext character set latin1", 300, characters=_LATIN1, is_key=False),
    _text("longtext", 10_000, is_key=False),
    _binary("binary(4)", 4),
    _binary("varbinary(20)", 20),
    _binary("tinyblob", 50, is_key=False),
    _binary("blob", 300, is_key=False),
    _binary("longblob", 300, is_key=False),
    _exact(f"enum({', '.join(map(quoted, _MOODS))})", st.sampled_from(_MOODS).map(quoted), tuple(map(quoted, _MOODS))),
    _exact(f"set({', '.join(map(quoted, _FLAGS))})",
           st.lists(st.sampled_from(_FLAGS), unique=True).map(lambda flags: quoted(",".join(flags))),
           ("''", "'a'", quoted(",".join(_FLAGS)))),
    MySQLType("json", Kind.TEXT, lit.json_texts().map(quoted), tuple(map(quoted, _JSON)), is_key=False),
    _exact("uuid", st.uuids(version=4).map(lambda value: quoted(str(value))),
           ("'00000000-0000-0000-0000-000000000000'",)),
    _exact("inet4", st.ip_addresses(v=4).map(lambda value: quoted(str(value))), ("'0.0.0.0'", "'255.255.255.255'")),
    _exact("inet6", st.ip_addresses(v=6).map(lambda value: quoted(str(value))), ("'::'", "'::ffff:1.2.3.4'")),
    MySQLType("point", Kind.BINARY, st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)).map(
        lambda p: f"ST_GeomFromText('POINT({p[0]!r} {p[1]!r})', 4326)"), ("POINT(0, 0)", "POINT(1, -1)"), is_key=False),
    MySQLType("geometry", Kind.BINARY, st.sampled_from((
        "ST_GeomFromText('LINESTRING(0 0,1 1)')", "ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))', 25832)")),
        ("ST_GeomFromText('MULTIPOINT(1 1,2 2)')", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')"), is_key=False),
)  # fmt: skip
