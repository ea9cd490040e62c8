"""An operator's query in the place of a table: what PostgreSQL says of its result, without running it."""

import psycopg

from blocks.dialects.postgresql.catalog import check_encoding, types_of
from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.types import plan_column
from blocks.query_columns import NEXT_STEP, check_names
from schemas.errors import ConfigError
from schemas.table import Table
from schemas.table_name import TableName

_NAMELESS = "?column?"


def describe_query(connection: Connection, name: TableName, query: str, label: str) -> Table:
    """Return what the query gives. The session is read-only from here on.

    The query has to be one by itself, and one in brackets: text that closes a bracket of the statement around it is
    none by itself, and in brackets nothing writes. The server prepares one statement only.

    Raises:
        ConfigError: It is none, or the server refuses it, or its columns cannot be told apart.
    """
    (encoding,) = connection.execute("SELECT current_setting('server_encoding')").fetchone() or ("",)
    check_encoding(encoding)
    connection.execute("SET default_transaction_read_only = on")
    table = Table.of_query(query, name.schema_name, name.name, (), utf8=encoding == "UTF8")
    try:
        connection.execute(statement(f'PREPARE "tidegate query" AS\n{query}\n'), prepare=True)
        connection.execute('DEALLOCATE "tidegate query"')
        cursor = connection.execute(statement(f"SELECT * FROM {table.relation} LIMIT 0"), prepare=True)
    except psycopg.OperationalError:  # what may pass, a lost connection above all
        raise
    except psycopg.Error as error:
        raise ConfigError(f"{label}: {str(error).strip()}", next_step=NEXT_STEP) from None
    result, described = cursor.pgresult, cursor.description or []
    assert result is not None
    names = [column.name for column in described]
    check_names(names, label, _NAMELESS)
    types = types_of(connection, [(result.ftype(i), result.fmod(i)) for i in range(len(names))])
    columns = tuple(plan_column(name, info, nullable=True) for name, info in zip(names, types, strict=True))
    return table.model_copy(update={"columns": columns})
