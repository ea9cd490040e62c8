"""Fixtures for real services. Each starts once a session, when a test first asks for it, and leaves nothing behind."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from service_seaweedfs import SeaweedFS

from blocks.lake import Lake
from blocks.local_lake import LocalLake
from blocks.s3_lake import S3Lake
from tidegate.demo.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server."""
    with EmbeddedPostgres(settings={"max_connections": "100"}) as server:
        # Each connection hashes its password as often as the server says: tests connect some ten thousand times.
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("SET scram_iterations = 1")
            admin.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(server.password)))
        yield server


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an empty database, for the superuser; dropped afterwards, whoever is still connected."""
    with _new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database for the tests of a module that leave it as it is."""
    with _new_database(postgres) as url:
        yield url


@contextmanager
def _new_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield postgres.url(name)
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[SeaweedFS]:
    """An S3 server."""
    with SeaweedFS() as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: SeaweedFS) -> str:
    """A bucket on `s3_server`, shared by the session: each lake has a prefix of its own in it."""
    s3_server.client().create_bucket(Bucket="lake")
    return "lake"


@pytest.fixture
def s3_lake(s3_server: SeaweedFS, s3_bucket: str) -> S3Lake:
    """An empty lake on S3."""
    return S3Lake(s3_bucket, f"test/{uuid.uuid4().hex[:12]}", s3_server.access())


@pytest.fixture
def local_lake(tmp_path: Path) -> LocalLake:
    """An empty lake in a folder that does not exist yet."""
    return LocalLake(tmp_path / "lake")


@pytest.fixture(params=["local", "s3"])
def any_lake(request: pytest.FixtureRequest) -> Lake:
    """An empty lake, of each kind in turn."""
    lake: Lake = request.getfixturevalue(f"{request.param}_lake")
    return lake
