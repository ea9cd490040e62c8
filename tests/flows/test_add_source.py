"""`tidegate add-source`: what is there stays as it is, and what is added is right, or nothing is written."""

import json
import os
import re
import stat
from pathlib import Path
from typing import get_args

import pytest
from service_cli import CommandLine

from schemas.any_source import AnySource
from schemas.config import Source
from schemas.errors import Busy, ConfigError
from schemas.project import Project
from tidegate.scaffold import add_source as module
from tidegate.scaffold.add_source import add_source
from tidegate.scaffold.source_block import SOURCE_TYPES, source_block

SHOP = """# Ours.
sources:
  - name: shop   # the shop
    type: sqlite
    connection: {url: "sqlite:///shop.db"}
    tables: [orders]
    # extract: {mode: full}
# the end
"""
FILES = "- {name: a, type: files, path: x}"
MYSQL = "- {name: a, type: mysql, connection: {host: ${A_HOST:-h}, database: d}, tables: [t]}"


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "sources.yaml").write_text(SHOP)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CRM_", "SHOP_")):
            monkeypatch.delenv(name)


def set_all(folder: Path, variables: tuple[str, ...]) -> None:
    (folder / ".env").write_text("".join(f"{name}=x\n" for name in variables))


def names(config_dir: Path) -> list[str]:
    return [source.name for source in Project.load(config_dir).sources]


@pytest.mark.parametrize("kind", SOURCE_TYPES)
def test_a_source_of_each_type_is_valid_with_its_variables_set(config_dir: Path, kind: str) -> None:
    added = add_source(config_dir, kind, "my-crm")
    text = (config_dir / "sources.yaml").read_text()
    assert text.startswith(SHOP)
    assert text.splitlines()[added.line - 1] == "  - name: my-crm"
    assert all(name.startswith("MY_CRM_") for name in added.variables)
    assert added.missing == added.variables
    if kind not in ("sqlite", "files"):
        assert added.variables
        with pytest.raises(ConfigError, match=added.variables[0]):
            Project.load(config_dir)
        example = (config_dir.parent / ".env.example").read_text()
        assert example == "# my-crm, in config/sources.yaml\n" + "".join(f"{v}=\n" for v in added.variables)
        assert stat.S_IMODE((config_dir.parent / ".env.example").stat().st_mode) & stat.S_IRUSR
    set_all(config_dir.parent, added.variables)
    assert names(config_dir) == ["shop", "my-crm"]
    assert Project.load(config_dir).source("my-crm").type == kind
    assert sorted(path.name for path in config_dir.iterdir()) == ["sources.yaml"]
    assert not list(config_dir.parent.glob(".tidegate*"))


@pytest.mark.parametrize("kind", SOURCE_TYPES)
def test_secrets_in_an_entry_are_variables(kind: str) -> None:
    for line in source_block(kind, "crm").text.splitlines():
        for found in re.finditer(r"\b(password|token|value|client_secret|key_passphrase): *([^,\s]+)", line):
            assert re.match(r'"?\$\{CRM_[A-Z_]+\}"?[}).]*', found[2]), line


# An option that stands in a comment beside one that it takes the place of.
INSTEAD = {
    "mode: incremental": ("mode: full", ["key_column: updated_at"]),
    "key_column: updated_at": ("mode: full", ["mode: incremental"]),
    "overlap: 1 hour": ("mode: full", ["mode: incremental", "key_column: updated_at"]),
    "after: move": ("after: keep", ["move_to: done"]),
    "move_to: done": ("after: keep", ["after: move"]),
    "auth:": ("auth:", []),
    "name: sales_items": ("\0", ["- table: sales.items"]),
    "name: order_items": ("\0", ["- table: items"]),
}


