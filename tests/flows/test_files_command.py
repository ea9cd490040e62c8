"""`tidegate files` and what `tidegate ingest` says of files, as people see them."""

import json
import re
from pathlib import Path

import pytest
from files_bench import FilesBench
from service_cli import RUN_ALL, CommandLine, Ran, examples_of
from service_prefect_server import PrefectServer

from schemas.file_status import FileStatus
from schemas.project import Project
from schemas.sources.files import FilesSource, SftpSource
from tasks.ingest.file_status import file_statuses, file_tables

HEADER = "id,amount\n"


@pytest.fixture
def command(drop: FilesBench) -> CommandLine:
    """The command line in a project with a folder of files; no Prefect server is configured."""
    return CommandLine(drop.folder)


def listed(ran: Ran) -> dict[str, tuple[str, int, int]]:
    assert ran.code == 0, ran.err
    return {one["path"]: (one["status"], one["rows"], one["attempts"]) for one in ran.json["files"]}


def found(drop: FilesBench, only: FileStatus | None = None) -> dict[str, tuple[str, int, int]]:
    """Return what the command shows, without the second that it takes to start."""
    files, unreachable = file_statuses(file_tables(Project.load(drop.config_dir), "partner"), drop.lake, only)
    assert not unreachable
    return {one.path: (one.status.value, one.rows, one.attempts) for one in files}


def test_files_are_pending_then_done_or_failed_and_failures_can_be_taken_back(
    command: CommandLine, drop: FilesBench
) -> None:
    drop.put("a.csv", HEADER + "1,1.5\n")
    drop.put("b.csv", HEADER + "1,1.5,7\n")
    drop.put("copy.csv", HEADER + "1,1.5\n")
    assert found(drop) == {
        "a.csv": ("pending", 0, 0), "b.csv": ("pending", 0, 0), "copy.csv": ("pending", 0, 0)
    }  # fmt: skip
    drop.ingest()
    drop.put("c.csv", HEADER + "3,3.5\n")
    assert found(drop) == {
        "a.csv": ("done", 1, 1), "b.csv": ("failed", 0, 1), "copy.csv": ("done", 0, 1), "c.csv": ("pending", 0, 0)
    }  # fmt: skip
    shown = command("files", "--status", "failed")
    assert "b.csv" in shown.out and "a.csv" not in shown.out
    assert "line 2 has 3 fields" in shown.out and "Next: tidegate files retry" in shown.out
    assert found(drop, FileStatus.PENDING).keys() == {"c.csv"}
    refused = command("files", "retry", "x*.csv")
    assert (refused.code, "No file that has failed fits 'x*.csv'" in refused.err) == (2, True)
    retried = command("files", "retry", "b*")
    assert retried.code == 0, retried.err
    assert "The next run tries 1 file again." in retried.out and "Next: tidegate ingest partner" in retried.out
    assert found(drop)["b.csv"] == ("pending", 0, 1)
    assert {file.path for file in drop.ingest().files} == {"b.csv", "c.csv"}
    assert found(drop, FileStatus.FAILED) == {"b.csv": ("failed", 0, 2)}
    assert "nothing to try again" not in command("files", "retry").out
    assert "nothing to try again" in command("files", "retry").out


def test_what_cannot_be_asked_is_told_and_the_rest_is_shown(command: CommandLine, drop: FilesBench) -> None:
    drop.put("a.csv", HEADER + "1,1.5\n")
    drop.ingest()
    drop.configure(path=str(drop.folder / "no"))
    ran = command("files", "--json")
    assert listed(ran) == {"a.csv": ("done", 1, 1)}
    assert "is not there" in ran.json["unreachable"][0]["error"]
    assert "What is pending of partner is not known" in command("files").err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["again"], 2, "There is no action 'again'"),
        (["--source", "partnr"], 2, "did you mean 'partner'"),
        (["retry", "--status", "failed"], 2, "retry takes files that have failed"),
    ],
)
def test_what_is_not_there_is_named(command: CommandLine, arguments: list[str], code: int, told: str) -> None:
    ran = command("files", *arguments)
    assert (ran.code, told in ran.err) == (code, True), ran.err


def test_reading_the_state_of_files_does_not_start_prefect(command: CommandLine, drop: FilesBench) -> None:
    drop.put("a.csv", HEADER + "1,1.5\n")
    program = [
        "import sys; from tidegate.cli import main",
        "try: main(['files'])",
        "except SystemExit: pass",
        "assert 'prefect' not in sys.modules",
    ]
    ran = command(program=("-c", "\n".join(program)))
    assert ran.code == 0, ran.err


@pytest.mark.slow
def test_ingest_tells_what_became_of_the_files(drop: FilesBench, prefect_server: PrefectServer) -> None:
    command = CommandLine(drop.folder, prefect_server.environment)
    drop.put("a.csv", HEADER + "1,1.5\n")
    drop.put("b.csv", HEADER + "1,1.5,7\n")
    drop.put("copy.csv", HEADER + "1,1.5\n")
    ran = command("ingest", "partner")
    assert ran.code == 1
    assert "Files of partner, sales: 1 done, 1 failed, 1 with content that is there already." in ran.out
    assert "b.csv: line 2 has 3 fields" in ran.out
    assert "copy.csv: has the same content as a.csv, and was left alone" in ran.out
    assert "1 file failed:" in ran.err and "b.csv: line 2 has 3 fields" in ran.err
    ran = command("ingest", "partner", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["tables"][0]["state"] == "unchanged"


def test_examples_of_the_help_work(command: CommandLine, drop: FilesBench) -> None:
    drop.put("sales_2026-1.csv", HEADER + "9,9.5,7\n")
    drop.ingest()
    ran = command(json.dumps(examples_of("files")), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.err
    assert drop.ingest().files[0].state == "failed", "it was not tried again"


def test_the_examples_of_the_shipped_configuration_are_true(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "config/sources.yaml").read_text()
    config = tmp_path / "config"
    config.mkdir()
    (config / "archives.yaml").write_text("archives: []")
    before, mark, examples = text.partition("  # Files: of a folder here")
    assert mark
    shown = re.sub(r"^  # ?", "  ", (mark + examples).split("\n", 2)[2], flags=re.MULTILINE)
    (config / "sources.yaml").write_text(f"{before}{shown}")
    project = Project.load(config)
    partner, bank = project.source("partner"), project.source("bank")
    assert isinstance(partner, FilesSource) and isinstance(bank, SftpSource)
    assert (partner.path, partner.tables[0].partition_by) == (str(tmp_path / "incoming"), ("region",))
    assert (bank.marker, bank.tables[0].format.row_tag) == ("{name}.done", "Entry")
