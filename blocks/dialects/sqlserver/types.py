"""The column plan of SQL Server: for each type what is read, what is stored, and the text that stands for it.

Not verified against a server. Digests are over UTF-8, which takes the UTF-8 collations of SQL Server 2019. Text is
converted to one of them; `datetime2(7)` is stored with six digits, and a value that needs the seventh is refused;
`datetimeoffset` is kept as text, as its offset is a part of the value.
"""

from dataclasses import dataclass

from schemas.column_plan import NULL_FIELD, Column, Kind
from schemas.errors import ConfigError

UTF8 = "Latin1_General_100_BIN2_UTF8"
MAX_JOINED = 100  # fields of one CONCAT, which takes 254 arguments
_COMMA = ", ',', "
_INTEGER_BITS = {"tinyint": 16, "smallint": 16, "int": 32, "bigint": 64}
_MONEY_DIGITS = {"money": 19, "smallmoney": 10}
_SIMPLE = {
    "bit": Kind.BOOLEAN, "float": Kind.FLOAT64, "real": Kind.FLOAT32, "date": Kind.DATE, "datetime": Kind.TIMESTAMP,
    "smalldatetime": Kind.TIMESTAMP, "datetime2": Kind.TIMESTAMP, "binary": Kind.BINARY, "varbinary": Kind.BINARY,
    "image": Kind.BINARY, "timestamp": Kind.BINARY,
}  # fmt: skip
_CHARACTERS = frozenset({"char", "varchar", "nchar", "nvarchar", "text", "ntext", "sysname"})
# Kept as the text that the server prints and reads back.
_PRINTED = {
    "datetimeoffset": "CONVERT(varchar(34), {}, 121)",
    "time": "CONVERT(varchar(16), {}, 121)",
    "uniqueidentifier": "LOWER(CONVERT(char(36), {}))",
    "xml": "CAST({} AS nvarchar(max))",
    "hierarchyid": "{}.ToString()",
}


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What the catalog says of a column's type.

    Attributes:
        name: Its name as declared, which may be an alias: `dbo.Price`.
        base: The system type beneath it: `decimal`.
        length: In bytes; -1 for `max`.
        precision: Digits of a number.
        scale: Digits after its point, or of a second's fraction.
    """

    name: str
    base: str
    length: int = 0
    precision: int = 0
    scale: int = 0


def plan_column(
    name: str, info: TypeInfo, *, nullable: bool, generated: bool = False, derived: str | None = None
) -> Column:
    """Return how a column of this type is stored.

    Raises:
        ConfigError: Nobody has said how this type is kept exactly.
    """
    kind, bits, precision, scale = _stored(name, info)
    return Column(
        name=name,
        source_type=full_name(info),
        base_type=info.base,
        kind=kind,
        bits=bits,
        precision=precision,
        scale=scale,
        nullable=nullable,
        exact_text=info.base in _PRINTED,
        generated=generated or info.base == "timestamp",  # a rowversion: the server writes it
        derived=derived,
    )


def _stored(name: str, info: TypeInfo) -> tuple[Kind, int, int | None, int | None]:
    if info.base in _INTEGER_BITS:
        return Kind.INTEGER, _INTEGER_BITS[info.base], None, None
    if info.base in _MONEY_DIGITS:
        return Kind.DECIMAL, 64, _MONEY_DIGITS[info.base], 4
    if info.base in {"decimal", "numeric"}:
        return Kind.DECIMAL, 64, info.precision, info.scale
    if info.base in _SIMPLE:
        return _SIMPLE[info.base], 64, None, None
    if info.base in _CHARACTERS or info.base in _PRINTED:
        return Kind.TEXT, 64, None, None
    raise ConfigError(
        f"Column {name} is of type {info.name}, of which nobody has said how it is kept exactly.",
        next_step="Leave it out (columns.exclude), or derive a text from it under another name (columns.derive).",
    )


def full_name(info: TypeInfo) -> str:
    """Return the type's name with its digits or its length, as it is declared."""
    if info.name != info.base:
        return info.name
    if info.base in {"decimal", "numeric"}:
        return f"{info.base}({info.precision},{info.scale})"
    if info.base in {"datetime2", "datetimeoffset", "time"}:
        return f"{info.base}({info.scale})"
    if info.base in {"char", "varchar", "binary", "varbinary", "nchar", "nvarchar"}:
        length = info.length // 2 if info.base.startswith("n") and info.length > 0 else info.length
        return f"{info.base}({'max' if length < 0 else length})"
    return "rowversion" if info.base == "timestamp" else info.base


