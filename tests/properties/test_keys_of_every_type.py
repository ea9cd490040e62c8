"""Rows are found and deleted by keys of every type, by the fence and by digest."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg_types import TYPES, PgType
from service_bench import Bench

from blocks.dialects.postgresql.session import statement

KEYS = [pg_type for pg_type in TYPES if pg_type.is_key]
LONGEST = 500  # characters: more than that is no entry of an index


def fill(bench: Bench, key: str, columns: dict[str, PgType], rows: Sequence[tuple[str, ...]]) -> int:
    """Create the table `keyed` with these rows, a key once only, and return how many there are."""
    declared = ", ".join(f"{name} {pg_type.sql}" for name, pg_type in columns.items())
    with psycopg.connect(bench.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        for text in (
            "DROP TABLE IF EXISTS given, keyed",
            f"CREATE TABLE given ({declared})",
            f"CREATE TABLE keyed ({declared}, at date NOT NULL DEFAULT '2024-02-29', PRIMARY KEY ({key}))",
        ):
            connection.execute(statement(text))
        with connection.cursor().copy("COPY given FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute("INSERT INTO keyed SELECT * FROM given ON CONFLICT DO NOTHING")
    return bench.count("keyed")


def keyed(url: str, folder: Path) -> Bench:
    bench = Bench(url, folder)
    bench.configure(name="keyed", table="keyed", time_column="at", purge={"mode": "delete", "batch_rows": 7})
    return bench


@pytest.mark.parametrize("pg_type", KEYS, ids=str)
@settings(
    max_examples=2, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_rows_with_a_key_of_this_type_are_deleted_by_fence_and_by_digest(
    pg_type: PgType, data: st.DataObject, typed_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = keyed(typed_database, tmp_path_factory.mktemp("project"))
    values = [v for v in [*pg_type.nasty, *data.draw(pg_type.random(10, 20))] if len(v) < LONGEST]
    numbers = [str(number) for number in range(len(values))]
    columns = {"value": pg_type, "number": next(known for known in TYPES if known.sql == "integer")}
    rows = fill(bench, "value", columns, list(zip(values, numbers, strict=True)))
    (exported,) = bench.export()
    younger = len(bench.sql("UPDATE keyed SET number = number WHERE number % 2 = 0 RETURNING 1"))
    assert exported.manifest is not None
    receipt = bench.purge(exported.manifest)
    assert (receipt.deleted, bench.count("keyed")) == (rows, 0)
    assert receipt.by_fence == rows - younger


@pytest.mark.parametrize(
    "types",
    [("bigint", "text"), ("uuid", "citext"), ("timestamptz", "char(5)"), ("bytea", "numeric"), ("date", "inet")],
    ids=" and ".join,
)
def test_rows_with_a_key_of_two_columns_are_deleted(
    types: tuple[str, str], typed_database: str, tmp_path: Path
) -> None:
    bench = keyed(typed_database, tmp_path)
    first, second = (next(known for known in TYPES if known.sql == sql) for sql in types)
    pairs = [(a, b) for a in first.nasty[:6] for b in second.nasty if len(b) < LONGEST]
    # The key's order is not that of the columns.
    rows = fill(bench, "second, first", {"first": first, "second": second}, pairs)
    (exported,) = bench.export()
    bench.sql("UPDATE keyed SET at = at WHERE ctid::text LIKE '%1)'")
    assert exported.manifest is not None
    receipt = bench.purge(exported.manifest)
    assert (receipt.deleted, bench.count("keyed")) == (rows, 0)
    assert 0 < receipt.by_fence < rows
