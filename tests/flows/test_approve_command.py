"""`tidegate approve`: what waits, the answers to it, their exit codes, and what a run says that has to wait."""

import getpass
import json
import logging
import shlex
from collections.abc import Callable, Iterator

import pytest
from service_bench import Bench
from service_cli import RUN_ALL, CommandLine, Ran, assert_calm_and_discreet
from service_plans import seal

from blocks.plans import Plans
from tidegate.cli import main
from tidegate.commands.approve import approve

IMPORTED = (
    "import sys\nfrom tidegate.cli import main\ntry:\n  main()\nfinally:\n  print('\\n', *sys.modules, file=sys.stderr)"
)


@pytest.fixture
def orders(bench: Bench) -> Bench:
    """200 orders of three months, archived; the archive demands an approval."""
    bench.configure(approve=True)
    bench.fill_orders(200)
    bench.run(purging=False)
    return bench


@pytest.fixture
def said(orders: Bench, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """Runs commands that start no Prefect in this very process, which spares each of them the start."""
    loggers = [logging.getLogger(name) for name in ("tidegate", "prefect")]
    before = [list(logger.handlers) for logger in loggers]

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main.main([*arguments, "--config", str(orders.config_dir)])
        out, err = capfd.readouterr()
        return Ran(int(end.value.code or 0), out, err)

    yield run
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers = handlers


@pytest.mark.slow
def test_plans_are_approved_refused_and_sealed_again_as_the_examples_say(
    orders: Bench, with_prefect: CommandLine, said: Callable[..., Ran]
) -> None:
    january, *others = [generation.manifest.path for generation in orders.generations()]
    first, second = seal(orders, [january]), seal(orders, others)
    ids = {"3f9a01c2": first.plan_id, "77c0de55": second.plan_id}
    examples = [[ids.get(word, word) for word in shlex.split(example)] for example in approve.examples]
    runs = [["tidegate", "archive", "orders", *options] for options in ([], ["--json"], ["--yes"])]
    ran = with_prefect(json.dumps(examples + runs), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err
    assert_calm_and_discreet(ran, orders)
    [as_json] = [line for line in ran.out.splitlines() if line.startswith("{")]
    by_examples, by_runs, at_once = ran.out.replace(as_json, "would be").split("would be deleted")[1:]

    me = getpass.getuser()
    assert f"Next: tidegate approve {first.plan_id}\n" in by_examples
    assert f"The plan {second.plan_id} of orders was refused by {me}" in by_examples
    assert "not before the audit" in by_examples

    # Nothing of the refused plan was deleted: it is sealed once more, and waits.
    body = json.loads(as_json)
    assert (body["state"], body["exit_code"], body["decision"], body["totals"]["deleted"]) == ("waiting", 0, None, 0)
    assert {window["state"] for window in body["windows"]} == {"empty", "waiting"}
    third = Plans(orders.lake, "orders").filed()[-1]
    assert body["plan"] == third.plan.as_json()
    for text in (
        f"Plan {third.plan.plan_id}: 97 rows of public.orders in postgresql://127.0.0.1:", "Nothing was deleted yet.",
        f"Next: tidegate approve {third.plan.plan_id}\n      tidegate approve {third.plan.plan_id} --refuse\n",
    ):  # fmt: skip
        assert text in by_runs

    # Until somebody says --yes.
    assert f"It was approved by {me} at " in at_once
    decisions = [filed.decision for filed in Plans(orders.lake, "orders").filed()]
    assert [(d.outcome, d.by, d.reason, d.how) for d in decisions if d] == [
        ("approved", me, "ticket 815", "cli"),
        ("refused", me, "not before the audit", "cli"),
        ("approved", me, "", "--yes"),
    ]
    assert orders.count() == 0
    again = said("approve", first.plan_id, "--dry-run", "--json")
    assert again.code == 3
    assert "it was carried out already" in again.json["error"]["what"]


def test_what_waits_is_listed_and_status_says_so(
    orders: Bench, said: Callable[..., Ran], tidegate: CommandLine
) -> None:
    none = said("approve")
    assert (none.code, "No plan waits" in none.out) == (0, True)
    plan = seal(orders)
    listed = tidegate("approve", program=("-c", IMPORTED))
    assert plan.plan_id in listed.out and "public.orders" in listed.out
    assert not {"prefect", "polars", "duckdb", "psycopg"} & set(listed.err.splitlines()[-1].split())
    assert [waiting["plan_id"] for waiting in said("approve", "--json").json["plans"]] == [plan.plan_id]
    for arguments in (["status"], ["status", "orders"]):
        assert f"orders: plan {plan.plan_id} waits until " in said(*arguments).out
    [waiting] = said("status", "orders", "--json").json["waiting"]
    assert (waiting["plan"], waiting["rows"], waiting["windows"]) == (plan.plan_id, 200, 3)


def test_a_plan_that_is_not_there_or_no_longer_holds_is_told(orders: Bench, said: Callable[..., Ran]) -> None:
    plan = seal(orders)
    for arguments, word in (
        (["approve", plan.plan_id[:-1] + "x"], f"did you mean '{plan.plan_id}'?"),
        (["approve", "../../x"], "There is no plan"),
        (["approve", "--refuse"], "Which plan?"),
        (["approve", plan.plan_id, "--refuse", "--dry-run"], "do not go together"),
    ):
        ran = said(*arguments, "--json")
        assert ran.code == 2, arguments
        assert word in ran.json["error"]["what"]
    shown = said("approve", plan.plan_id, "--dry-run", "--json")
    assert (shown.code, shown.json["plan"]["totals"]["rows"], shown.json["state"]) == (0, 200, "planned")
    orders.configure(where="shop <> 'shop 1'")
    for options in ([], ["--dry-run"]):
        differs = said("approve", plan.plan_id, *options, "--json")
        assert differs.code == 3
        assert "where: None when the plan was sealed" in differs.json["error"]["what"]
    refused = said("approve", plan.plan_id, "--refuse", "--by", "bob", "--json")
    assert (refused.code, refused.json["state"], refused.json["decision"]["by"]) == (0, "refused", "bob")
    for options in ([], ["--refuse"]):
        twice = said("approve", plan.plan_id, *options)
        assert twice.code == 3
        assert "was refused by bob" in twice.err
    assert orders.count() == 200
