"""The column plan: how each column of a source is stored in Parquet, and the text that stands for its value.

The **canonical text** of a row is what both sides digest. It is defined here, by kind, as DuckDB SQL over the
stored value; every dialect must make its database print the same text. A row's text is its columns' fields
joined by commas, where a field is

- `~` for NULL,
- the text itself for kinds that can print neither a comma nor a tilde (numbers, dates, digests),
- `length in bytes`, a colon and the text for `text`, so that no two rows share a text.

The **row digest** is the first 8 bytes of the MD5 of that text, as a little-endian unsigned 64-bit number.
Digests of many rows are combined by their sum modulo 2^64: unlike XOR, it notices a row that comes twice.
"""

from enum import StrEnum

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

DIGEST_BITS = 64
DIGEST_MODULUS = 2**DIGEST_BITS
NULL_FIELD = "~"
# Floats are digested by their bits. There are many NaNs, but databases print and compare them as one.
NAN32, NAN64 = "7fc00000", "7ff8000000000000"


class Kind(StrEnum):
    """What a stored column is, and so how its canonical text is written and how it goes back."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL = "decimal"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    TEXT = "text"
    BINARY = "binary"


PARTITIONABLE = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.DATE, Kind.TEXT})
TIME_KINDS = frozenset({Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})

_INTEGERS: dict[int, pa.DataType] = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_ARROW: dict[Kind, pa.DataType] = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.FLOAT32: pa.float32(),
    Kind.FLOAT64: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.time64("us"),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    Kind.TEXT: pa.string(),
    Kind.BINARY: pa.large_binary(),
}
_DUCKDB = {
    Kind.BOOLEAN: "BOOLEAN",
    Kind.FLOAT32: "FLOAT",
    Kind.FLOAT64: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
    Kind.TEXT: "VARCHAR",
    Kind.BINARY: "BLOB",
}


class Column(BaseModel):
    """One column of an archived table, as a manifest records it.

    Attributes:
        name: Its name in the source and in the lake.
        source_type: The source's full name of its type, such as `numeric(12,4)`.
        base_type: The source's built-in type beneath it (below domains), or "" for a type that users made.
        kind: What is stored.
        bits: Width of an `integer` (16, 32, 64; narrower unsigned ones are stored wider).
        precision: Digits of a `decimal`.
        scale: Digits after the point of a `decimal`.
        nullable: Whether the source allows NULL.
        exact_text: The type has no exact counterpart in Parquet; its text, as the source prints it, is stored.
        text_format: How a source without types for time writes the column's moments, where it has a choice; with it
            they are written back as they were.
        derived: The source expression that computes it; such a column is no column of the table.
        generated: The source computes it from other columns; it is stored and proven, never written back.
        added: Tidegate adds it to rows of the raw layer; it is of no source, so no digest covers it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source_type: str
    base_type: str = ""
    kind: Kind
    bits: int = 64
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True
    exact_text: bool = False
    text_format: str = ""
    derived: str | None = None
    generated: bool = False
    added: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type that is stored in Parquet."""
        if self.kind is Kind.INTEGER:
            return _INTEGERS[self.bits]
        if self.kind is Kind.DECIMAL:
            assert self.precision is not None and self.scale is not None
            return pa.decimal128(self.precision, self.scale)
        return _ARROW[self.kind]

    @property
    def stored_by_choice(self) -> bool:
        """Whether it may be stored otherwise than its type alone says: as text, or as moments."""
        return self.exact_text or bool(self.text_format)

    @property
    def identity(self) -> tuple[object, ...]:
        """What must be equal for two columns' values to be digested alike."""
        return (
            self.name, self.source_type, self.kind, self.bits, self.precision, self.scale, self.exact_text,
            self.text_format, self.derived,
        )  # fmt: skip

    @property
    def quoted(self) -> str:
        """The name as a quoted SQL identifier (the same in DuckDB and in standard SQL)."""
        return quote_identifier(self.name)


def same_plan(columns: tuple[Column, ...], others: tuple[Column, ...]) -> bool:
    """Return whether rows of the two have the same digests: whether nullable or generated does not matter."""
    return [column.identity for column in columns] == [column.identity for column in others]


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted identifier of standard SQL."""
    return '"' + name.replace('"', '""') + '"'


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the Parquet files of a table with these columns, in their order."""
    return pa.schema([pa.field(c.name, c.arrow_type, nullable=True) for c in columns])


