"""What else SQLite would change, or protect, when rows of a table go: foreign keys that point at it, and triggers."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from blocks.dialects.sqlite.session import Connection
from schemas.column_plan import quote_identifier
from schemas.table import ForeignKey, Table
from schemas.table_name import TableName

SCHEMA = "main"


def referenced_by(connection: Connection, table: str, primary_key: tuple[str, ...]) -> Iterator[ForeignKey]:
    """Yield the foreign keys that point at a table; SQLite forgets their names."""
    rows = connection.execute(
        f'SELECT s.name, f.id, f."table", f."from", f."to", f.on_delete FROM {SCHEMA}.sqlite_schema AS s, '
        "pragma_foreign_key_list(s.name, 'main') AS f WHERE s.type = 'table' ORDER BY s.name, f.id, f.seq"
    ).fetchall()
    for (child, _, parent, on_delete), columns in groupby(rows, key=lambda row: (*row[:3], row[5])):
        if not _same(parent, table):
            continue
        pairs = [(here, there) for _, _, _, here, there, _ in columns]
        here = tuple(name for name, _ in pairs)
        yield ForeignKey(
            name="the foreign key",
            table=str(TableName(SCHEMA, child)),
            columns=here,
            # Without columns it means the primary key.
            referenced=primary_key if pairs[0][1] is None else tuple(there for _, there in pairs),
            on_delete=on_delete.lower(),
            indexed=_has_index(connection, child, here),
        )


def _has_index(connection: Connection, table: str, columns: tuple[str, ...]) -> bool:
    wanted = {name.lower() for name in columns}
    for _, index, *_ in connection.execute(f"PRAGMA {SCHEMA}.index_list({quote_identifier(table)})").fetchall():
        indexed = connection.execute(f"PRAGMA {SCHEMA}.index_info({quote_identifier(index)})").fetchall()
        if {str(name).lower() for _, _, name in indexed[: len(wanted)]} == wanted:
            return True
    return any(
        place == 1 and {name.lower()} == wanted  # the row's number needs no index
        for _, name, _, _, _, place in connection.execute(f"PRAGMA {SCHEMA}.table_info({quote_identifier(table)})")
    )


def delete_triggers(connection: Connection, table: Table) -> list[str]:
    """Return the names of the table's triggers that fire when a row of it is deleted.

    SQLite itself says which: it asks whether what they do is allowed when it prepares a DELETE.

    Raises:
        sqlite3.Error: No row can be deleted at all: a trigger names what is not there, or a foreign key does.
    """
    rows = connection.execute(f"SELECT name, tbl_name FROM {SCHEMA}.sqlite_schema WHERE type = 'trigger' ORDER BY 1")
    own = [name for name, of_table in rows.fetchall() if _same(of_table, table.name)]
    fired: set[str | None] = set()

    def note(_action: int, _one: str | None, _two: str | None, _schema: str | None, by: str | None) -> int:
        fired.add(by)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        connection.execute(f"EXPLAIN DELETE FROM {table.quoted}").close()
    finally:
        connection.set_authorizer(None)
    return [name for name in own if name in fired]


def _same(one: str, other: str) -> bool:
    """Return whether SQLite takes two names for the same: it knows capitals of ASCII only."""
    return one.encode().lower() == other.encode().lower()
