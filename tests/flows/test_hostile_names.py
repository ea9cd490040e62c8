"""Names that SQL, DuckDB, paths or our own statements could trip over: such tables are archived and purged like any."""

import pytest
from service_bench import Bench

from schemas.column_plan import quote_identifier
from tasks.views import query_lake

HOSTILE = [
    'quote"; DROP TABLE bystander; --', "per%cent %s", "größe 😀", "a.b", "a=b", "a/b", "{x} ${X}", "new\nline", "$1",
]  # fmt: skip
# Names that our own queries, DuckDB's reader or Polars give to columns.
OURS = [
    "digest", "file_index", "filename", "k0", "c0", "row index", "_reason", "tidegate k0", "proven", "_tidegate_file",
]  # fmt: skip


@pytest.fixture
def odd(bench: Bench) -> Bench:
    """A schema and a table of hostile names, and a table that an injected statement would drop."""
    bench.sql('CREATE TABLE bystander (id int); CREATE SCHEMA "Odd; ""Schema"" %"')
    return bench


TABLE = '"Odd; ""Schema"" %"."T; DROP TABLE ""bystander"" -- 50% ü"'


def fill(bench: Bench, key: str, time: str, others: list[str]) -> None:
    texts = "".join(f", {quote_identifier(name)} text" for name in others)
    bench.sql(
        f"CREATE TABLE {TABLE} ({quote_identifier(key)} text PRIMARY KEY, {quote_identifier(time)} timestamptz{texts})"
    )
    values = "".join(f", {n} || ' of %\"''; ' || g % 2" for n in range(len(others)))
    bench.sql(
        f"INSERT INTO {TABLE} SELECT 'k%''\";' || g, '2024-01-01'::timestamptz + g * interval '1 day'{values} "
        "FROM generate_series(1, 20) g"
    )


def archive_and_purge(bench: Bench) -> None:
    assert bench.run("first", purging=False).totals["archived"] == 20
    assert bench.run("second").totals["deleted"] == 20
    assert bench.count(TABLE) == 0
    assert set(bench.run("third").totals.values()) == {0}
    assert bench.count("bystander") == 0


@pytest.mark.parametrize("names", [HOSTILE, OURS], ids=["hostile", "our own"])
def test_columns_of_any_name_are_archived_and_purged(odd: Bench, names: list[str]) -> None:
    fill(odd, "id", "at", names)
    odd.configure(table=TABLE, folder="odd", time_column="at")
    archive_and_purge(odd)
    rows = odd.lake_rows(", ".join(quote_identifier(name) for name in names))
    assert len(rows) == 20
    assert set(rows[0]) == {f"{n} of %\"'; 1" for n in range(len(names))}
    quoted = ", ".join(quote_identifier(name) for name in names)
    with query_lake(odd.lake, odd.project.settings, f"SELECT {quoted} FROM odd") as relation:
        assert sorted(relation.fetchall()) == sorted(rows)


@pytest.mark.parametrize("name", [*HOSTILE[:2], *OURS])
def test_a_key_of_any_name_is_archived_and_purged(odd: Bench, name: str) -> None:
    fill(odd, name, f"{name} at", [])
    odd.configure(table=TABLE, folder="odd", time_column=f"{name} at")
    archive_and_purge(odd)


@pytest.mark.parametrize("name", [*HOSTILE[:2], *OURS])
def test_a_partition_by_a_column_of_any_name_is_archived_and_purged(odd: Bench, name: str) -> None:
    fill(odd, "id", "at", [name])
    odd.configure(table=TABLE, folder="odd", time_column="at", partition_by=[name])
    archive_and_purge(odd)


def test_a_predicate_and_a_derived_column_may_use_hostile_names(odd: Bench) -> None:
    fill(odd, "id", "at", ["per%cent"])
    odd.configure(
        table=TABLE,
        folder="odd",
        time_column="at",
        where="\"per%cent\" LIKE '%; 1'",
        columns={"derive": {'odd "sum" %': "\"per%cent\" || '%'"}},
    )
    assert odd.run().totals["deleted"] == 10
    assert odd.lake_rows('"odd ""sum"" %"')[0] == ("0 of %\"'; 1%",)


def test_a_partitioned_table_is_archived_and_purged_through_its_parent(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id bigint, placed_at timestamptz, shop text, PRIMARY KEY (id, placed_at)) "
              "PARTITION BY RANGE (placed_at)")  # fmt: skip
    bench.sql("CREATE TABLE january PARTITION OF orders FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z')")
    bench.sql("CREATE TABLE others PARTITION OF orders DEFAULT")
    bench.sql("INSERT INTO orders SELECT g, '2024-01-01Z'::timestamptz + g * interval '1 day', 's' "
              "FROM generate_series(1, 60) g")  # fmt: skip
    assert bench.count("january") == 30
    bench.sql("UPDATE orders SET placed_at = placed_at + interval '1 year' WHERE id = 60")
    report = bench.run()
    assert (report.totals["archived"], report.totals["deleted"]) == (59, 59)
    assert bench.sql("SELECT id FROM orders") == [(60,)]
