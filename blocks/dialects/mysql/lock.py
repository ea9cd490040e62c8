"""One archiver per table: a named lock on the connection that does the work, so that losing one loses both."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.dialects.mysql.session import Connection, literal, quoted_table, session
from blocks.dialects.mysql.source_errors import translated
from schemas.errors import Busy
from schemas.table import Table


@contextmanager
def archiver_lock(url: str, table: Table) -> Iterator[Connection]:
    """Open a connection that holds the table's archiver lock for as long as the connection lives.

    Raises:
        Busy: Another archiver holds it.
    """
    with session(url) as connection, translated(url):
        name = _lock_name(connection, table)
        if connection.one(f"SELECT GET_LOCK({name}, 0)") != (1,):
            (holder,) = connection.one(f"SELECT IS_USED_LOCK({name})")
            raise Busy(
                f"Another archiver works on {quoted_table(table)}: "
                f"{f'the connection {holder}' if holder else 'another connection'} of the server.",
                state="This run changed nothing in the source.",
                next_step="Wait for it to end and run the same command again. If it is dead, end its connection: "
                f"KILL {holder or 'ID'}",
            )
        yield connection


def _lock_name(connection: Connection, table: Table) -> str:
    """Return the lock's name as a literal: one for a table, in whatever letters it and its database are named."""
    (folds_case,) = connection.one("SELECT @@lower_case_table_names")
    name = quoted_table(table).lower() if folds_case else quoted_table(table)
    return literal("tidegate " + hashlib.sha256(name.encode()).hexdigest()[:40])  # of 64 at most
