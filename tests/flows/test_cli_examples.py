"""Every example that a `--help` shows is run, in a project such as the one that it speaks of."""

import json
from pathlib import Path

import pytest
from service_bench import Bench
from service_cli import FLOWS, RUN_ALL, CommandLine, examples_of

from tidegate.cli import COMMANDS
from tidegate.cli import FLOWS as FLOW_COMMANDS

FLIGHTS = """
CREATE TABLE flights (
    id bigint PRIMARY KEY, departed_at timestamptz, carrier text, flight int, dest text, fare numeric(12,4));
INSERT INTO flights SELECT g, '2013-01-01 05:00:00+00'::timestamptz + g * interval '5 hours', 'C' || g % 4, g, 'BOS', g
FROM generate_series(1, 400) g;
CREATE TABLE flights_february (LIKE flights INCLUDING ALL);
"""


@pytest.fixture
def flights(bench: Bench) -> Bench:
    """A project that archives flights of 2013."""
    bench.sql(FLIGHTS)
    (bench.folder / "lake").mkdir()
    bench.configure(name="flights", table="public.flights", time_column="departed_at", to=None, older_than="90 days")
    return bench


def test_every_command_is_either_tried_here_or_elsewhere() -> None:
    reading = {"query", "status", "verify", "catalog", "lineage"}
    flows = {"archive", "restore", "erase", "expire", "expire-lake"}
    tried = {*reading, *flows, "verify-and-purge", "audit-lake", "ingest", "publish", "files"}
    tried |= {"init", "add-source", "check", "run", "build", "deploy"}  # each in tests of their own
    assert {*COMMANDS, *FLOW_COMMANDS} - {"demo", "approve"} == tried


@pytest.mark.parametrize("name", ["query", "status", "verify", "catalog", "lineage"])
def test_examples_of_commands_that_only_read_work(flights: Bench, tidegate: CommandLine, name: str) -> None:
    flights.configure(partition_by=["carrier", "year", "month"])
    flights.run()
    ran = tidegate(_as_json(examples_of(name)), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err


@pytest.mark.slow
def test_examples_of_commands_that_run_flows_work(flights: Bench, with_prefect: CommandLine) -> None:
    february = "departed_at >= '2013-02-01 00:00:00+00' AND departed_at < '2013-03-01 00:00:00+00'"
    [(expected,)] = flights.sql(f"SELECT count(*) FROM flights WHERE {february}")
    examples = examples_of("archive", "erase", "expire", "restore", "verify-and-purge", "audit-lake")
    ran = with_prefect(_as_json(examples), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err
    assert flights.count("flights_february") == expected


def test_example_flows_are_there() -> None:
    for example in examples_of("verify-and-purge", "audit-lake"):
        assert (FLOWS / Path(example[1]).name).is_file()


def _as_json(examples: list[list[str]]) -> str:
    return json.dumps(examples)
