"""The column plan of PostgreSQL: for each type what is read, what is stored, and the text that stands for it.

Every type has a text form that it reads back (its input and output functions), so every type can be kept: those
with an exact counterpart in Parquet natively, all others as that text. Three readings need care:

- `numeric` comes as text, because the reader (connectorx) makes decimal(38,10) of every numeric;
- dates and times come in the server's own binary form (`date_send` and its kin, eight bytes), because the reader
  loses `24:00:00` and fails on far dates, and because `infinity` must stay what it is;
- `char(n)` and the types that users made come through their output functions (`concat`), because a cast to text
  drops trailing blanks of the first, and is whatever somebody defined it to be for the others.
"""

from dataclasses import dataclass

from schemas.column_plan import NULL_FIELD, Column, Kind

# pg_catalog type -> kind and, for integers, the bits that are stored. What is not listed is kept as exact text.
NATIVE: dict[str, tuple[Kind, int]] = {
    "int2": (Kind.INTEGER, 16),
    "int4": (Kind.INTEGER, 32),
    "int8": (Kind.INTEGER, 64),
    "oid": (Kind.INTEGER, 64),
    "bool": (Kind.BOOLEAN, 0),
    "float4": (Kind.FLOAT32, 0),
    "float8": (Kind.FLOAT64, 0),
    "numeric": (Kind.DECIMAL, 0),
    "date": (Kind.DATE, 0),
    "time": (Kind.TIME, 0),
    "timestamp": (Kind.TIMESTAMP, 0),
    "timestamptz": (Kind.TIMESTAMPTZ, 0),
    "bytea": (Kind.BINARY, 0),
}
TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "name"})
# Their text depends on what is visible to whom; the number behind it does not.
OBJECT_ADDRESSES = frozenset(
    {"regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc",
     "regprocedure", "regrole", "regtype"}
)  # fmt: skip
MAX_DECIMAL_DIGITS = 38
MAX_JOINED = 98

_SEND = {
    Kind.DATE: "date_send",
    Kind.TIME: "time_send",
    Kind.TIMESTAMP: "timestamp_send",
    Kind.TIMESTAMPTZ: "timestamptz_send",
}


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What the catalog says of a column's type, with domains resolved.

    Attributes:
        full_name: As `format_type` prints it: `numeric(12,4)`, `shop.mood[]`.
        base: Name of the base type in `pg_catalog`, or "" for a type of another schema.
        typmod: The base type's modifier, or -1.
    """

    full_name: str
    base: str
    typmod: int


def plan_column(
    name: str, info: TypeInfo, *, nullable: bool, generated: bool = False, derived: str | None = None
) -> Column:
    """Return how a column of this type is stored."""
    kind, bits = NATIVE.get(info.base, (Kind.TEXT, 0))
    precision = scale = None
    if info.base in OBJECT_ADDRESSES:
        kind, bits = Kind.INTEGER, 64
    if kind is Kind.DECIMAL:
        precision, scale = numeric_digits(info.typmod)
        if precision is None or scale is None or not 0 <= scale <= precision <= MAX_DECIMAL_DIGITS:
            kind, precision, scale = Kind.TEXT, None, None
    return Column(
        name=name,
        source_type=info.full_name,
        base_type=info.base,
        kind=kind,
        bits=bits or 64,
        precision=precision,
        scale=scale,
        nullable=nullable,
        exact_text=kind is Kind.TEXT and info.base not in TEXT_TYPES,
        derived=derived,
        generated=generated,
    )


def as_text(column: Column) -> Column:
    """Return the column as one that is stored as PostgreSQL prints it, which it also reads back."""
    plain = {"bits": 64, "precision": None, "scale": None}
    return column.model_copy(update={"kind": Kind.TEXT, "exact_text": column.base_type not in TEXT_TYPES, **plain})


def numeric_digits(typmod: int) -> tuple[int | None, int | None]:
    """Return precision and scale of a numeric's type modifier; both None when it is unconstrained."""
    if typmod < 0:
        return None, None
    packed = typmod - 4
    return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def value_expression(column: Column, reference: str) -> str:
    """Return the SQL that is evaluated once a row for the column; `read` and `field` build on its result."""
    match column.kind:
        case Kind.DECIMAL:
            return f"{reference}::text"
        case Kind.INTEGER if column.base_type in OBJECT_ADDRESSES or column.base_type == "oid":
            return f"{reference}::oid::bigint"
        case Kind.TEXT if column.base_type in {"bpchar", ""}:
            # A composite value with a NULL in it IS NOT "not NULL"; it is distinct from NULL.
            return f"CASE WHEN {reference} IS DISTINCT FROM NULL THEN concat({reference}) END"
        case Kind.TEXT:
            return f"{reference}::text"
        case _:
            return reference


def read_expression(column: Column, value: str) -> str:
    """Return the SQL of what the reader fetches, over the result of `value_expression`."""
    send = _SEND.get(column.kind)
    return f"{send}({value})" if send else value


def field_expression(column: Column, value: str, *, utf8: bool) -> str:
    """Return the SQL of the column's field in the row's canonical text (`schemas.column_plan`).

    Args:
        column: The column.
        value: Name of the result of `value_expression`.
        utf8: Whether the server stores text as UTF-8; otherwise lengths are taken after conversion.
    """
    match column.kind:
        case Kind.BOOLEAN:
            return f"CASE WHEN {value} IS NULL THEN '{NULL_FIELD}' WHEN {value} THEN 't' ELSE 'f' END"
        case Kind.FLOAT32:
            text = f"encode(float4send({_one_nan(value)}), 'hex')"
        case Kind.FLOAT64:
            text = f"encode(float8send({_one_nan(value)}), 'hex')"
        case Kind.BINARY:
            text = f"md5({value})"
        case Kind.TEXT:
            length = f"octet_length({value})" if utf8 else f"octet_length(convert_to({value}, 'UTF8'))"
            text = f"{length} || ':' || {value}"
        case _:
            text = f"{value}::text"
    return f"coalesce({text}, '{NULL_FIELD}')"


def digest_expression(columns: tuple[Column, ...], values: list[str], *, utf8: bool) -> str:
    """Return the SQL of the MD5 (32 hex digits) of a row's canonical text."""
    text = _joined([field_expression(c, v, utf8=utf8) for c, v in zip(columns, values, strict=True)])
    return f"md5({text})" if utf8 else f"md5(convert_to({text}, 'UTF8'))"


def key_type(column: Column) -> str:
    """Return the type that a key's exchange text is cast to, to be compared with the column."""
    # The cast of text to a regclass looks for a table of that name, also when the text is a number.
    return "oid" if column.base_type in OBJECT_ADDRESSES else column.source_type


def _one_nan(value: str) -> str:
    return f"CASE WHEN {value} = 'NaN' THEN 'NaN' ELSE {value} END"


def _joined(fields: list[str]) -> str:
    """Return the SQL that joins fields by commas: a function takes no more than 100 arguments."""
    parts = [fields[i : i + MAX_JOINED] for i in range(0, len(fields), MAX_JOINED)]
    texts = [f"concat_ws(',', {', '.join(part)})" for part in parts]
    return texts[0] if len(texts) == 1 else _joined(texts)
