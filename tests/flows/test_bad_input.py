"""Configuration that does not fit the table is refused by name, before anything is read, written or deleted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from service_bench import Bench

from schemas.errors import SourceError, is_transient


@pytest.fixture
def orders(bench: Bench) -> Bench:
    """Rows of two tables; for tests that change them."""
    bench.fill_orders(50)
    bench.sql("CREATE TABLE ordres_old (id bigint)")
    return bench


@pytest.fixture(scope="module")
def filled_database(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    bench = Bench(shared_database, tmp_path_factory.mktemp("filler"))
    bench.fill_orders(50)
    bench.sql("CREATE TABLE ordres_old (id bigint)")
    return shared_database


@pytest.fixture
def untouched(filled_database: str, tmp_path: Path) -> Bench:
    """The same rows, for tests after which they are as they were."""
    return Bench(filled_database, tmp_path / "project")


@pytest.mark.parametrize("table", ["public.order", "public.Orders", "publik.orders"])
def test_an_unknown_table_is_refused_with_the_closest(untouched: Bench, table: str) -> None:
    untouched.configure(table=table)
    error = untouched.refusal()
    assert f"no table {table}" in error.what
    assert "did you mean 'public.orders'?" in error.what
    assert "public.ordres_old" in error.next_step


def test_the_closest_table_is_named_among_thousands(bench: Bench) -> None:
    bench.fill_orders(1)
    bench.sql("DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE 'CREATE TABLE aaa' || i || ' ()'; END LOOP; END $$")
    bench.configure(table="orderss")
    error = bench.refusal()
    assert "did you mean 'public.orders'?" in error.what
    assert len(error.next_step) < 300


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"time_column": "place_at"}, "time_column"),
        ({"key": ["place_at"]}, "key"),
        ({"key": ["id", "place_at"]}, "key"),
        ({"columns": {"exclude": ["place_at"]}, "purge": {"mode": "none"}}, "columns.exclude"),
        (
            {"columns": {"exclude": ["place_at"]}, "purge": {"mode": "delete", "discard_columns": ["place_at"]}},
            "columns.exclude",
        ),
    ],
)
def test_an_unknown_column_is_refused_with_the_closest(untouched: Bench, entry: dict[str, object], key: str) -> None:
    untouched.configure(**entry)
    error = untouched.refusal()
    assert error.what.startswith(f"archives[orders].{key}:")
    assert "'place_at'; did you mean 'placed_at'?" in error.what
    assert "id, placed_at, shop" in error.next_step


def test_an_unknown_partition_key_is_refused_with_those_there_are(untouched: Bench) -> None:
    untouched.configure(partition_by=["shopp", "year"])
    error = untouched.refusal()
    assert "no column 'shopp'" in error.what
    assert "shop" in error.next_step


@pytest.mark.parametrize("key", ["amount", "placed_at"])
def test_a_column_that_cannot_name_a_folder_is_refused_as_partition_key(untouched: Bench, key: str) -> None:
    untouched.configure(partition_by=[key])
    assert "cannot name a folder" in untouched.refusal().what


@pytest.mark.parametrize("column", ["year", "Month"])
def test_a_partition_key_that_a_column_is_called_by_is_refused(orders: Bench, column: str) -> None:
    orders.sql(f'ALTER TABLE orders ADD "{column}" int')
    error = orders.refusal()
    assert column in error.what and "readers would take one for the other" in error.what
    orders.configure(partition_by=["shop", "day"])
    assert orders.run().totals["deleted"] == 50


@pytest.mark.parametrize("column", ["amount", "note", "payload", "id"])
def test_a_time_column_that_holds_no_time_is_refused_with_those_that_do(untouched: Bench, column: str) -> None:
    untouched.configure(time_column=column)
    assert untouched.refusal().what.endswith("Columns that are: placed_at.")


@pytest.mark.parametrize("entry", [{"window": "hour"}, {"partition_by": ["day", "hour"]}])
def test_hours_of_a_date_are_refused(orders: Bench, entry: dict[str, object]) -> None:
    orders.sql("ALTER TABLE orders ALTER placed_at TYPE date")
    orders.configure(**entry)
    assert "is a date" in orders.refusal().what


WRONG_PREDICATES = {
    "syntax": "shop =",
    "unknown column": "shopp = 'a'",
    "unterminated quote": "shop = 'a",
    "unterminated comment": "true /* open",
    "not boolean": "id",
    "aggregate": "count(*) > 1",
    "parameter": "id = $1",
    "closes our bracket": "id < 5) OR (true",
    "closes our bracket before a comment": "id < 5) OR (true) --",
    "closes two brackets": "true)) OR ((true",
    "closes another bracket": "id < 5] OR ARRAY[true",
    "two statements": "true; DROP TABLE ordres_old",
    "two statements and a bracket": "true) IS NULL; DROP TABLE ordres_old; SELECT (true",
    "two statements and two brackets": "true)) q; DROP TABLE ordres_old; SELECT * FROM (SELECT 1 WHERE (true",
    "two statements and other brackets": "true] IS NULL; DROP TABLE ordres_old; SELECT ARRAY[true",
}


@pytest.mark.parametrize("where", WRONG_PREDICATES.values(), ids=WRONG_PREDICATES)
def test_a_where_that_is_not_one_predicate_is_refused(untouched: Bench, where: str) -> None:
    untouched.configure(where=where)
    assert untouched.refusal().what.startswith("archives[orders].where: ")


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("id < 11 -- and no more", 10),
        ("note LIKE '%)%' OR id < 11", 10),
        ("id IN (SELECT g FROM generate_series(1, 10) g) /* a ) here */", 10),
        ("id = ANY (ARRAY[1, 2])", 2),
        ("false OR id < 11", 10),
        ("shop = $$shop 1) OR (true$$", 0),
    ],
)
def test_a_where_of_any_form_keeps_to_its_rows(orders: Bench, where: str, rows: int) -> None:
    orders.configure(where=where)
    assert orders.run().totals["deleted"] == rows
    assert orders.count() == 50 - rows


def test_a_where_that_fails_on_a_row_is_an_error_that_touches_nothing(untouched: Bench) -> None:
    untouched.configure(where="shop::int > 3")
    with pytest.raises(SourceError, match="invalid input syntax for type integer") as caught:
        untouched.run()
    assert not is_transient(caught.value) and "where" in caught.value.next_step
    assert (untouched.count(), untouched.generations()) == (50, [])


@pytest.mark.parametrize(
    "expression",
    [
        "nosuch + 1",
        "1), (2",
        "count(*)",
        "unnest(ARRAY[1, 2])",
        "row_number() OVER ()",
        "1; DROP TABLE ordres_old",
        "1 +",
    ],
)
def test_a_derived_column_that_is_not_one_value_a_row_is_refused(untouched: Bench, expression: str) -> None:
    untouched.configure(columns={"derive": {"extra": expression}})
    assert untouched.refusal().what.startswith("columns.derive.extra: ")


def test_a_derived_column_called_like_another_one_is_refused(untouched: Bench) -> None:
    untouched.configure(columns={"derive": {"note": "upper(note)"}})
    assert "already has a column 'note'" in untouched.refusal().what
    untouched.configure(columns={"derive": {"NOTE": "upper(note)"}})
    assert "differ only in case" in untouched.refusal().what


def test_a_purge_of_columns_that_are_not_archived_is_refused(untouched: Bench) -> None:
    untouched.configure(columns={"exclude": ["payload"]}, purge={"mode": "none"})
    assert "would lose the values of payload" in untouched.refusal(purging=True).what
    assert untouched.run(purging=False).totals["archived"] == 50


def test_an_end_in_the_future_or_before_the_beginning_is_refused(untouched: Bench) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    untouched.configure(to=tomorrow.isoformat())
    assert "is in the future" in untouched.refusal().what
    untouched.configure(to="2024-01-01", **{"from": "2024-02-01"})
    assert "must be after from" in untouched.refusal().what


def test_a_typo_in_the_configuration_is_refused_with_the_right_key(untouched: Bench) -> None:
    untouched.configure(partition_bye=["year"])
    assert "partition_by" in untouched.refusal().what


def test_a_gate_that_cannot_be_imported_is_refused(untouched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    untouched.configure(gate="no_such_module:Orders")
    assert "no_such_module" in untouched.refusal().what
    (untouched.folder / "broken_gate.py").write_text("class Orders(:")
    monkeypatch.syspath_prepend(untouched.folder)
    untouched.configure(gate="broken_gate:Orders")
    assert "SyntaxError" in untouched.refusal().what
    untouched.configure(gate="json:dumps")
    assert "not a Pandera model" in untouched.refusal().what
