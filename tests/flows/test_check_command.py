"""`tidegate check`: all that is wrong is told at once, by its place, and what is right is told as well."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from service_cli import CommandLine, Ran

from schemas.project import Project
from tasks.check.check_project import check_project
from tasks.check.checked import Check, Checked
from tidegate.commands.check import check
from tidegate.demo.postgres import EmbeddedPostgres
from tidegate.demo.sftp_server import SftpServer
from tidegate.scaffold.new_project import new_project

NOWHERE = "127.0.0.1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project with its sample data."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return new_project(tmp_path / "shop").folder


class Editor:
    """Changes the YAML files of a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, key: str, *entries: dict[str, Any], **changes: dict[str, Any]) -> None:
        """Append entries to a list, and change those of a name."""
        file = self.folder / "config" / f"{name}.yaml"
        content = yaml.safe_load(file.read_text().replace("on: [", '"on": ['))
        for entry in content[key]:
            entry.update(changes.get(entry["name"], {}))
        content[key] += entries
        file.write_text(yaml.safe_dump(content, allow_unicode=True))

    def check(self, **options: Any) -> dict[str, Checked]:
        found = check_project(Project.load(self.folder / "config"), **options)
        assert len({one.subject for one in found}) == len(found)
        return {one.subject: one for one in found}

    def wrong(self, **options: Any) -> dict[str, Checked]:
        return {subject: one for subject, one in self.check(**options).items() if not one.ok}


@pytest.fixture
def edit(folder: Path) -> Editor:
    return Editor(folder)


def test_a_new_project_is_right_in_all_its_parts(edit: Editor) -> None:
    found = edit.check()
    assert [one for one in found.values() if not one.ok] == []
    assert found["source shop, orders"].found == '"main"."orders": 7 columns, incremental, by updated_at'
    assert found["source price_list, products"].found.startswith("1 file *.csv in ")
    assert found["pipelines"].found == "customers -> products -> orders -> revenue_by_month -> best_customers"
    assert "not in the lake yet: raw/shop/customers" in found["pipeline customers"].found
    assert {"configuration", "lake", "publication bi", "model models.shop:Orders", "pipeline orders"} <= found.keys()
    assert list((edit.folder / "lake").rglob("*.*")) == []


def test_offline_nothing_is_connected_to_or_written(edit: Editor, folder: Path) -> None:
    (folder / "data/shop.db").unlink()
    before = sorted(folder.rglob("*"))
    found = edit.check(offline=True)
    assert all(one.ok for one in found.values())
    assert {subject.split()[0] for subject in found} == {"configuration", "model", "pipelines", "pipeline"}
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts] == before


def test_everything_that_is_wrong_is_told_at_once_and_the_rest_is_tried(edit: Editor, folder: Path) -> None:
    by_status = {"mode": "incremental", "key_column": "status"}
    edit(
        "sources", "sources",
        {"name": "gone", "type": "postgresql", "tables": ["t"],
         "connection": {"host": NOWHERE, "port": 1, "database": "d", "user": "u", "password": "hunter2"}},
        {"name": "later", "type": "sqlite", "enabled": False, "tables": ["t"], "connection": {"url": "sqlite:///x.db"}},
        shop={"tables": ["customers", "oders", {"table": "orders", "extract": by_status}]},
        price_list={"path": "data/nowhere", "tables": [{"name": "products", "files": "*", "gate": "models.shop:No"}]},
    )  # fmt: skip
    bad_columns = [
        {"name": "a", "files": "*.csv", "select": "SELEC 1 FROM"},
        {"name": "b", "files": "*.csv", "types": {"x": "DAT"}},
    ]
    edit("sources", "sources", {"name": "fi", "type": "files", "path": "data/price_list", "tables": bad_columns})
    (folder / "data/afile").write_text("")
    edit("publish", "publications", bi={"path": "data/afile/lake.duckdb"})
    edit(
        "archives", "archives",
        {"name": "old", "source": "shop", "table": "orders", "time_column": "status", "older_than": "1 year"},
    )  # fmt: skip
    edit(
        "pipelines", "pipelines",
        {"name": "typo", "source": "raw.shop.custmers", "destination": "staging.sales.typo"},
        {"name": "broken", "sql": "SELEC 1", "destination": "consume.bi.broken"},
        {"name": "own", "source": "raw.shop.customers", "destination": "staging.sales.own",
         "transforms": [{"type": "python", "function": "models.shop:nothing"}]},
        {"name": "egg", "source": "staging.a.hen", "destination": "staging.a.egg"},
        {"name": "hen", "source": "staging.a.egg", "destination": "staging.a.hen"},
    )  # fmt: skip
    wrong = edit.wrong()
    told = {subject: one.found for subject, one in wrong.items()}
    expected = {
        "source gone, t": "127.0.0.1",
        "source shop, oders": "oders",
        "source shop, orders": "extract.key_column: status is of type",
        "source price_list, products": "nowhere",
        "columns of fi, a": "sources[fi].tables[a].select",
        "columns of fi, b": "sources[fi].tables[b].types.x: 'DAT' is no type",
        "archive old": "archives[old].time_column: status is of type",
        "publication bi": "data/afile is a file",
        "model models.shop:No": "'models.shop:No' cannot be imported",
        "function models.shop:nothing": "has no 'nothing'",
        "pipelines": "need each other in a circle",
        "pipeline typo": "reads raw.shop.custmers, which is not in the lake, and which no source",
        "pipeline broken": "pipelines[broken].sql",
        "pipeline egg": "egg",
        "pipeline hen": "hen",
    }
    assert told.keys() == expected.keys()
    for subject, part in expected.items():
        assert part in told[subject], (subject, told[subject])
        assert wrong[subject].next_step or subject in ("function models.shop:nothing",), subject
    assert "did you mean 'raw.shop.customers'?" in told["pipeline typo"]
    assert not wrong["source gone, t"].in_config
    assert all(one.in_config for subject, one in wrong.items() if subject.startswith(("pipeline", "model", "archive")))
    assert "hunter2" not in str(wrong)
    right = edit.check()
    assert right["source shop, customers"].ok and right["pipeline orders"].ok
    assert "not looked into: later" in right["configuration"].found


