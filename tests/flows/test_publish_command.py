"""`tidegate publish` as people use it: several publications, one table that fails, and what they are told."""

import json

import psycopg
import pytest
import yaml
from publish_bench import PublishBench
from service_cli import RUN_ALL, CommandLine, examples_of
from service_prefect_server import PrefectServer


@pytest.fixture
def both(publishing: PublishBench, monkeypatch: pytest.MonkeyPatch) -> PublishBench:
    """A project with two publications, a table that can be published and one that cannot."""
    monkeypatch.setenv("DWH_URL", publishing.url)
    publishing.put("SELECT 1::INTEGER AS id")
    publishing.put("SELECT chr(0) AS bad", "consume/bi/broken")
    warehouse = {
        "name": "warehouse", "type": "postgresql", "connection": {"url": "${DWH_URL}"}, "tables": ["consume/*"],
    }  # fmt: skip
    bi = {"name": "bi", "type": "duckdb", "path": "./lake.duckdb"}
    (publishing.config_dir / "publish.yaml").write_text(yaml.safe_dump({"publications": [warehouse, bi]}))
    return publishing


@pytest.fixture
def command_line(both: PublishBench, prefect_server: PrefectServer) -> CommandLine:
    return CommandLine(both.folder, prefect_server.environment)


def test_what_can_be_published_is_and_what_cannot_is_named(command_line: CommandLine, both: PublishBench) -> None:
    ran = command_line("publish")
    assert ran.code == 1, ran.err
    assert "there is one in: bad (1 rows)" in ran.err and "1 of 3 tables failed" in ran.err
    password = psycopg.conninfo.conninfo_to_dict(both.url)["password"]
    assert str(password) not in ran.out + ran.err and "Traceback" not in ran.err
    assert both.sql("SELECT * FROM consume.top") == [(1,)]
    assert (both.folder / "lake.duckdb").exists()
    ran = command_line("publish", "bi", "--json")
    assert ran.code == 0, ran.err
    assert [(t["state"], t["rows"]) for t in ran.json["tables"]] == [("unchanged", 2)]


def test_what_is_not_there_is_named_before_anything_starts(command_line: CommandLine, both: PublishBench) -> None:
    ran = command_line("publish", "warehous")
    assert ran.code == 2
    assert "There is no publication 'warehous'; did you mean 'warehouse'?" in ran.err
    (both.config_dir / "publish.yaml").unlink()
    ran = command_line("publish", "--json")
    assert ran.code == 2 and "has no publications" in ran.json["error"]["what"]


@pytest.mark.slow
def test_examples_of_the_help_work(command_line: CommandLine, both: PublishBench) -> None:
    both.put("SELECT 'fine' AS bad", "consume/bi/broken")
    ran = command_line(json.dumps(examples_of("publish")), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err
    assert both.sql("SELECT bad FROM consume.broken") == [("fine",)]
