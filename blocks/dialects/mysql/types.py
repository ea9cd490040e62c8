"""The column plan of MariaDB and MySQL: for each type what is read, what is stored, and the text that stands for it.

What has an exact counterpart in Parquet is kept natively, the rest as the server's own text. Some readings need care:

- `float` and `double` print rounded; their bits come out of a point's well-known binary form, which both sides of
  the proof compare. `float` is rounded from those of the double that it is.
- `time` goes from -838 to 838 hours, which no time of day in Parquet can hold: always the server's text.
- `timestamp` and `datetime` print all digits of their precision; the canonical text ends with the last that counts.
- Numbers with `zerofill`, and years, are cast, so that no zeros stand before them.
- Dates that are none (`0000-00-00`, `2024-00-10`) are refused where they are read, unless the column is kept as text.
"""

import re
from dataclasses import dataclass

from schemas.column_plan import NULL_FIELD, Column, Kind
from schemas.errors import ConfigError

MAX_DECIMAL_DIGITS = 38
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_CHARACTERS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_OCTETS = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
GEOMETRIES = frozenset(
    {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
     "geometrycollection", "geomcollection"}
)  # fmt: skip
# Printed without loss, and read back as what was printed.
_PRINTED = frozenset({"enum", "set", "time", "json", "uuid", "inet4", "inet6"})
_UNICODE = frozenset({"utf8", "utf8mb3", "utf8mb4"})
# All that these hold is in Unicode, and back.
LOSSLESS_CHARSETS = _UNICODE | {"ascii", "latin1", "ucs2", "utf16", "utf16le", "utf32"}
_SMALLEST_NORMAL_FLOAT = "1.1754943508222875e-38"


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What the catalog says of a column's type.

    Attributes:
        base: `DATA_TYPE`: `int`, `varchar`.
        full: `COLUMN_TYPE`: `int(10) unsigned zerofill`, `enum('a','b')`.
        precision: Digits of a decimal, or bits of a bit.
        scale: Digits after a decimal's point.
        charset: Of text, or "".
    """

    base: str
    full: str
    precision: int = 0
    scale: int = 0
    charset: str = ""


def plan_column(
    name: str, info: TypeInfo, *, nullable: bool, generated: bool = False, derived: str | None = None
) -> Column:
    """Return how a column of this type is stored.

    Raises:
        ConfigError: Nobody has said how this type is kept exactly.
    """
    kind, bits, digits, scale = _stored(name, info)
    return Column(
        name=name,
        source_type=_full_name(info),
        base_type=info.base,
        kind=kind,
        bits=bits,
        precision=digits,
        scale=scale,
        nullable=nullable,
        exact_text=kind is Kind.TEXT and info.base not in _CHARACTERS,
        derived=derived,
        generated=generated,
    )


def as_text(column: Column) -> Column:
    """Return the column as one that is stored as the server's own text.

    Raises:
        ConfigError: Its values are no text.
    """
    if column.kind is Kind.BINARY:
        raise ConfigError(
            f"{column.name} is of type {column.source_type}, which has no text that stands for its values.",
            next_step="Leave it out of columns.as_text: it is kept as it is, octet by octet.",
        )
    if column.kind is Kind.TEXT:
        return column
    return column.model_copy(
        update={"kind": Kind.TEXT, "bits": 64, "precision": None, "scale": None, "exact_text": True}
    )


def _stored(name: str, info: TypeInfo) -> tuple[Kind, int, int | None, int | None]:
    """Return kind, bits, precision and scale."""
    base, unsigned = info.base, "unsigned" in info.full
    if base in _INTEGER_BITS:
        return _integer(_INTEGER_BITS[base], unsigned=unsigned)
    if base == "bit":
        return (Kind.BOOLEAN, 64, None, None) if info.precision == 1 else _integer(info.precision, unsigned=True)
    if base == "decimal":
        if info.precision <= MAX_DECIMAL_DIGITS:
            return Kind.DECIMAL, 64, info.precision, info.scale
        return Kind.TEXT, 64, None, None
    simple = {
        "year": (Kind.INTEGER, 16), "float": (Kind.FLOAT32, 64), "double": (Kind.FLOAT64, 64),
        "date": (Kind.DATE, 64), "datetime": (Kind.TIMESTAMP, 64), "timestamp": (Kind.TIMESTAMPTZ, 64),
    }  # fmt: skip
    if base in simple:
        return *simple[base], None, None
    if base in _CHARACTERS or base in _PRINTED:
        return Kind.TEXT, 64, None, None
    if base in _OCTETS or base in GEOMETRIES:
        return Kind.BINARY, 64, None, None
    raise ConfigError(
        f"The column {name} is of type {info.full}, of which Tidegate does not know how it is kept exactly.",
        next_step="Leave it out (columns.exclude), and keep what you need of it as a derived column (columns.derive).",
    )


def _integer(bits: int, *, unsigned: bool) -> tuple[Kind, int, int | None, int | None]:
    needed = bits + 1 if unsigned else bits
    if needed > 64:
        return Kind.DECIMAL, 64, 20, 0
    return Kind.INTEGER, next(width for width in (16, 32, 64) if needed <= width), None, None


def _full_name(info: TypeInfo) -> str:
    """Return the type as a declaration that does not depend on the server's version."""
    full = info.full
    if info.base in _INTEGER_BITS or info.base == "year":
        full = re.sub(r"\(\d+\)", "", full, count=1)  # how wide it is shown; MySQL 8 no longer says
    if info.charset and info.charset not in _UNICODE:
        full = f"{full} character set {info.charset}"
    return full