def test_columns_are_checked_through_pipelines_that_have_not_run_yet(edit: Editor, folder: Path) -> None:
    from tasks.ingest.ingest_table import ingest_table

    for table in ("customers", "orders"):
        ingest_table(folder / "config", "shop", table, "run")
    edit(
        "pipelines", "pipelines",
        {"name": "again", "source": "staging.sales.customers", "destination": "staging.sales.again",
         "transforms": [{"type": "select", "columns": ["customer_id", "full_name"]}]},
    )  # fmt: skip
    found = edit.check()
    assert found["pipeline customers"].found == "raw/shop/customers -> staging/sales/customers: 5 columns"
    assert "there is no column 'full_name' here" in found["pipeline again"].found
    assert found["pipeline orders"].ok and "raw/price_list/products" in found["pipeline orders"].found


def test_a_lake_that_cannot_be_written_is_told(edit: Editor, folder: Path) -> None:
    (folder / "afile").write_text("")
    (folder / "config/settings.yaml").write_text("lake: ./afile\n")
    wrong = edit.wrong()
    assert "afile" in wrong["lake"].found and wrong["lake"].next_step


def test_a_fault_that_nobody_foresaw_is_told_and_stops_no_other() -> None:
    def work() -> str:
        raise ZeroDivisionError("of ours")

    found = Check("x", work).run()
    assert (found.ok, found.found, found.in_config) == (False, "ZeroDivisionError: of ours", False)
    assert "in work" in found.trace and "trace" not in found.as_json()


# Over the network.