def duckdb_type(column: Column) -> str:
    """Return the DuckDB type that a stored column is read as."""
    match column.kind:
        case Kind.INTEGER:
            return {16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}[column.bits]
        case Kind.DECIMAL:
            return f"DECIMAL({column.precision},{column.scale})"
        case _:
            return _DUCKDB[column.kind]


def canonical_text(column: Column) -> str:
    """Return DuckDB SQL for the canonical text of a stored, non-NULL value of the column."""
    name = column.quoted
    match column.kind:
        case Kind.INTEGER | Kind.TIME:
            return f"{name}::VARCHAR"
        case Kind.BOOLEAN:
            return f"CASE WHEN {name} THEN 't' WHEN NOT {name} THEN 'f' END"
        case Kind.FLOAT32:
            return _float_bits(f"{name}::BIT::UINTEGER", 32, infinity=0x7F800000, nan=NAN32)
        case Kind.FLOAT64:
            return _float_bits(f"{name}::BIT::UBIGINT", 64, infinity=0x7FF0000000000000, nan=NAN64)
        case Kind.DECIMAL if column.precision == column.scale:  # DuckDB prints .5 where others print 0.5
            return rf"regexp_replace({name}::VARCHAR, '^(-?)\.', '\10.')"
        case Kind.DECIMAL:
            return f"{name}::VARCHAR"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:  # DuckDB puts BC behind the date, others at the end
            before_christ = f"{name} < {_DUCKDB[column.kind]} '0001-01-01' AND NOT isinf({name})"
            return (
                f"CASE WHEN {before_christ} THEN replace({name}::VARCHAR, ' (BC)', '') || ' BC' "
                f"ELSE {name}::VARCHAR END"
            )
        case Kind.TEXT:
            return name
        case Kind.BINARY:
            return f"md5({name})"


def _float_bits(bits: str, width: int, *, infinity: int, nan: str) -> str:
    # Not isnan(): DuckDB believes Parquet's minimum and maximum, which leave NaN out, and answers false unseen.
    is_nan = f"({bits} & {2 ** (width - 1) - 1}) > {infinity}"
    return f"CASE WHEN {is_nan} THEN '{nan}' ELSE format('{{:0{width // 4}x}}', {bits}) END"


def canonical_field(column: Column) -> str:
    """Return DuckDB SQL for the column's field in the row's canonical text; never NULL."""
    if column.kind is Kind.TEXT:
        field = f"strlen({column.quoted})::VARCHAR || ':' || {column.quoted}"
    else:
        field = canonical_text(column)
    return f"coalesce({field}, '{NULL_FIELD}')"


def row_digest(columns: tuple[Column, ...]) -> str:
    """Return DuckDB SQL (UBIGINT) for the digest of a stored row: of what its source has."""
    return f"md5_number_upper(concat_ws(',', {', '.join(canonical_field(c) for c in columns if not c.added)}))"


def exchange_text(column: Column) -> str:
    r"""Return DuckDB SQL for a stored value as the text in which it travels back to a source; NULL stays NULL.

    Keys of a purge, and rows that are restored, travel so. It is what PostgreSQL's input functions read: binary
    values as `\x` and hex digits, moments with a time zone in UTC with their offset, years before Christ marked.
    """
    name = column.quoted
    if column.kind is Kind.BINARY:
        return rf"'\x' || lower(hex({name}))"
    if column.kind in TIME_KINDS:
        return canonical_text(column)
    if column.kind in {Kind.FLOAT32, Kind.FLOAT64}:
        return f"replace({name}::VARCHAR, '-nan', 'nan')"
    return f"{name}::VARCHAR"


def stored_value(column: Column, text: str) -> str:
    """Return DuckDB SQL of the stored value that an exchange text (an SQL expression) stands for."""
    match column.kind:
        case Kind.BINARY:
            return f"unhex(substr({text}, 3))"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:  # DuckDB writes BC in brackets, behind the date
            moved = rf"regexp_replace({text}, '^(\S+)(.*) BC$', '\1 (BC)\2')"
            return f"CAST({moved} AS {duckdb_type(column)})"
        case _:
            return f"CAST({text} AS {duckdb_type(column)})"