def charset_of(column: Column) -> str:
    """Return the character set of a text column, or "" if it is one of UTF-8."""
    found = re.search(r" character set (\w+)$", column.source_type)
    return found.group(1) if found else ""


def text_of(column: Column, reference: str) -> str:
    """Return the SQL of the text, in UTF-8, of a column that is stored as text."""
    if column.base_type in _CHARACTERS or column.base_type in {"enum", "set"}:
        return f"CONVERT({reference} USING utf8mb4)" if charset_of(column) else reference
    if column.base_type in {"float", "double"}:
        return f"CAST(({reference}) + 0e0 AS CHAR)"  # all digits, also of a float and of double(10,2)
    return f"CAST({_plain_number(column, reference)} AS CHAR)"


def read_expression(column: Column, reference: str) -> str:
    """Return the SQL of what is fetched for a column."""
    match column.kind:
        case Kind.INTEGER | Kind.DECIMAL | Kind.BOOLEAN:
            return _plain_number(column, reference)
        case Kind.FLOAT32 | Kind.FLOAT64:
            return _double_octets(reference)
        case Kind.TEXT:
            return text_of(column, reference)
        case _:
            return reference


def field_expression(column: Column, reference: str) -> str:
    """Return the SQL of the column's field in the row's canonical text (`schemas.column_plan`)."""
    match column.kind:
        case Kind.BOOLEAN:
            text = f"IF({reference}, 't', IF({reference} IS NULL, NULL, 'f'))"
        case Kind.FLOAT32:
            text = f"LOWER(LPAD(HEX({_float_bits(reference)}), 8, '0'))"
        case Kind.FLOAT64:
            text = f"LOWER(HEX(REVERSE({_double_octets(reference)})))"
        case Kind.DATE:
            text = f"CAST({reference} AS CHAR)"
        case Kind.TIMESTAMP:
            text = _moment(column, reference)
        case Kind.TIMESTAMPTZ:
            text = f"CONCAT({_moment(column, reference)}, '+00')"
        case Kind.BINARY:
            text = f"MD5({reference})"
        case Kind.TEXT:
            value = text_of(column, reference)
            text = f"CONCAT(LENGTH({value}), ':', {value})"
        case _:
            text = _plain_number(column, reference)
    return f"IFNULL({text}, '{NULL_FIELD}')"


def digest_expression(columns: tuple[Column, ...], references: list[str]) -> str:
    """Return the SQL of the first 16 hex digits of the MD5 of a row's canonical text.

    It is NULL for a row whose text is longer than the server's `max_allowed_packet`.
    """
    texts = [field_expression(c, r) for c, r in zip(columns, references, strict=True)]
    return f"LEFT(MD5(CONCAT_WS(',', {', '.join(texts)})), 16)"


def comes_back(column: Column, reference: str) -> str | None:
    """Return the SQL that tells whether text survives its way to UTF-8 and back; None where it always does.

    Some character sets write one letter in two ways, and some bytes of others are no letter at all.
    """
    charset = charset_of(column)
    if column.kind is not Kind.TEXT or not charset or charset in LOSSLESS_CHARSETS:
        return None
    there_and_back = f"CONVERT(CONVERT({reference} USING utf8mb4) USING {charset})"
    return f"IFNULL(CAST({there_and_back} AS BINARY) = CAST({reference} AS BINARY), 1)"


def _plain_number(column: Column, reference: str) -> str:
    """Return the SQL of a number that prints as digits, without zeros before them."""
    if column.base_type == "bit" or column.base_type == "year":
        return f"CAST({reference} AS UNSIGNED)"
    if "zerofill" not in column.source_type:
        return reference
    if column.base_type == "decimal":
        digits = re.search(r"\((\d+)(?:,(\d+))?\)", column.source_type)
        assert digits is not None
        return f"CAST({reference} AS DECIMAL({digits.group(1)},{digits.group(2) or 0}))"
    return f"CAST({reference} AS UNSIGNED)"  # zerofill is always unsigned


def _moment(column: Column, reference: str) -> str:
    """Return the SQL of a moment's text without the zeros at the end of its fraction."""
    text = f"CAST({reference} AS CHAR)"
    if not re.search(r"\([1-6]\)", column.source_type):
        return text
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"


def _double_octets(reference: str) -> str:
    """Return the SQL of the eight octets of a double, little-endian: they follow the five of a point's header."""
    return f"SUBSTR(ST_AsWKB(POINT({reference}, 0)), 6, 8)"


def _float_bits(reference: str) -> str:
    """Return the SQL of the 32 bits of a float, as a number, made from the double of the same value."""
    magnitude = f"ABS({reference})"
    bits = f"CONV(HEX(REVERSE({_double_octets(magnitude)})), 16, 10)"
    # Its exponent counts from 127, not from 1023, and its fraction has 29 bits less.
    normal = f"({bits} >> 29) - {(1023 - 127) << 23}"
    tiny = f"CAST({magnitude} * POW(2, 149) AS UNSIGNED)"
    negative = f"ORD(SUBSTR({_double_octets(reference)}, 8, 1)) >= 128"
    return (
        f"IF({reference} = 0, 0, IF({magnitude} < {_SMALLEST_NORMAL_FLOAT}, {tiny}, {normal}))"
        f" + IF({negative}, {1 << 31}, 0)"
    )
