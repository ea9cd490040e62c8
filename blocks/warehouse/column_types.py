"""What the columns of the lake are in PostgreSQL, and how two of their values are compared."""

from collections.abc import Sequence

from schemas.column_plan import Column, Kind
from schemas.manifest import Manifest

_INTEGERS = {16: "smallint", 32: "integer", 64: "bigint"}
_PLAIN = {
    Kind.BOOLEAN: "boolean",
    Kind.FLOAT32: "real",
    Kind.FLOAT64: "double precision",
    Kind.DATE: "date",
    Kind.TIME: "time without time zone",
    Kind.TIMESTAMP: "timestamp without time zone",
    Kind.TIMESTAMPTZ: "timestamp with time zone",
    Kind.TEXT: "text",
    Kind.BINARY: "bytea",
}
# Stored as the text that a PostgreSQL printed, and read back by any PostgreSQL, whatever it has installed.
_READ_BACK = frozenset({"uuid", "json", "jsonb", "inet", "cidr", "macaddr", "macaddr8", "interval", "numeric"})
_BY_BITS = {"real": "float4send", "double precision": "float8send"}
# Equal values of these may print differently (1.0 and 1.00, 1 month and 30 days); json has no equality at all.
_BY_TEXT = frozenset({"json", "jsonb", "interval", "numeric"})


def column_types(columns: Sequence[Column], manifests: Sequence[Manifest]) -> dict[str, str]:
    """Return the type of each column in PostgreSQL, as `format_type` prints it.

    Args:
        columns: What readers of the lake see.
        manifests: Of all generations: a column is what it was in a PostgreSQL only if it was that in each of them.
    """
    return {column.name: _type_of(column, manifests) for column in columns}


def _type_of(column: Column, manifests: Sequence[Manifest]) -> str:
    match column.kind:
        case Kind.INTEGER:
            return _INTEGERS[column.bits]
        case Kind.DECIMAL:
            return f"numeric({column.precision},{column.scale})"
        case Kind.TEXT:
            return _kept_as_text(column, manifests)
        case _:
            return _PLAIN[column.kind]


def _kept_as_text(column: Column, manifests: Sequence[Manifest]) -> str:
    alike = [(m, c) for m in manifests for c in m.columns if c.name.casefold() == column.name.casefold()]
    types = {c.base_type if _from_postgresql(m) and c.exact_text else "" for m, c in alike}
    if len(types) == 1 and (name := next(iter(types))) in _READ_BACK:
        return name
    by_duckdb = all(m.built is not None and c.kind is Kind.TEXT and c.source_type == "UUID" for m, c in alike)
    return "uuid" if alike and by_duckdb else "text"


def _from_postgresql(manifest: Manifest) -> bool:
    # No other database numbers its transactions so.
    return manifest.attestation.snapshot.xmin is not None


def comparable(reference: str, type_name: str) -> str:
    """Return SQL for a value in a form that differs whenever the value does, and only then."""
    if type_name in _BY_BITS:
        return f"{_BY_BITS[type_name]}({reference})"
    return f"{reference}::text" if type_name in _BY_TEXT else reference
