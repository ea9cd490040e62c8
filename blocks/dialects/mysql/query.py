"""An operator's query in the place of a table: what MariaDB or MySQL says of its result, without running it."""

import re
from dataclasses import replace

import pymysql
from pymysql.constants import FLAG

from blocks.dialects.mysql.catalog import said, type_of
from blocks.dialects.mysql.operators_sql import check_brackets, without_quotes
from blocks.dialects.mysql.session import Connection, quote, relation
from blocks.dialects.mysql.source_errors import is_passing
from blocks.dialects.mysql.types import TypeInfo, plan_column
from blocks.dialects.mysql.wire import Field, fields
from blocks.query_columns import NEXT_STEP, check_names
from schemas.errors import ConfigError
from schemas.table import Table
from schemas.table_name import TableName

# A read that locks sees what was committed last, and not the moment of the snapshot.
_LOCKS = re.compile(r"\bFOR\s+(?:UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.IGNORECASE)
_TEXT = "longtext"
_PADDED = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal"})


def describe_query(connection: Connection, name: TableName, query: str, label: str) -> Table:
    """Return what the query gives. The session is read-only from here on.

    In brackets, nothing but a query is one; that it does not close them is found before it is sent.

    Raises:
        ConfigError: It is none, or the server refuses it, or its columns cannot be told apart.
    """
    connection.run("SET SESSION TRANSACTION READ ONLY")
    table = Table.of_query(query, name.schema_name, name.name, (), utf8=True)
    try:
        check_brackets(query)
        if locks := _LOCKS.search(without_quotes(query)):
            raise pymysql.ProgrammingError(1064, f"it locks rows ({locks.group()}), and the source is only read")
        found = fields(connection, f"SELECT * FROM {relation(table)} LIMIT 0")
        check_names([field.name for field in found], label)
        charsets = _charsets(connection, table, found)
    except pymysql.Error as error:
        if is_passing(error):
            raise
        raise ConfigError(f"{label}: {said(error)}", next_step=NEXT_STEP) from None
    columns = tuple(plan_column(f.name, _type(f, charsets.get(f.name, "")), nullable=True) for f in found)
    return table.model_copy(update={"columns": columns})


def _charsets(connection: Connection, table: Table, found: list[Field]) -> dict[str, str]:
    """Return the character sets of the columns of text: what is announced is that of the connection."""
    texts = [field.name for field in found if type_of(field).base == _TEXT]
    if not texts:
        return {}
    asked = ", ".join(f"CHARSET(given.{quote(name)})" for name in texts)
    # One row without values: what a column is does not depend on whether there are rows.
    row = connection.one(
        f"SELECT {asked} FROM (SELECT 1 AS one) AS single "
        f"LEFT JOIN (SELECT * FROM {relation(table)} LIMIT 0) AS given ON TRUE"
    )
    return dict(zip(texts, row, strict=True))


def _type(field: Field, charset: str) -> TypeInfo:
    info = type_of(field)
    if info.base == _TEXT:
        return replace(info, charset=charset)
    if field.flags & FLAG.ZEROFILL and info.base in _PADDED:
        return replace(info, full=f"{info.full} zerofill")
    return info
