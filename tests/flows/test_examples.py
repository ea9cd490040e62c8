"""The scripts under `examples/` run as they are."""

import subprocess
import sys
from pathlib import Path

from mysql_bench import MySQLBench
from service_cli import CommandLine

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(example: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / example, "project"], cwd=folder, capture_output=True, text=True, timeout=120,
        env=CommandLine(folder, environment).all_variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tried_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"mysql_to_consume.py", "own_transform.py"}


def test_a_transformation_of_ones_own(tmp_path: Path) -> None:
    printed = run("own_transform.py", tmp_path)
    lines = [line.split("│")[1:4] for line in printed.splitlines() if "│" in line][2:]
    classes, customers, pieces = ([cell.strip() for cell in column] for column in zip(*lines, strict=True))
    assert classes == ["small", "middle", "big"]
    assert max(map(int, customers)) - min(map(int, customers)) <= 1
    assert sorted(map(int, pieces)) == [int(number) for number in pieces]
    assert list((tmp_path / "project/lake/consume/bi/spending").rglob("*.parquet"))


def test_a_table_of_mysql_from_source_to_consume(mysql_bench: MySQLBench, tmp_path: Path) -> None:
    from urllib.parse import unquote, urlsplit

    mysql_bench.sql("CREATE TABLE orders (id int PRIMARY KEY, status varchar(10))")
    mysql_bench.sql("INSERT INTO orders VALUES (1, 'NEW'), (2, 'PAID  '), (3, 'PAID')")
    url = urlsplit(mysql_bench.url)
    variables = {
        "MYSQL_HOST": str(url.hostname), "MYSQL_PORT": str(url.port), "MYSQL_DATABASE": url.path[1:],
        "MYSQL_USER": unquote(url.username or ""), "MYSQL_PASSWORD": unquote(url.password or ""),
        "MYSQL_TABLE": "orders", "MYSQL_KEY": "id", "MYSQL_GROUP_BY": "status",
    }  # fmt: skip
    folder = tmp_path / "example"
    folder.mkdir()
    printed = run("mysql_to_consume.py", folder, **variables)
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in printed.splitlines() if "│" in line]
    assert rows[2:] == [["NEW", "1"], ["PAID", "2"]]
    lake = folder / "project/lake"
    for layer in ("raw/shop/source_table", "staging/shop/cleaned", "consume/bi/counted"):
        assert list((lake / layer).rglob("*.parquet")), layer
    assert variables["MYSQL_PASSWORD"] not in printed
    assert not [f for f in (folder / "project").rglob("*.yaml") if variables["MYSQL_PASSWORD"] in f.read_text()]
