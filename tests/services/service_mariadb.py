"""MariaDB as a fixture: one server a session, an empty database a test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tidegate.demo.mariadb import MariaDB


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server that writes a binary log."""
    with MariaDB() as server:
        yield server


@pytest.fixture
def mariadb_database(mariadb: MariaDB) -> Iterator[str]:
    """The name of an empty database on `mariadb`; dropped afterwards."""
    with new_database(mariadb) as name:
        yield name


@contextmanager
def new_database(server: MariaDB) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    server.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield name
    server.sql(f"DROP DATABASE {name}")
