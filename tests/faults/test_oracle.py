"""The oracle of the fault tests notices what it is there for."""

from collections.abc import Callable

import pytest
from oracle import Oracle
from service_bench import Bench


def a_row_is_lost(bench: Bench, oracle: Oracle) -> None:
    oracle.write("INSERT INTO orders VALUES (61, '2024-01-20')")
    oracle.check()
    bench.sql("DELETE FROM orders WHERE id = 61")


def a_row_out_of_scope_is_changed(bench: Bench, oracle: Oracle) -> None:
    bench.sql("UPDATE orders SET note = 'touched' WHERE id = 100")


def a_deleted_row_is_back(bench: Bench, oracle: Oracle) -> None:
    oracle.write("DELETE FROM orders WHERE id = 7")
    oracle.check()
    bench.sql(
        "INSERT INTO orders SELECT 7, placed_at + interval '7 hours 13 minutes', 'shop 1' FROM orders WHERE id = 6"
    )


def rows_are_archived_twice(bench: Bench, oracle: Oracle) -> None:
    (generation,) = bench.generations()
    again = generation.manifest.model_copy(update={"generation": 2})
    bench.lake.put_if_absent(again.path, again.to_bytes())


def a_value_in_the_lake_is_wrong(bench: Bench, oracle: Oracle) -> None:
    bench.sql("UPDATE orders SET amount = amount + 0.0001 WHERE id = 8")
    bench.run(purging=False)
    bench.sql("UPDATE orders SET amount = amount - 0.0001 WHERE id = 8")


def a_committed_file_is_missing(bench: Bench, oracle: Oracle) -> None:
    bench.lake_files()[0].unlink()


@pytest.mark.parametrize(
    ("damage", "noticed"),
    [
        (a_row_is_lost, "1 row versions are lost"),
        (a_row_out_of_scope_is_changed, "1 row versions are lost"),
        (a_deleted_row_is_back, "no user left"),
        (rows_are_archived_twice, "60 row versions are in the lake more than once"),
        (a_value_in_the_lake_is_wrong, "1 row versions are in the lake with values that nobody wrote"),
        (a_committed_file_is_missing, "missing"),
    ],
)
def test_the_oracle_notices(bench: Bench, damage: Callable[[Bench, Oracle], None], noticed: str) -> None:
    bench.fill_orders(60)
    bench.sql("INSERT INTO orders VALUES (100, '2026-01-01')")
    oracle = Oracle(bench, scope="placed_at < '2025-01-01'")
    bench.run(purging=False)
    assert oracle.check() == 61 + 60
    damage(bench, oracle)
    with pytest.raises(AssertionError, match=noticed):
        oracle.check()


def test_the_oracle_notices_rows_in_the_lake_that_are_out_of_scope(bench: Bench) -> None:
    bench.fill_orders(60)
    oracle = Oracle(bench, scope="id < 50")
    bench.run(purging=False)
    with pytest.raises(AssertionError, match="11 row versions are in the lake, though out of scope"):
        oracle.check()


def test_what_users_change_and_delete_is_not_lost(bench: Bench) -> None:
    bench.fill_orders(60)
    oracle = Oracle(bench)
    bench.run(purging=False)
    oracle.write("UPDATE orders SET note = 'changed' WHERE id < 5")
    oracle.write("DELETE FROM orders WHERE id = 6")
    bench.run("again")
    assert oracle.check() == 60 + 4
