"""The commands that run flows: exit codes, the one JSON object, and a calm terminal."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from service_bench import Bench
from service_cli import (
    FLOWS,
    CommandLine,
    assert_calm_and_discreet,
    processes_with,
    wait_until_none_is_left_with,
)

from blocks.dialects.postgresql.lock import archiver_lock

TOTALS = {"archived", "deleted", "changed_since", "already_gone", "held", "quarantined", "bytes"}
WINDOW = {"start", "end", "state", "generation", *TOTALS, "seconds", "error"}


@pytest.mark.slow
def test_archive_does_its_job_and_says_so(bench: Bench, with_prefect: CommandLine) -> None:
    bench.settings = {"timezone": "Europe/Berlin"}
    bench.configure()
    bench.fill_orders(400)
    bench.sql("INSERT INTO orders (id) VALUES (0)")

    (bench.folder / "lake").mkdir()
    # A date without an offset is of the project's time zone, through Prefect's parameters too.
    dry = with_prefect("archive", "orders", "--dry-run", "--from", "2024-02-01", "--json")
    assert dry.code == 0, dry.err
    assert [dry.json["state"], dry.json["windows"][0]["start"]] == ["planned", "2024-01-31T23:00:00Z"]
    assert (bench.records(), bench.count()) == ({}, 401)

    ran = with_prefect("archive", "orders", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["archive"], ran.json["state"]) == ("orders", "done")
    assert set(ran.json["totals"]) == TOTALS
    assert all(set(window) >= WINDOW for window in ran.json["windows"])
    assert {window["state"] for window in ran.json["windows"]} == {"purged"}
    assert (ran.json["totals"]["archived"], ran.json["totals"]["deleted"], bench.count()) == (400, 400, 1)
    assert "event=archive_done archive=orders archived=400" in ran.err
    assert_calm_and_discreet(ran, bench)

    again = with_prefect("archive", "orders")
    assert again.code == 0
    assert "Windows with nothing to do: 4" in again.out
    assert "Rows without placed_at: 1; they stay in the table." in again.out
    assert_calm_and_discreet(again, bench)


@pytest.mark.slow
def test_archive_exits_with_3_when_the_proof_fails_and_deletes_nothing(bench: Bench, with_prefect: CommandLine) -> None:
    bench.fill_orders(100)
    bench.run(purging=False)
    damaged = bench.lake_files()[0]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    as_json = with_prefect("archive", "orders", "--json")
    assert as_json.code == 3, as_json.err
    assert (as_json.json["state"], as_json.json["totals"]["deleted"]) == ("failed", 0)
    assert damaged.name in as_json.json["windows"][0]["error"]
    assert as_json.json["error"]["exit_code"] == 3
    assert bench.count() == 100
    assert_calm_and_discreet(as_json, bench)

    told = with_prefect("orders", program=(str(FLOWS / "archive.py"),))
    assert told.code == 3
    assert "failed" in told.out
    assert damaged.name in told.err
    assert_calm_and_discreet(told, bench)


@pytest.mark.slow
def test_archive_exits_with_1_when_another_archiver_works_on_the_table(bench: Bench, with_prefect: CommandLine) -> None:
    bench.fill_orders(10)
    with archiver_lock(bench.url, bench.job().table):
        ran = with_prefect("archive", "orders", "--json")
    assert ran.code == 1
    assert ran.json["error"]["type"] == "Busy"
    assert_calm_and_discreet(ran, bench)


@pytest.mark.slow
def test_a_wrong_password_is_told_without_the_password(bench: Bench, with_prefect: CommandLine) -> None:
    parts = urlsplit(bench.url)
    assert parts.password and parts.username
    bench.url = bench.url.replace(parts.password, "hunter2-not-it")
    bench.configure()
    ran = with_prefect("archive", "orders", "--verbose")
    assert ran.code in (1, 2)
    assert "password" in ran.err
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.slow
def test_a_flow_without_a_server_runs_quietly_and_leaves_no_process(bench: Bench, tmp_path: Path) -> None:
    bench.fill_orders(20)
    home = tmp_path / "prefect"
    seen = CommandLine(bench.folder, {"PREFECT_HOME": str(home)}).on_a_terminal("archive", "orders")
    assert not processes_with(home)
    assert bench.count() == 0
    assert "Starting Prefect" in seen
    assert "purged" in seen
    for noise in ("Traceback", "Error", "WARN", "INFO", "Flow run", "temporary server", "event="):
        assert noise not in seen


@pytest.mark.slow
def test_a_killed_run_takes_its_prefect_server_along(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    code = (
        "import time; from tidegate.local_prefect import prefect\n"
        "with prefect(lambda: None) as wait:\n  print(flush=True); time.sleep(100)"
    )
    environment = CommandLine(tmp_path, {"PREFECT_HOME": str(home)}).all_variables
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert run.stdout is not None
    run.stdout.readline()
    assert len(processes_with(home)) == 2
    run.kill()
    run.communicate(timeout=10)
    wait_until_none_is_left_with(home)


@pytest.mark.parametrize("flow", ["archive", "approve", "restore", "verify_and_purge", "audit_lake"])
def test_flows_are_programs_with_the_options_of_their_commands(flow: str, tmp_path: Path) -> None:
    ran = CommandLine(tmp_path)("--help", program=(str(FLOWS / f"{flow}.py"),))
    assert ran.code == 0, ran.err
    assert f"Usage: python flows/{flow}.py [OPTIONS]" in ran.out
    assert "--json" in ran.out