@pytest.mark.parametrize("kind", SOURCE_TYPES)
def test_each_option_that_a_comment_shows_is_true(config_dir: Path, kind: str) -> None:
    added = add_source(config_dir, kind, "crm")
    set_all(config_dir.parent, (*added.variables, "CRM_USER", "CRM_PASSWORD", "CRM_KEY", "CRM_SECRET"))
    lines = source_block(kind, "crm").text.splitlines()
    option = re.compile(r"^ +# +(- )?[a-z_]+: ")
    options = [place for place, line in enumerate(lines) if option.match(line)]
    assert len(options) >= 5
    for place in options:
        shown = lines[place].partition("#")[2].strip()
        gone, with_them = next(
            (instead for start, instead in INSTEAD.items() if shown.startswith(start)), ("\0", list[str]())
        )
        chosen = {place} | {
            other
            for other in options
            for start in with_them
            if lines[other].partition("#")[2].strip().startswith(start)
        }
        below = next((p for p in range(place, -1, -1) if "- table:" in lines[p]), None)
        if below is not None and lines[place].startswith("      #   "):
            chosen.add(below)  # an option of the table above it
        text = [
            line.replace("# ", "", 1) if number in chosen else line
            for number, line in enumerate(lines)
            if number in chosen or not line.strip().startswith(gone)
        ]
        (config_dir / "sources.yaml").write_text("sources:\n" + "\n".join(text) + "\n")
        (config_dir / "archives.yaml").write_text("archives: []\n")
        assert names(config_dir) == ["crm"], shown


@pytest.mark.parametrize(
    ("before", "begins"),
    [
        ("", "sources:\n  - name: crm\n"),
        ("# nothing yet", "# nothing yet\nsources:\n  - name: crm\n"),
        ("sources: []  # none\n", "sources:  # none\n  - name: crm\n"),
        ("# a\nsources: [ ]\n# b\n", "# a\nsources:\n# b\n  - name: crm\n"),
        ("sources:\n", "sources:\n  - name: crm\n"),
        ("sources: null\n", "sources:\n  - name: crm\n"),
        ("sources:\n# none yet", "sources:\n# none yet\n  - name: crm\n"),
        (f"---\nsources:\n{FILES}", f"---\nsources:\n{FILES}\n\n- name: crm\n"),
        (SHOP.replace("\n", "\r\n"), SHOP.replace("\n", "\r\n") + "\r\n  - name: crm\r\n"),
        (SHOP.replace("\n  ", "\n      "), SHOP.replace("\n  ", "\n      ") + "\n      - name: crm\n"),
        (f"sources:\n{MYSQL}\n", f"sources:\n{MYSQL}\n\n- name: crm\n"),
    ],
)  # fmt: skip
def test_an_entry_is_added_to_every_form_of_the_file(config_dir: Path, before: str, begins: str) -> None:
    (config_dir / "sources.yaml").write_bytes(before.encode())
    added = add_source(config_dir, "postgresql", "crm")
    text = (config_dir / "sources.yaml").read_bytes().decode()
    assert text.startswith(begins), text
    assert text.splitlines()[added.line - 1].strip() == "- name: crm"
    set_all(config_dir.parent, added.variables)
    crm = Project.load(config_dir).source("crm")
    assert isinstance(crm, Source) and crm.connection.host == "x"


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (SHOP.replace("name: shop", "name: crm"), "There is a source 'crm' already."),
        ("sources: [{name: a, type: files, path: x}]", "`sources` is a list in brackets"),
        ("sources:\n  - {name: a\n", "It is no YAML (line"),
        ("sources: []\nother: 1\n", "It has to be a mapping with the one key `sources`."),
        ("- name: a\n", "It has to be a mapping with the one key `sources`."),
        ("sources: {a: 1}\n", "`sources` has to be a list."),
        ("sources: []\n---\nsources: []\n", "It is no YAML"),
        (SHOP + "...\n", "is no YAML"),
        (SHOP.replace("type: sqlite", "type: sqlight"), "sources[shop].type: must be one of"),
    ],
)
def test_a_file_that_cannot_take_it_is_left_as_it_was(config_dir: Path, before: str, told: str) -> None:
    (config_dir / "sources.yaml").write_text(before)
    with pytest.raises(ConfigError) as caught:
        add_source(config_dir, "postgresql", "crm")
    assert told in caught.value.what
    assert caught.value.state == "sources.yaml is as it was." and caught.value.next_step
    assert (config_dir / "sources.yaml").read_text() == before
    assert sorted(path.name for path in config_dir.parent.rglob("*")) == ["config", "sources.yaml"]