class _Api(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        allowed = self.headers.get("Authorization") == "Bearer hunter2"
        body = {"/v1/orders?offset=0&limit=2": b'{"data": [{"id": 1}, {"id": 2}]}', "/api/health": b"true"}.get(
            self.path
        )
        self.send_response(200 if body and (allowed or "health" in self.path) else 404 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"{}")))
        self.end_headers()
        self.wfile.write(body or b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[str, list[str]]]:
    """An HTTP API, and what it was asked."""
    handler = type("Handler", (_Api,), {"asked": []})
    with http.server.ThreadingHTTPServer((NOWHERE, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{NOWHERE}:{server.server_port}", handler.asked
        server.shutdown()


def test_an_api_is_asked_once_for_each_resource(edit: Editor, api: tuple[str, list[str]]) -> None:
    url, asked = api
    offset = {"type": "offset", "limit": 2}
    source = {
        "type": "api", "url": f"{url}/v1", "auth": {"type": "bearer", "token": "hunter2"}, "retries": 0, "tables": [
            {"name": "orders", "path": "/orders", "records": "data", "pagination": offset},
            {"name": "elsewhere", "path": "/orders", "records": "items", "pagination": offset},
            {"name": "nothing", "path": "/nothing"},
        ],
    }  # fmt: skip
    edit(
        "sources",
        "sources",
        {**source, "name": "api"},
        {**source, "name": "out", "auth": {"type": "bearer", "token": "x"}},
    )
    found = edit.check()
    assert found["source api, orders"].found == f"2 records on the first page of {url}/v1/orders"
    assert "without the records that were expected (records: items)" in found["source api, elsewhere"].found
    assert "404" in found["source api, nothing"].found and "401" in found["source out, orders"].found
    assert len(asked) == 6
    assert "hunter2" not in str(found)


def test_prefect_is_asked_if_it_is_configured(
    edit: Editor, api: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = api
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    assert edit.check()["Prefect"].found == f"{url}/api: healthy"
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert f"{url}/health answered 401" in edit.wrong()["Prefect"].found
    monkeypatch.setenv("PREFECT_API_URL", f"http://{NOWHERE}:1/api")
    assert "does not answer (ConnectError)" in edit.wrong()["Prefect"].found


def test_a_folder_of_an_sftp_server_is_listed(edit: Editor, sftp_server: SftpServer, sftp_folder: Path) -> None:
    (sftp_folder / "orders_1.csv").write_text("id\n1\n")
    source = {
        "name": "partner", "type": "sftp", "path": str(sftp_folder), "connection": sftp_server.connection(),
        "tables": [{"name": "orders", "files": "orders*.csv"}],
    }  # fmt: skip
    wrong_key = {**source["connection"], "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB" + "A" * 42}  # type: ignore[dict-item]
    wrong_key.pop("known_hosts", None)
    edit("sources", "sources", source, {**source, "name": "other", "connection": wrong_key})
    found = edit.check()
    assert found["source partner, orders"].found.startswith("1 file orders*.csv in sftp://")
    assert not found["source other, orders"].ok and "key" in found["source other, orders"].found
    assert [path.name for path in sftp_folder.iterdir()] == ["orders_1.csv"]


def test_databases_are_connected_to(edit: Editor, postgres: EmbeddedPostgres, database: str) -> None:
    connection = {"url": database}
    wrong = {"url": database.replace(postgres.password, "hunter2")}
    edit(
        "publish",
        "publications",
        {"name": "dwh", "type": "postgresql", "connection": connection, "tables": ["consume/*"]},
    )
    edit(
        "sources", "sources", {"name": "empty", "type": "postgresql", "connection": connection},
        {"name": "out", "type": "postgresql", "connection": wrong, "tables": ["t"]},
    )  # fmt: skip
    found = edit.check()
    assert found["publication dwh"].found.startswith("connected to test_")
    assert found["source empty"].found == "connected"
    assert not found["source out, t"].ok and "password" in found["source out, t"].found
    assert postgres.password not in str(found) and "hunter2" not in str(found)


# The command.


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command in this process: one of its own takes seconds to start."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            check.main(list(arguments))
        out, err = capfd.readouterr()
        return Ran(int(end.value.code or 0), out, err)

    return run


def test_the_command_says_what_it_found_in_lines(folder: Path) -> None:
    ran = CommandLine(folder)("check")
    assert (ran.code, ran.err) == (0, "")
    assert "ok     source shop, customers" in ran.out and "13 of 13 are right." in ran.out


def test_the_exit_code_says_what_kind_of_thing_is_wrong(edit: Editor, run: Callable[..., Ran], api: Any) -> None:
    assert all(one["ok"] for one in run("--offline", "--json").json["checks"])

    source = {"name": "api", "type": "api", "url": f"{api[0]}/v1", "tables": [{"name": "orders", "path": "/orders"}]}
    edit("sources", "sources", source)
    ran = run("--json")
    wrong = [one for one in ran.json["checks"] if not one["ok"]]
    assert [one["subject"] for one in wrong] == ["source api, orders"] and not ran.json["ok"]
    assert (ran.code, wrong[0]["in_config"]) == (1, False)

    edit("pipelines", "pipelines", {"name": "broken", "sql": "SELEC 1", "destination": "consume.bi.broken"})
    ran = run()
    assert ran.code == 2
    assert "wrong  pipeline broken" in ran.out and "       Next: " in ran.out and "13 of 15 are right." in ran.out


def test_files_that_are_wrong_in_themselves_are_told_with_all_their_problems(
    folder: Path, run: Callable[..., Ran]
) -> None:
    sources = folder / "config/sources.yaml"
    sources.write_text(
        sources.read_text().replace("type: files", "type: file").replace("sqlite:///data", "mysql:///data")
    )
    (folder / "config/settings.yaml").write_text("timezone: Mars\n")
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert "The configuration in" in ran.err and "(3 problems)" in ran.err
