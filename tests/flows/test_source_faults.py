"""A source that fails: what the error says, whether trying again can help, and that a re-run accounts for all."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest
from service_bench import Bench

from blocks.dialects.postgresql.session import session
from blocks.dialects.postgresql.snapshot import held_snapshot
from blocks.dialects.postgresql.source_errors import translate
from blocks.dialects.postgresql.stream import stream
from schemas.column_plan import Column, Kind
from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError, is_transient
from tidegate.demo.postgres import EmbeddedPostgres, free_port


def error_of(url: str) -> TidegateError:
    with pytest.raises(TidegateError) as caught, session(url):
        pass
    return caught.value


@pytest.mark.parametrize(
    ("name", "told"),
    [("no_such_database", "does not exist"), ("closed", "CONNECT"), ("unready", "not currently accepting")],
)
def test_a_database_that_cannot_be_had_is_a_config_error(postgres: EmbeddedPostgres, name: str, told: str) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as admin, ExitStack() as stack:
        for statement, undo in (
            ("CREATE ROLE visitor LOGIN PASSWORD 'hunter22'", "DROP ROLE visitor"),
            ("CREATE DATABASE closed", "DROP DATABASE closed"),
            ("REVOKE CONNECT ON DATABASE closed FROM public", "SELECT"),
            ("CREATE DATABASE unready ALLOW_CONNECTIONS false", "DROP DATABASE unready"),
        ):
            admin.execute(statement)
            stack.callback(admin.execute, undo)
        error = error_of(postgres.url(name, "visitor", "hunter22"))
    assert isinstance(error, ConfigError) and told in error.what and "sources.yaml" in error.next_step
    assert "hunter22" not in str(error)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("postgres:{password}@", "postgres:wrong-secret@"), "password authentication failed"),
        (("postgres:{password}@", "nobody_here:{password}@"), "password authentication failed"),
        ((":{password}@", "@"), "no password supplied"),
        ((":{port}/", ":{port}/?sslmode=require&dbname="), "SSL"),
        ((":{port}/", ":99999/"), "port"),
    ],
    ids=["password", "user", "no password", "TLS", "port"],
)
def test_a_wrong_connection_is_a_config_error(postgres: EmbeddedPostgres, change: tuple[str, str], told: str) -> None:
    old, new = (part.format(password=postgres.password, port=postgres.port) for part in change)
    error = error_of(postgres.url().replace(old, new))
    assert isinstance(error, ConfigError) and told in error.what and "sources.yaml" in error.next_step
    assert postgres.password not in str(error) and "wrong-secret" not in str(error)


def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    for host in (f"127.0.0.1:{free_port()}", "no-such-host.invalid:5432"):
        error = error_of(f"postgresql://postgres:hunter22@{host}/shop")
        assert isinstance(error, SourceUnavailable) and host.split(":")[0] in error.what
        assert "hunter22" not in str(error)


def test_a_server_that_is_full_is_worth_another_try(bench: Bench) -> None:
    bench.sql("CREATE ROLE crowd LOGIN PASSWORD 'hunter22' CONNECTION LIMIT 0")
    try:
        url = bench.url.split("://")[1].split("@")[1]
        assert is_transient(error_of(f"postgresql://crowd:hunter22@{url}"))
    finally:
        bench.sql("DROP ROLE crowd")


def failure_of(connection: psycopg.Connection[Any], query: str) -> TidegateError:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(query)
    return translate(caught.value, "postgresql://nobody@nowhere/db")


@pytest.fixture
def two(bench: Bench) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """Two connections, each in a transaction."""
    bench.fill_orders(5)
    with closing(psycopg.connect(bench.url)) as one, closing(psycopg.connect(bench.url)) as other:
        yield one, other


def test_a_deadlock_a_lock_and_a_conflict_are_worth_another_try(
    two: tuple[psycopg.Connection[Any], psycopg.Connection[Any]],
) -> None:
    one, other = two
    other.execute("UPDATE orders SET note = '' WHERE id = 2")
    one.execute("SET LOCAL deadlock_timeout = '10ms'")
    one.execute("UPDATE orders SET note = '' WHERE id = 1")
    waiting = threading.Thread(target=other.execute, args=("UPDATE orders SET note = '' WHERE id = 1",))
    waiting.start()
    assert "deadlock" in transient(failure_of(one, "SELECT pg_sleep(0.2); UPDATE orders SET note = '' WHERE id = 2"))
    one.rollback()
    waiting.join()
    one.execute("SET LOCAL lock_timeout = '10ms'")
    assert "lock timeout" in transient(failure_of(one, "UPDATE orders SET note = '' WHERE id = 2"))
    one.rollback()
    one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    one.execute("SELECT * FROM orders")
    other.commit()
    assert "serialize" in transient(failure_of(one, "UPDATE orders SET note = '' WHERE id = 2"))
    one.rollback()
    assert "terminating" in transient(failure_of(one, "SELECT pg_terminate_backend(pg_backend_pid())"))


def transient(error: TidegateError) -> str:
    assert isinstance(error, SourceUnavailable) and is_transient(error) and error.next_step
    return error.what


def test_what_a_server_refuses_is_not_tried_again(bench: Bench) -> None:
    bench.fill_orders(5)
    with psycopg.connect(bench.url, autocommit=True) as connection:
        for query in ("SELECT * FROM nowhere", "SELECT nothing FROM orders", "SELECT no_function()"):
            assert isinstance(failure_of(connection, query), ConfigError)
        for query in ("SELECT 'connection lost'::int", "INSERT INTO orders VALUES (1)"):
            error = failure_of(connection, query)
            assert type(error) is SourceError and not is_transient(error)
        connection.execute("SET statement_timeout = '10ms'")
        error = failure_of(connection, "SELECT pg_sleep(10)")
        assert not is_transient(error) and "purge.statement_timeout_s" in error.next_step


READS = {
    "SELECT 1 / (g - 500) FROM generate_series(1, 1000) g": (SourceError, "division by zero"),
    "SELECT ('connection ' || g)::int FROM generate_series(1, 9) g": (SourceError, 'type integer: "connection 1"'),
    "SELECT pg_cancel_backend(pg_backend_pid())::int + length(pg_sleep(1)::text)": (SourceError, "canceling"),
    "SELECT pg_terminate_backend(pg_backend_pid())::int": (SourceUnavailable, ""),
}


@pytest.mark.parametrize(("query", "meaning"), READS.items(), ids=["value", "text", "cancelled", "terminated"])
def test_errors_of_the_reader_tell_whether_trying_again_can_help(
    bench: Bench, query: str, meaning: tuple[type[TidegateError], str]
) -> None:
    kind, told = meaning
    column = Column(name="n", source_type="integer", base_type="int4", kind=Kind.INTEGER, bits=32)
    with held_snapshot(bench.url) as held, pytest.raises(TidegateError) as caught:
        for _ in stream(bench.url, query, (column,), key=(), snapshot=held.id, batch_rows=8192):
            pass
    assert type(caught.value) is kind and told in caught.value.what
    assert "SqlState" not in caught.value.what


def test_a_snapshot_whose_session_was_lost_is_worth_another_try(bench: Bench) -> None:
    with held_snapshot(bench.url) as held:
        identifier = held.id
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(stream(bench.url, "SELECT 1", (), key=(), snapshot=identifier, batch_rows=8192))