def test_a_problem_in_another_file_keeps_it_from_being_written(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(
        "archives: [{name: a, source: nobody, table: t, time_column: c, to: 2024-01-01}]"
    )
    with pytest.raises(ConfigError, match=r"archives\[a\]\.source: there is no source 'nobody'"):
        add_source(config_dir, "files", "crm")
    assert (config_dir / "sources.yaml").read_text() == SHOP


@pytest.mark.parametrize("name", ["CRM", "my crm", "", "../x", "crm:", "ärger", "a" * 3 + "\n"])
def test_a_name_that_is_none_is_refused(config_dir: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must be lower-case letters, digits, _ and -"):
        add_source(config_dir, "files", name)
    assert (config_dir / "sources.yaml").read_text() == SHOP


def test_other_entries_whose_variables_are_not_set_do_not_stand_in_the_way(config_dir: Path) -> None:
    first = add_source(config_dir, "postgresql", "crm")
    assert first.unchecked == ()
    second = add_source(config_dir, "mysql", "crm-old")
    assert set(second.unchecked) == set(first.variables)
    set_all(config_dir.parent, (*first.variables, *second.variables))
    assert names(config_dir) == ["shop", "crm", "crm-old"]
    assert add_source(config_dir, "sftp", "crm2").unchecked == ()


def test_what_env_example_has_already_is_not_repeated(config_dir: Path) -> None:
    example = config_dir.parent / ".env.example"
    example.write_text("# mine\nexport CRM_HOST=db\n#CRM_USER=\nCRM_PASSWORD=")
    (config_dir.parent / ".env").write_text("CRM_HOST=db\n")
    added = add_source(config_dir, "postgresql", "crm")
    assert example.read_text() == (
        "# mine\nexport CRM_HOST=db\n#CRM_USER=\nCRM_PASSWORD=\n\n"
        "# crm, in config/sources.yaml\nCRM_DATABASE=\nCRM_USER=\n"
    )
    assert added.missing == ("CRM_DATABASE", "CRM_USER", "CRM_PASSWORD")
    assert (config_dir.parent / ".env").read_text() == "CRM_HOST=db\n"


def test_a_link_stays_a_link_and_the_rights_of_the_file_stay_as_they_are(config_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    (config_dir / "sources.yaml").rename(elsewhere)
    elsewhere.chmod(0o640)
    (config_dir / "sources.yaml").symlink_to(elsewhere)
    add_source(config_dir, "files", "crm")
    assert (config_dir / "sources.yaml").is_symlink()
    assert "name: crm" in elsewhere.read_text()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640


def test_a_file_that_somebody_else_changes_meanwhile_is_not_overwritten(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config_dir / "sources.yaml"
    checked = module._check

    def check_and_lose(*arguments: object) -> tuple[str, ...]:
        file.write_text(SHOP + "# theirs\n")
        return checked(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_check", check_and_lose)
    with pytest.raises(Busy):
        add_source(config_dir, "files", "crm")
    assert file.read_text() == SHOP + "# theirs\n"
    assert [path.name for path in config_dir.iterdir()] == ["sources.yaml"]


def test_the_command_says_where_it_is_and_what_is_to_be_set(config_dir: Path) -> None:
    tidegate = CommandLine(config_dir.parent)
    ran = tidegate("add-source", "sftp", "partner")
    assert ran.code == 0, ran.err
    assert "Added partner (sftp) to config/sources.yaml, from line 10 on." in ran.out
    assert f"{config_dir.parent}/.env: PARTNER_HOST, PARTNER_USER, PARTNER_PASSWORD" in ran.out
    assert "tidegate ingest partner" in ran.out
    as_json = tidegate("add-source", "api", "rates", "--json", "--config", "config")
    assert json.loads(as_json.out) == {
        "source": "rates", "type": "api", "file": "config/sources.yaml", "line": 33, "variables": ["RATES_TOKEN"],
        "not_set": ["RATES_TOKEN"],
    }  # fmt: skip
    assert tidegate("add-source", "oracle", "x").code == 2
    taken = tidegate("add-source", "sqlite", "shop", "--json")
    assert (taken.code, "There is a source 'shop' already." in taken.json["error"]["what"]) == (2, True)
    nowhere = tidegate("add-source", "files", "crm", "--config", "nowhere")
    assert (nowhere.code, "There is no configuration folder" in nowhere.err) == (2, True)


def test_every_type_of_source_can_be_added() -> None:
    known = {tag for model in get_args(AnySource) for tag in get_args(model.model_fields["type"].annotation)}
    assert set(SOURCE_TYPES) == known