def read_expression(column: Column, value: str) -> str:
    """Return the SQL of what is fetched: numbers, bits and bytes as they are, all else as text."""
    match column.kind:
        case Kind.DECIMAL:
            return f"CONVERT(varchar(41), CAST({value} AS decimal({column.precision},{column.scale})))"
        case Kind.DATE:
            return f"CONVERT(char(10), {value}, 23)"
        case Kind.TIMESTAMP:
            return moment_text(value)
        case Kind.TEXT if column.base_type in _PRINTED:
            return _PRINTED[column.base_type].format(value)
        case Kind.TEXT:
            return f"CAST({value} AS nvarchar(max))"
        case Kind.BINARY:
            return f"CAST({value} AS varbinary(max))"
        case _:
            return value


def moment_text(value: str) -> str:
    """Return the SQL of a moment's text without the zeros at its end: `2024-01-01 10:00:00.12`."""
    text = f"CONVERT(varchar(33), {value}, 126)"
    # No blank stands in style 126, so that zeros can be blanks for a moment.
    trimmed = f"REPLACE(RTRIM(REPLACE({text}, '0', ' ')), ' ', '0')"
    whole = f"CASE WHEN RIGHT({trimmed}, 1) = '.' THEN LEFT({text}, 19) ELSE {trimmed} END"
    return f"REPLACE(CASE WHEN CHARINDEX('.', {text}) = 0 THEN {text} ELSE {whole} END, 'T', ' ')"


def field_expression(column: Column, value: str) -> str:
    """Return the SQL of the column's field in the row's canonical text (`schemas.column_plan`)."""
    match column.kind:
        case Kind.BOOLEAN:
            text = f"CASE {value} WHEN 1 THEN 't' WHEN 0 THEN 'f' END"
        case Kind.FLOAT32:
            text = _hex(f"CONVERT(binary(4), {value})", 8)
        case Kind.FLOAT64:
            text = _hex(f"CONVERT(binary(8), {value})", 16)
        case Kind.BINARY:
            text = _hex(f"HASHBYTES('MD5', CAST({value} AS varbinary(max)))", 32)
        case Kind.INTEGER:
            text = f"CONVERT(varchar(20), {value})"
        case Kind.TEXT:
            # NULL + text is NULL; CONCAT would make a text of it.
            utf8 = _in_utf8(read_expression(column, value))
            text = f"CONVERT(varchar(20), DATALENGTH({utf8})) + ':' + {utf8}"
        case _:
            text = read_expression(column, value)
    return f"COALESCE({text}, '{NULL_FIELD}')"


def digest_expression(columns: tuple[Column, ...], values: list[str]) -> str:
    """Return the SQL of the first 16 hex digits of the MD5 of a row's canonical text."""
    text = _joined([field_expression(c, v) for c, v in zip(columns, values, strict=True)])
    md5 = f"HASHBYTES('MD5', CAST({text} AS varbinary(max)))"
    return f"LEFT({_hex(md5, 32)}, 16)"


def _joined(fields: list[str]) -> str:
    """Return the SQL that joins fields by commas; the first is made long, or the whole would be cut at 8,000 bytes."""
    parts = [fields[i : i + MAX_JOINED] for i in range(0, len(fields), MAX_JOINED)]
    texts = [f"CONCAT(CAST('' AS varchar(max)), {_COMMA.join(part)})" for part in parts]
    return texts[0] if len(texts) == 1 else _joined(texts)


def _in_utf8(text: str) -> str:
    return f"CAST(({text}) COLLATE {UTF8} AS varchar(max)) COLLATE {UTF8}"


def _hex(value: str, digits: int) -> str:
    return f"LOWER(CONVERT(char({digits}), {value}, 2))"
