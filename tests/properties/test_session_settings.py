"""What a database's settings and encoding make of values when they are printed does not matter."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest
from pg_types import TYPES, PgType
from psycopg import sql
from service_bench import Bench

from blocks.dialects.postgresql.session import statement
from schemas.restore import RestoreRequest
from tasks.restore import restore_rows
from tidegate.demo.postgres import EmbeddedPostgres

HOSTILE = {
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Kolkata",
    "IntervalStyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "lc_monetary": "C.UTF-8",
    "search_path": "nowhere",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "xmloption": "document",
    "client_encoding": "LATIN1",
    "statement_timeout": "1h",
    "jit_above_cost": "0",
}
IN_LATIN1 = (
    "text", "varchar", "char(5)", "bpchar", "name", "json", "jsonb", "text[]", "bytea", "numeric(5,5)", "numeric",
    "boolean", "real", "date", "timestamptz", "interval", "money", "tsvector",
)  # fmt: skip


@contextmanager
def hostile_settings(url: str) -> Iterator[None]:
    """Give every new session of the database settings that Tidegate would not choose."""
    name = sql.Identifier(url.rsplit("/", 1)[1])
    with psycopg.connect(url, autocommit=True) as admin:
        try:
            for setting, value in HOSTILE.items():
                admin.execute(sql.SQL(f"ALTER DATABASE {{}} SET {setting} = {{}}").format(name, sql.Literal(value)))
            yield
        finally:
            admin.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))


def fill(url: str, types: list[PgType], encoding: str = "utf8") -> int:
    """Create the table `wide`: a column a type, their hand-picked values below each other; return how many rows."""
    columns = [[value for value in known.nasty if _has(encoding, value)] for known in types]
    rows = max(len(column) for column in columns) + 1
    declared = ", ".join(f"c{number} {known.sql}" for number, known in enumerate(types))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS wide, original")
        connection.execute(statement(f"CREATE TABLE wide (id bigint PRIMARY KEY, at timestamptz, {declared})"))
        with connection.cursor().copy("COPY wide FROM STDIN") as copy:
            for row in range(rows):
                values = [column[row] if row < len(column) else None for column in columns]
                copy.write_row((row, "2024-02-29 12:00:00+00", *values))
        connection.execute("CREATE TABLE original AS TABLE wide")
    return rows


def _has(encoding: str, value: str) -> bool:
    return value.encode(encoding, errors="ignore").decode(encoding) == value


def there_and_back(bench: Bench, rows: int, hostile: str = "") -> None:
    """Archive, prove and purge the table, half of it by digest, and restore it; one step with hostile settings."""

    def settings(step: str) -> AbstractContextManager[None]:
        return hostile_settings(bench.url) if hostile in {step, "all"} else nullcontext()

    bench.configure(name="wide", table="public.wide", time_column="at")
    with settings("export"):
        (exported,) = bench.export()
    assert exported.manifest is not None
    younger = len(bench.sql("UPDATE public.wide SET at = at WHERE id % 2 = 0 RETURNING 1"))
    with settings("purge"):
        receipt = bench.purge(exported.manifest)
    assert (receipt.deleted, receipt.by_fence, bench.count("public.wide")) == (rows, rows - younger, 0)
    project = bench.project
    with settings("restore"):
        restore_rows(project, project.archives[0], RestoreRequest.of(from_="2000-01-01"))
    one, two = "SELECT t::text FROM wide AS t", "SELECT t::text FROM original AS t"
    assert bench.sql(f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})") == []


@pytest.mark.parametrize("hostile", ["export", "purge", "restore", "all"])
def test_settings_of_the_database_do_not_matter(hostile: str, typed_database: str, tmp_path: Path) -> None:
    rows = fill(typed_database, list(TYPES))
    there_and_back(Bench(typed_database, tmp_path), rows, hostile)


@pytest.fixture
def latin1_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"latin1_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0").format(sql.Identifier(name))
        )
        yield postgres.url(name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_database_in_latin1_is_kept_in_unicode(latin1_database: str, tmp_path: Path) -> None:
    types = [known for known in TYPES if known.sql in IN_LATIN1]
    bench = Bench(latin1_database, tmp_path)
    there_and_back(bench, fill(latin1_database, types, "latin1"))
    text = next(f"c{number}" for number, known in enumerate(types) if known.sql == "text")
    assert ("ß",) in bench.lake_rows(text)
