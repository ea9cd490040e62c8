"""The pages under `docs/` are true: their commands run, their YAML is valid, their steps and checks do something."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter
from service_cli import CommandLine
from service_prefect_server import PrefectServer

from schemas.any_source import SourceEntry
from schemas.build_report import PipelineState
from schemas.config import Archive, ColumnOptions, Connection, Settings, Source
from schemas.config_file import read_config_file
from schemas.config_model import ConfigModel
from schemas.extract_config import ExtractOptions, ExtractTable
from schemas.pipelines.checks import Check
from schemas.pipelines.pipeline import Pipeline
from schemas.pipelines.publication import Publication
from schemas.pipelines.transforms import AnyTransform, Transform
from schemas.sources.api import (
    ApiExtract,
    ApiKeyAuth,
    ApiSource,
    ApiTable,
    BasicAuth,
    BearerAuth,
    CursorPagination,
    LinkPagination,
    OAuthAuth,
    OffsetPagination,
    PagePagination,
)
from schemas.sources.file_format import FileFormat, FixedField
from schemas.sources.files import FilesSource, FileTable, SftpConnection, SftpSource
from tasks.build.build_pipeline import build_pipeline
from tasks.ingest.ingest_table import ingest_table
from tidegate.scaffold.new_project import new_project

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
ENTRIES: dict[str, Any] = {
    "sources": SourceEntry, "archives": Archive, "pipelines": Pipeline, "publications": Publication,
}  # fmt: skip
LISTS: dict[str, Any] = {"yaml transforms": Transform, "yaml checks": Check}
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Runs what a page tells to type, in one process: Prefect takes seconds to import.
RUN_LINES = """
import json, os, shlex, subprocess, sys
from tidegate.cli import main
for line in json.loads(sys.argv[1]):
    print("$", line, flush=True)
    words = shlex.split(line)
    if words[0] == "cd":
        os.chdir(words[1])
        continue
    if words[0] != "tidegate":
        subprocess.run(line, shell=True, check=True)
        continue
    try:
        main(words[1:])
    except SystemExit as end:
        if end.code:
            sys.exit(f"{line}: {end.code}")
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*kinds: str, pages: list[str] = PAGES) -> list[Block]:
    found: list[Block] = []
    for page in pages:
        text = (DOCS / page).read_text()
        found += [
            Block(page, match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)
            for match in FENCE.finditer(text)
        ]
    return [block for block in found if not kinds or block.kind in kinds]


def commands(page: str) -> list[str]:
    lines = [line for block in blocks("console", pages=[page]) for line in block.text.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "blocks of commands show no answers: those are not checked"
    return [line.removeprefix("$ ") for line in lines]


def test_every_block_is_of_a_kind_that_is_tried_here() -> None:
    known = {"console", "yaml", "yaml transforms", "yaml checks", "mermaid", "text", "python"}
    for block in blocks():
        assert block.kind in known or block.kind.startswith(("python own_", "text ", "dbt ")), block


def test_lines_of_the_house_that_are_shown_are_there() -> None:
    for block in blocks():
        if block.kind.startswith("text "):
            assert block.text in (DOCS.parent / block.kind.removeprefix("text ")).read_text(), block


def test_every_key_of_every_source_is_explained() -> None:
    models: list[type[ConfigModel]] = [
        Source,
        ExtractTable,
        ExtractOptions,
        Connection,
        ColumnOptions,
        FilesSource,
        FileTable,
        FileFormat,
    ]
    models += [FixedField, SftpSource, SftpConnection, ApiSource, ApiTable, ApiExtract, BearerAuth, BasicAuth]
    models += [ApiKeyAuth, OAuthAuth, PagePagination, OffsetPagination, CursorPagination, LinkPagination]
    page = (DOCS / "connectors.md").read_text()
    words = {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"[a-z0-9_]+", code)}
    for model in models:
        assert set(model.model_fields) <= words, (model.__name__, set(model.model_fields) - words)


def test_every_key_of_a_pipeline_is_explained() -> None:
    page = (DOCS / "pipelines.md").read_text()
    for key in Pipeline.model_fields:
        assert f"| `{key}` |" in page, key


def test_every_setting_is_explained() -> None:
    page = (DOCS / "practice.md").read_text()
    for key in Settings.model_fields:
        assert f"`{key}`" in page, key


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", (DOCS / page).read_text()):
            assert (DOCS / target).exists(), (page, target)


def test_every_command_that_is_named_exists() -> None:
    from tidegate.cli import ALIASES, COMMANDS

    for page in PAGES:
        for name in re.findall(r"`tidegate ([a-z-]+)", (DOCS / page).read_text()):
            assert name in {*COMMANDS, *ALIASES}, (page, name)


@pytest.mark.parametrize("block", blocks("yaml", *LISTS), ids=str)
def test_yaml_is_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", block.text):
        monkeypatch.setenv(name, "x")
    if block.kind in LISTS:
        TypeAdapter(tuple[LISTS[block.kind], ...]).validate_python(_list_in(block))
        return
    (tmp_path / "block.yaml").write_text(block.text)
    content = read_config_file(tmp_path / "block.yaml")
    if set(content) <= set(Settings.model_fields):
        Settings.model_validate(content)
        return
    for key, entries in content.items():
        TypeAdapter(tuple[ENTRIES[str(key)], ...]).validate_python(entries)


