"""The types of PostgreSQL that a table may have, each with random and with hand-picked nasty values."""

from dataclasses import dataclass

import pg_literals as lit
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from schemas.column_plan import Kind

# What the types below need to exist.
SETUP = (
    "CREATE EXTENSION citext",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE EXTENSION isn",
    'CREATE SCHEMA "Odd Schema"',
    """CREATE TYPE "Odd Schema"."Mood;" AS ENUM ('sad', 'O''Brien', 'two words', 'ünï😀', 'NULL', 'a,b', '~', 'x"y')""",
    "CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > -1000000)",
    "CREATE DOMAIN label AS text CHECK (VALUE <> 'forbidden')",
    "CREATE DOMAIN code AS char(5)",
    "CREATE DOMAIN moment AS timestamptz(3)",
    "CREATE DOMAIN discount AS price CHECK (VALUE < 1000000)",
    "CREATE DOMAIN prices AS price[]",
    'CREATE TYPE "Odd Schema".item AS (n integer, "what ever" text, price numeric, padded char(4), at timestamptz)',
)

_MOODS = ("sad", "O'Brien", "two words", "ünï😀", "NULL", "a,b", "~", 'x"y')


@dataclass(frozen=True, slots=True)
class PgType:
    """A type as a column is declared with it.

    Attributes:
        sql: The declaration.
        kind: How it should be stored.
        values: Literals that its input function reads.
        nasty: Literals picked by hand; some spell the same value in two ways.
        exact_text: Whether the plan should say that the stored text stands for a type that Parquet lacks.
        is_key: Whether it has a btree operator class: it can be sorted, compared, and be a primary key.
    """

    sql: str
    kind: Kind
    values: lit.Literals
    nasty: tuple[str, ...] = ()
    exact_text: bool = False
    is_key: bool = True

    def __str__(self) -> str:
        return self.sql

    def random(self, least: int, most: int) -> SearchStrategy[list[str]]:
        """Values that are not all alike, as the first ones are that Hypothesis comes up with."""
        return st.lists(self.values, min_size=least, max_size=most).filter(lambda values: len(set(values)) > 1)


def _text(sql: str, values: lit.Literals, nasty: tuple[str, ...] = ()) -> PgType:
    return PgType(sql, Kind.TEXT, values, nasty)


def _exact(sql: str, values: lit.Literals, nasty: tuple[str, ...] = (), *, is_key: bool = True) -> PgType:
    return PgType(sql, Kind.TEXT, values, nasty, exact_text=True, is_key=is_key)


