"""What goes for good goes after a person has typed a word, and not after any other."""

from service_bench import Bench
from service_cli import CommandLine


def test_rows_are_erased_when_the_name_is_typed_and_not_when_it_is_not(bench: Bench, with_prefect: CommandLine) -> None:
    bench.fill_orders(20)
    bench.run()
    before = bench.records()
    seen = with_prefect.on_a_terminal("erase", "orders", "--key", "17", typed="yes\n", exit_code=1)
    assert "Type orders to go on" in seen
    assert "That was not orders: nothing was done." in seen
    assert bench.records() == before
    with_prefect.on_a_terminal("erase", "orders", "--key", "17", typed="orders\n")
    assert [id_ for (id_,) in bench.lake_rows("id")] == [n for n in range(1, 21) if n != 17]