def _list_in(block: Block) -> list[Any]:
    from schemas.config_file import _StrictLoader

    found = yaml.load(block.text, Loader=_StrictLoader)
    assert isinstance(found, list)
    return found


# What pipelines.md shows, on a table such as the one that it speaks of.

ORDERS = """
CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT, country TEXT);
INSERT INTO customers VALUES (1, 'Ada', 'AT'), (2, 'Bo', 'DE');
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER, email TEXT, status TEXT, note TEXT, amount TEXT, ordered_at TEXT,
    details TEXT, tags TEXT, updated_at DATETIME);
INSERT INTO orders VALUES
    (1, 1, ' Ada@example.com', 'NEW', 'x ', '10.50', '2024-01-31 10:00:00',
     '{"channel": "web", "parcel": {"weight": 1.5}}', '["a", "b"]', '2024-01-31 10:00:00'),
    (2, 1, 'ada@example.com', 'PAID', '', '20.00', '2024-02-29 10:00:00', '{"channel": "shop"}', '[]',
     '2024-02-29 10:00:00'),
    (3, 2, 'bo@example.com', 'DELETED', 'gone', '1.00', '2024-03-01 10:00:00', NULL, NULL, '2024-03-01 10:00:00');
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with those tables in its raw layer, and a pipeline for each example of the page."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "config").mkdir()
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.executescript(ORDERS)
    source = {
        "name": "shop",
        "type": "sqlite",
        "connection": {"url": "sqlite:///shop.db"},
        "tables": ["customers", "orders"],
    }
    (folder / "config/sources.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    pipelines: list[Any] = []
    for block in blocks("yaml", *LISTS, pages=["pipelines.md"]):
        if block.kind == "yaml":
            pipelines += yaml.safe_load(block.text)["pipelines"]
            continue
        key = "transforms" if "transforms" in block.kind else "quality_checks"
        made = {"source": "raw.shop.orders", "destination": f"staging.docs.line_{block.line}", key: _list_in(block)}
        pipelines.append({"name": f"line_{block.line}", **made})
    (folder / "config/pipelines.yaml").write_text(yaml.safe_dump({"pipelines": pipelines}))
    for block in blocks(pages=["pipelines.md"]):
        if block.kind.startswith("python own_"):
            (folder / f"{block.kind.removeprefix('python ')}.py").write_text(block.text)
    for table in ("customers", "orders"):
        ingest_table(folder / "config", "shop", table, "run")
    return folder


PIPELINES = [
    *(f"line_{block.line}" for block in blocks(*LISTS, pages=["pipelines.md"])),
    *(p["name"] for block in blocks("yaml", pages=["pipelines.md"]) for p in yaml.safe_load(block.text)["pipelines"]),
]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_example_of_a_pipeline_builds_a_table(examples: Path, name: str) -> None:
    report = build_pipeline(examples / "config", name, "run")
    assert report.state is PipelineState.DONE
    assert report.rows > 0 or report.quarantined > 0


def test_every_step_and_every_check_has_an_example() -> None:
    def types(union: Any) -> set[str]:
        return {model.model_fields["type"].annotation.__args__[0] for model in union.__args__}

    page = (DOCS / "pipelines.md").read_text()
    for kind in types(AnyTransform) | types(Check.__origin__):
        assert re.search(rf"^\*\*{kind}\*\*", page, re.MULTILINE), kind
        assert re.search(rf"^- (\{{)?type: {kind}\b", page, re.MULTILINE), kind


# What is typed.


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks("console", pages=[page])])
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    folder = tmp_path if page == "quickstart.md" else new_project(tmp_path / "shop").folder
    lines = commands(page)
    ran = CommandLine(folder, prefect_server.environment)(json.dumps(lines), program=("-c", RUN_LINES))
    assert ran.code == 0, ran.out + ran.err
    if page == "quickstart.md":
        ingested, built = (json.loads(line) for line in ran.out.splitlines() if line.startswith("{"))
        assert ingested["totals"]["rows"] == 0, "nothing is read twice"
        assert {pipeline["state"] for pipeline in built["pipelines"]} == {"unchanged"}
        assert re.search(r"\b2 +10\.0", ran.out[ran.out.index('"raw/inbox".orders') :]), "what is in the new file"
        _build_what_the_page_adds(tmp_path / "shop")


def _build_what_the_page_adds(folder: Path) -> None:
    [block] = [block for block in blocks("yaml", pages=["quickstart.md"]) if block.text.startswith("pipelines:")]
    file = folder / "config/pipelines.yaml"
    file.write_text(file.read_text() + block.text.removeprefix("pipelines:\n"))
    assert build_pipeline(folder / "config", "inbox_orders", "run").rows == 2


def test_the_script_that_runs_the_lines_fails_where_one_fails(tmp_path: Path) -> None:
    for line in ("tidegate query", "false"):
        ran = CommandLine(tmp_path)(json.dumps([line, "touch never"]), program=("-c", RUN_LINES))
        assert ran.code != 0
        assert not (tmp_path / "never").exists()