_FLOATS = ("0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "1e15", "1e16", "123456789.123", "1e-7", "0.0001")
_TIMES = ("00:00:00", "24:00:00", "23:59:59.999999", "00:00:00.000001", "12:00:00.1", "23:59:60")
_DATES = ("infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "0044-03-15 BC", "0004-02-29",
          "1582-10-10", "1900-02-28", "1969-12-31", "1970-01-01", "1999-12-31", "2000-01-01", "9999-12-31",
          "10000-01-01")  # fmt: skip
_MOMENTS = (*_DATES, "294246-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999", "2000-01-01 00:00:00.000001",
            "0001-12-31 23:59:59.5 BC", "2024-02-29 24:00:00", "1883-11-18 12:03:57.123")  # fmt: skip
_ZONED = (*_MOMENTS, "2024-03-31 01:30:00+05:45", "0001-01-01 00:00:00+14", "0001-12-31 23:00:00-12 BC")
_CLOCK = lit.times()

TYPES = (
    PgType("smallint", Kind.INTEGER, lit.integers(16), ("-32768", "32767", "0", "-0", "+7")),
    PgType("integer", Kind.INTEGER, lit.integers(32), ("-2147483648", "2147483647", "0")),
    PgType("bigint", Kind.INTEGER, lit.integers(64), ("-9223372036854775808", "9223372036854775807", "0")),
    PgType("numeric(12,4)", Kind.DECIMAL, lit.numbers(12, 4), ("0", "-0.0001", "0.1", "99999999.9999", "1e3")),
    PgType("numeric(38,0)", Kind.DECIMAL, lit.numbers(38, 0), ("0", "9" * 38, "-" + "9" * 38)),
    PgType("numeric(38,38)", Kind.DECIMAL, lit.numbers(38, 38), ("0", "0." + "9" * 38, "-0." + "0" * 37 + "1")),
    PgType("numeric(5,5)", Kind.DECIMAL, lit.numbers(5, 5), ("0", "0.99999", "-0.00001")),
    PgType("numeric(1)", Kind.DECIMAL, lit.numbers(1, 0), ("0", "-9", "9")),
    _exact("numeric(39,2)", lit.numbers(39, 2), ("0", "NaN", "9" * 37 + ".99")),
    _exact("numeric(1000,500)", lit.long_numbers(1000, 500), ("0", "NaN", "9" * 500 + "." + "9" * 500)),
    _exact("numeric(3,-2)", lit.numbers(3, -2), ("0", "NaN", "-99900", "149")),
    _exact("numeric(3,5)", lit.numbers(3, 5), ("0", "0.00999", "-0.00001")),
    _exact("numeric", lit.any_numbers(), ("NaN", "Infinity", "-Infinity", "0", "0.00", "-0", "1.10", "1e300")),
    PgType("real", Kind.FLOAT32, lit.floats(32), (*_FLOATS, "1e-45", "1.1754942e-38", "3.4028235e38", "16777217")),
    PgType("double precision", Kind.FLOAT64, lit.floats(64),
           (*_FLOATS, "5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "9007199254740993")),
    _exact("money", lit.cents(), ("0", "-0.01", "-92233720368547758.08", "92233720368547758.07")),
    PgType("boolean", Kind.BOOLEAN, st.sampled_from(("true", "false")), ("true", "false")),
    _text("char(5)", lit.text(5), lit.nasty_text(5)),
    _text("char", lit.text(1), ("", " ", "😀", "~")),
    _text("bpchar", lit.text(), lit.NASTY_TEXT),
    _text("varchar(20)", lit.text(20), lit.nasty_text(20)),
    _text("varchar", lit.text(), lit.NASTY_TEXT),
    _text("text", lit.text(60), lit.NASTY_TEXT),
    _text('text COLLATE "C"', lit.text(40), lit.nasty_text(100)),
    _text("name", lit.text(15), lit.nasty_text(15)),
    _exact('"char"', st.characters(max_codepoint=126, min_codepoint=1).filter(lambda c: c != "\\"),
           ("", "~", ",", " ", "\\377", "\\200")),
    _exact("citext", lit.text(), lit.nasty_text(100)),
    PgType("bytea", Kind.BINARY, st.binary(max_size=40).map(lambda value: "\\x" + value.hex()),
           ("\\x", "\\x00", "\\x000000", "\\xff", "\\x" + "5c27220a" * 999, "\\x7e", "\\x4e554c4c")),
    PgType("date", Kind.DATE, lit.dates(5_874_897), (*_DATES, "5874897-12-31", "4714-11-24 BC")),
    PgType("time", Kind.TIME, _CLOCK, _TIMES),
    PgType("time(2)", Kind.TIME, _CLOCK, _TIMES),
    _exact("timetz", lit.times(zones=True), ("24:00:00+00", "00:00:00+15:59:59", "23:59:59.999999-15:59:59")),
    PgType("timestamp", Kind.TIMESTAMP, lit.dates(294_246, _CLOCK), _MOMENTS),
    PgType("timestamp(0)", Kind.TIMESTAMP, lit.dates(294_245, _CLOCK), _MOMENTS[:-7]),
    PgType("timestamptz", Kind.TIMESTAMPTZ, lit.dates(294_245, lit.times(zones=True)), _ZONED),
    PgType("timestamptz(3)", Kind.TIMESTAMPTZ, lit.dates(294_245, _CLOCK), _DATES),
    _exact("interval", lit.intervals(),
           ("0", "1 mon -1 day 00:00:00.000001", "-1 mon +1 day -00:00:00.000001", "30 days", "1 mon", "24 hours",
            "1 day", "-178000000 years", "infinity", "-infinity", "2562047788:00:54.775807",
            "1 year 2 mons 3 days 04:05:06.7")),
    _exact("interval year to month", st.integers(-(10**6), 10**6).map(lambda n: f"{n} mons"), ("1 year -3 mons",)),
    _exact("interval second(3)", lit.intervals(), ("0.0009 seconds",)),
    _exact("uuid", st.uuids().map(str), ("00000000-0000-0000-0000-000000000000", "F" * 32)),
    _exact("json", lit.json_texts(),
           ("1.10", "1.1", ' {"b" : 1.10 } ', '{"a":1,"a":2}', '"\\u00e9"', '"é"', "null", "[1e400]", '"\\u0000"'),
           is_key=False),
    _exact("jsonb", lit.json_texts(), ("1.10", "1.1", '{"a":1,"a":2}', "null", '"~"', "1" + "0" * 400, '"\\\\N"')),
    _exact("jsonpath", st.sampled_from(("$.a[*] ? (@ > 1)", 'lax $."b c"', "strict $")), ("$[*]",), is_key=False),
    _exact('"Odd Schema"."Mood;"', st.sampled_from(_MOODS), _MOODS),
    PgType("price", Kind.DECIMAL, lit.numbers(7, 2), ("0", "1e6")),
    PgType("discount", Kind.DECIMAL, lit.numbers(7, 2), ("0", "0.01")),
    _text("label", lit.text(20), lit.nasty_text(100)),
    _text("code", lit.text(5), lit.nasty_text(5)),
    PgType("moment", Kind.TIMESTAMPTZ, lit.dates(294_245, _CLOCK), _DATES),
    _exact("prices", lit.arrays(lit.numbers(7, 2)), ("{}", "{NULL}", "{1.10}")),
    _exact("integer[]", lit.arrays(lit.integers(32)), ("{}", "{NULL}", "{{1,2},{3,NULL}}", "[0:1]={1,2}", "{{{{1}}}}")),
    _exact("text[]", lit.arrays(lit.text(8)),
           ("{}", '{""}', '{"NULL",NULL}', '{"a,b","c\\"d","\\\\"}', '[-1:0]={" x ",~}', '{"{}","\n"}')),
    _exact("char(3)[]", lit.arrays(lit.text(3)), ('{"a  ","",NULL}',)),
    _exact("numeric[]", lit.arrays(lit.any_numbers()), ("{NaN,Infinity,1.10}", "{{1.0},{NULL}}")),
    _exact("double precision[]", lit.arrays(lit.floats(64)),
           ("{NaN,-0,5e-324}", "{0.30000000000000004,1e15,123456.789012345678}")),
    _exact("timestamptz[]", lit.arrays(lit.dates(294_245, lit.times(zones=True))),
           ('{infinity,"0044-03-15 BC",NULL}',)),
    _exact("bytea[]", lit.arrays(st.binary(max_size=5).map(lambda value: "\\x" + value.hex())), ('{"\\\\x00"}',)),
    _exact('"Odd Schema"."Mood;"[]', lit.arrays(st.sampled_from(_MOODS)), ('{sad,NULL,"NULL"}',)),
    _exact('"Odd Schema".item', st.builds(
        lambda n, what, price, padded: f"({n},{lit.quoted(what)},{price},{lit.quoted(padded)},)",
        lit.integers(32), lit.text(8), lit.any_numbers(), lit.text(4)),
        ("(,,,,)", '(1,"",NaN,,"2024-01-01 00:00+02")', '(1,"a ""b"", c",1.10,"x  ",infinity)', "(,NULL,,,)")),
    _exact("int4range", lit.ranges(lit.ordered_integers()), ("empty", "(,)", "[1,1]", "[1,2)", "(,5]")),
    _exact("numrange", lit.ranges(lit.ordered_integers()), ("[1.10,2.0]", "[NaN,NaN]", "(-Infinity,Infinity)")),
    _exact("tstzrange", lit.ranges(lit.ordered_moments()), ("[infinity,infinity]", "[0044-03-15 BC,)")),
    _exact("daterange", lit.ranges(st.sampled_from((("2024-01-01", "5874897-12-30"), ("0044-03-15 BC", "1970-01-01")))),
           ("[-infinity,infinity]",)),
    _exact("int4multirange", lit.multiranges(lit.ranges(lit.ordered_integers())), ("{}", "{[1,3),[5,9)}", "{(,)}")),
    _exact("tstzmultirange", lit.multiranges(lit.ranges(lit.ordered_moments())), ("{}",)),
    _exact("inet", st.ip_addresses().map(str), ("10.1.2.3/8", "10.1.2.3/32", "::1/128", "::ffff:1.2.3.4", "0.0.0.0/0")),
    _exact("cidr", st.ip_addresses().map(str), ("10.0.0.0/8", "10.1.2.3", "::/0", "2001:db8::/32")),
    _exact("macaddr", lit.hexadecimal(6), ("00:00:00:00:00:00", "0800.2b01.0203")),
    _exact("macaddr8", lit.hexadecimal(8), ("08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff:ff:ff")),
    _exact("bit(8)", lit.bits(8, 8), ("00000000", "11111111")),
    _exact("bit", lit.bits(1, 1), ("0", "1")),
    _exact("bit varying(20)", lit.bits(0, 20), ("", "0", "00", "0" * 20)),
    _exact("bit varying", lit.bits(0, 70), ("", "1" * 1000)),
    _exact("tsvector", lit.lexemes(), ("", "'a':1A,2B 'b c'", "'it''s'", "'\\\\'")),
    _exact("tsquery", st.sampled_from(("a & b", "!a | (b <-> c)", "a:*AB", "'x y' <3> z")), ("", "'it''s'")),
    _exact("hstore", lit.text(8).map(lambda value: f"{lit.quoted(value)}=>{lit.quoted(value)}"),
           ("", "a=>NULL", 'a=>"NULL"', '"a b"=>"c,d", e=>"=>"')),
    _exact("ltree", st.text("abc", min_size=1, max_size=5), ("", "Top.Science.Astronomy")),
    _exact("isbn", st.sampled_from(("0-306-40615-2", "979-10-90636-07-1")), ("0-306-40615-2",)),
    _exact("point", lit.points(1), ("(0,-0)", "(NaN,Infinity)", "(1e-300,0.30000000000000004)"), is_key=False),
    _exact("box", lit.points(2), ("(0,0),(1,1)", "(1,0),(0,1)"), is_key=False),
    _exact("lseg", lit.points(2), ("[(0,0),(1,1)]",), is_key=False),
    _exact("path", lit.points(3), ("[(0,0),(1,1)]", "((0,0),(1,1))"), is_key=False),
    _exact("polygon", lit.points(4), ("((0,0),(0,1),(0.1,1))",), is_key=False),
    _exact("circle", st.sampled_from(("<(0.1,0.2),3>", "<(1,-1),0.5>")), ("<(0,0),0>",), is_key=False),
    _exact("line", st.sampled_from(("{1,2,3}", "{0,1,-0.5}")), ("{0.1,-0.2,0}",), is_key=False),
    _exact("pg_lsn", st.integers(0, 2**64 - 1).map(lambda n: f"{n >> 32:X}/{n & 0xFFFFFFFF:X}"), ("0/0",)),
    PgType("oid", Kind.INTEGER, st.integers(0, 2**32 - 1).map(str), ("0", "4294967295")),
    PgType("regclass", Kind.INTEGER, st.integers(0, 2**32 - 1).map(str), ("pg_class", "-", "1259", "4294967295")),
    PgType("regtype", Kind.INTEGER, st.sampled_from(("integer", "text[]", "citext", "4000000000")), ("citext",)),
    _exact("xid8", st.integers(0, 2**64 - 1).map(str), ("0", "18446744073709551615")),
    _exact("xid", st.integers(0, 2**32 - 1).map(str), ("0",), is_key=False),
    _exact("tid", st.integers(0, 65_535).map(lambda n: f"({n * 65_537},{n})")),
    _exact("pg_snapshot", st.sampled_from(("10:20:10,14,15", "1:1:")), ("1:1:",), is_key=False),
)  # fmt: skip
