"""A database that knows every type of `pg_types`."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from pg_types import SETUP
from psycopg import sql

from tidegate.demo.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def typed_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database with the types of `pg_types`; dropped afterwards."""
    name = sql.Identifier(f"types_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
        url = postgres.url(name.as_string().strip('"'))
        with psycopg.connect(url, autocommit=True) as connection:
            for text in SETUP:
                connection.execute(text)
        yield url
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
