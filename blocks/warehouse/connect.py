"""Connections to a database that is published to."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from blocks.dialects.postgresql.session import Connection, session, statement, translate
from blocks.source_url import secret_url_of_publication
from schemas.errors import TidegateError
from schemas.pipelines.publication import PostgresPublication

__all__ = ["Connection", "one", "rows", "run", "warehouse"]


@contextmanager
def warehouse(publication: PostgresPublication, state: str) -> Iterator[Connection]:
    """Open a connection, in autocommit mode, in which names mean nothing without their schema.

    Args:
        publication: Whose database.
        state: What state the data is in if something fails.

    Raises:
        ConfigError: A wrong password, an unknown database, or a right that is missing.
        SourceUnavailable: It could not be reached, or the connection was lost.
        SourceError: The database refused.
    """
    try:
        url = secret_url_of_publication(publication)
        with session(url) as connection:
            try:
                run(connection, "SET search_path = ''")
                yield connection
            except psycopg.Error as error:
                raise translate(error, url) from None
    except TidegateError as error:
        error.state = error.state or state
        step = error.next_step or "Correct what the database objects to, then run the same command again."
        error.next_step = step.replace("sources.yaml", "publish.yaml").replace("the source", "the publication")
        raise


def run(connection: Connection, text: str, *parameters: object) -> int:
    """Run a statement and return how many rows it touched."""
    return connection.execute(statement(text), parameters or None).rowcount


def rows(connection: Connection, text: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run a query and return its rows."""
    return connection.execute(statement(text), parameters or None).fetchall()


def one(connection: Connection, text: str, *parameters: object) -> int:
    """Run a query and return the number that is its answer."""
    found = rows(connection, text, *parameters)
    return int(str(found[0][0]))
