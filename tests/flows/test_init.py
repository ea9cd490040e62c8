"""`tidegate init`: a project that runs as it is, by the very commands that it prints."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from service_cli import RUN_ALL, CommandLine, Ran, examples_of
from service_prefect_server import PrefectServer

from schemas.errors import ConfigError
from schemas.project import Project
from tidegate.scaffold.new_project import new_project
from tidegate.scaffold.sample_data import CUSTOMERS, ORDERS, write_sample_data

PROGRAMS = Path(sys.executable).parent  # where the console script is


def in_a_shell(folder: Path, *lines: str, environment: dict[str, str] | None = None) -> Ran:
    """Run lines as somebody types them, one after the other; the first that fails ends it."""
    variables = CommandLine(folder, environment or {}).all_variables
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True, timeout=250,
        env={**variables, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_the_commands_that_are_printed_show_three_layers(tmp_path: Path, prefect_server: PrefectServer) -> None:
    made = in_a_shell(tmp_path, "tidegate init shop")
    assert made.code == 0, made.err
    commands = [line.strip() for line in made.out.partition("Next: ")[2].partition("Then: ")[0].splitlines()]
    assert commands[:5] == ["cd shop", "tidegate check", "tidegate ingest", "tidegate run --all", "tidegate catalog"]
    ran = in_a_shell(tmp_path, *commands, environment=dict(prefect_server.environment))
    assert ran.code == 0, ran.out + ran.err
    lake = tmp_path / "shop/lake"
    for layer in ("raw/shop/orders", "raw/price_list/products", "staging/sales/orders", "consume/bi/revenue_by_month"):
        assert list((lake / layer).rglob("*.parquet")), layer
        assert layer in ran.out  # of the catalog
    assert "quarantined: 3 of 240 rows are wrong" in ran.out
    answer = ran.out[ran.out.rindex("revenue") :]
    assert len(re.findall(r"2025-\d\d-01\s+(?:Tea|Coffee|Pots|Cups)\s+[\d.,]+", answer)) == 5, answer

    shop = CommandLine(tmp_path / "shop", prefect_server.environment)
    asked = shop("query", 'SELECT count(*) FROM "staging/sales".orders', "--json")
    # Two were deleted; four are of nobody, three of nothing; those of the product without a price are of no product.
    assert json.loads(asked.out)["rows"] == [[expected_orders(tmp_path / "shop/data")]]


def expected_orders(data: Path) -> int:
    """Return how many orders of the sample data are as they should be, as counted by SQLite and the price list."""
    lines = [line.split(";") for line in (data / "price_list/products_2025.csv").read_text().splitlines()[1:]]
    priced = {sku for sku, _, _, price in lines if price}
    customers = "SELECT customer_id FROM customers WHERE email LIKE '%_@_%'"
    skus = ", ".join(f"'{sku}'" for sku in priced)
    query = f"status <> 'DELETED' AND quantity > 0 AND sku IN ({skus}) AND customer_id IN ({customers})"
    with closing(sqlite3.connect(data / "shop.db")) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM orders WHERE {query}").fetchone()
    assert 900 < count < ORDERS
    return int(count)


def test_examples_of_the_helps_work(tmp_path: Path) -> None:
    made = CommandLine(tmp_path)(json.dumps(examples_of("init")), program=("-c", RUN_ALL))
    assert made.code == 0, made.err
    assert (tmp_path / "lakes/crm/config/sources.yaml").is_file()
    ran = CommandLine(tmp_path / "shop")(json.dumps(examples_of("check", "add-source")), program=("-c", RUN_ALL))
    assert ran.code == 0, ran.out + ran.err
    assert re.findall(r"- name: (\w+)\n    type", (tmp_path / "shop/config/sources.yaml").read_text()) == [
        "shop", "price_list", "crm", "partner", "rates"
    ]  # fmt: skip


def test_everything_in_the_project_is_valid_and_explained(tmp_path: Path) -> None:
    made = new_project(tmp_path / "shop")
    project = Project.load(made.folder / "config")
    assert [source.name for source in project.sources] == ["shop", "price_list"]
    assert len(project.pipelines) == 5 and len(project.publications) == 1
    assert project.settings.lake == str(made.folder / "lake")
    for file in (made.folder / "config").iterdir():
        assert file.read_text().startswith("# "), file.name
    readme = (made.folder / "README.md").read_text()
    assert readme.startswith("# shop\n")
    for name in re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE):
        assert (made.folder / name).exists(), name
    assert {str(file) for file in made.files} >= {".env.example", ".gitignore", "data/shop.db", "models/shop.py"}
    assert not [file for file in made.folder.rglob("*") if "%" in file.name or file.name.startswith("dot_")]


@pytest.mark.parametrize("name", ["archives", "publish"])
def test_what_the_configuration_shows_in_comments_is_valid_too(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DWH_PASSWORD", "x")
    folder = new_project(tmp_path / "shop").folder
    file = folder / "config" / f"{name}.yaml"
    text = file.read_text().replace("archives: []\n", "")
    shown = re.sub(r"^( *)# (?= *(- |[a-z_]+:))", r"\1", text, flags=re.MULTILINE)
    assert shown != text
    file.write_text(shown)
    project = Project.load(folder / "config")
    assert len(project.archives if name == "archives" else project.publications) == (1 if name == "archives" else 2)


def test_the_sample_data_is_the_same_each_time_and_has_its_faults(tmp_path: Path) -> None:
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        _, price_list = write_sample_data(folder)
        with closing(sqlite3.connect(folder / "shop.db")) as connection:
            contents.append(("\n".join(connection.iterdump()), price_list.read_text()))
            unknown, nothing, deleted = connection.execute(
                "SELECT sum(customer_id NOT IN (SELECT customer_id FROM customers)), sum(quantity < 1),"
                " sum(status = 'DELETED') FROM orders"
            ).fetchone()
            ((bad,),) = connection.execute("SELECT count(*) FROM customers WHERE email NOT LIKE '%_@_%'").fetchall()
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (CUSTOMERS,)
    assert contents[0] == contents[1]
    assert (unknown, nothing, deleted, bad) == (4, 3, 2, 3)
    lines = contents[0][1].splitlines()[1:]
    assert (len(lines), len(set(lines)), sum(line.endswith(";") for line in lines)) == (20, 18, 1)


@pytest.mark.parametrize("name", ["taken", "afile", "."])
def test_a_folder_with_anything_in_it_is_refused_and_left_alone(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/.hidden").write_text("mine")
    (tmp_path / "afile").write_text("mine")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="a new project needs a folder of its own"):
        new_project(Path(name))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_current_folder_will_do_if_it_is_empty(tmp_path: Path) -> None:
    ran = CommandLine(tmp_path)("init", ".", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["folder"] == str(tmp_path)
    assert ran.json["next"][0] == "tidegate check"
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(ran.json["files"])
    assert (tmp_path / "README.md").read_text().startswith(f"# {tmp_path.name}\n")
    again = CommandLine(tmp_path)("init", ".")
    assert (again.code, "is not empty" in again.err) == (2, True)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written to .*: Not a directory"):
        new_project(tmp_path / "afile/shop")
