"""`tidegate catalog` and `tidegate lineage`: what people see, the one JSON object, exit codes, and who is imported."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from catalog_lake import CatalogLake
from service_cli import CommandLine, Ran
from service_seaweedfs import SeaweedFS

from blocks.local_lake import LocalLake
from blocks.s3_lake import S3Lake
from tidegate.cli import main

ORDERS, STAGED, TOP = "raw/partners/orders", "staging/shop/orders", "consume/bi/top"
SUMMARY = {
    "dataset", "layer", "source", "rows", "rows_are", "bytes", "generations", "newest_data_at", "checked_at",
    "last_run_at", "last_run_state", "last_error", "quality", "warned", "refused", "quarantined", "damaged",
}  # fmt: skip
IMPORTED = (
    "import sys\nfrom tidegate.cli import main\ntry:\n  main()\nfinally:\n  print('\\n', *sys.modules, file=sys.stderr)"
)


@dataclass
class Here:
    """Runs commands in this process, as each by itself would take a second to start."""

    folder: Path
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        self.captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = self.captured.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, out, err)


@pytest.fixture
def tidegate(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """The command line in a project that has a lake, and needs no source."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.yaml").write_text("lake: ./lake\n")
    (tmp_path / "lake").mkdir()
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("tidegate", "prefect")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield Here(tmp_path, capfd)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def shop(tidegate: Here) -> CatalogLake:
    return CatalogLake(LocalLake(tidegate.folder / "lake"), tidegate.folder).shop()


def line_of(text: str, start: str) -> str:
    """Return the line of a table that begins with this."""
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_the_catalog_shows_tables_and_marks_what_failed(shop: CatalogLake, tidegate: Here) -> None:
    ran = tidegate("catalog")
    assert ran.code == 0, ran.err
    assert re.search(r"partners: 2 files +6 +1\.0 kB +just now +done 23 hours ago +no checks", line_of(ran.out, ORDERS))
    assert re.search(r"pipeline orders +3 .* 1 warned, 1 row quarantined", line_of(ran.out, STAGED))
    assert re.search(r"FAILED 23 hours ago +1 refused", line_of(ran.out, TOP))
    assert f"{TOP}, last run failed: not_null(id) failed." in ran.out
    assert re.search(r"publish +warehouse +done", ran.out)
    body = tidegate("catalog", "--json").json
    assert set(body) == {"lake", "tables", "others", "damaged"}
    assert [set(table) for table in body["tables"]] == [SUMMARY] * 4
    assert [(table["dataset"], table["rows"]) for table in body["tables"]][2:] == [(STAGED, 3), (TOP, 1)]
    assert set(body["others"][0]) == {"job", "name", "last_run_at", "last_run_state", "rows", "last_error"}


def test_a_table_is_shown_with_all_that_is_known_of_it(shop: CatalogLake, tidegate: Here) -> None:
    ran = tidegate("catalog", "staging.shop.orders")
    assert ran.code == 0, ran.err
    assert re.search(r"note +VARCHAR +33\.3 % +~1 +x +x", ran.out)
    assert re.search(r"range\(amount\) +warned +3 +2 +low: -1, -2", ran.out)
    assert "made from: raw/partners/orders, raw/rates/latest" in ran.out
    assert "used by: consume/bi/top" in ran.out
    [suggested] = re.findall(r"Next: tidegate query '(.*)'", ran.out)
    assert tidegate("query", suggested).code == 0
    body = tidegate("catalog", "top", "--json").json
    assert set(body) == SUMMARY | {
        "lake", "key", "partition_by", "columns", "statistics_at", "statistics_rows", "schema_versions", "runs",
        "checks_at", "checks", "upstream", "downstream", "damaged",
    }  # fmt: skip
    assert [run["state"] for run in body["runs"]] == ["failed", "done"]
    assert body["schema_versions"][0]["columns"] == {"total": "INTEGER"}


def test_lineage_is_a_tree_a_flowchart_and_json(shop: CatalogLake, tidegate: Here) -> None:
    ran = tidegate("lineage", STAGED)
    assert ran.code == 0, ran.err
    assert [line.strip("│├└─ ") for line in ran.out.splitlines()] == [
        f"{STAGED} is made from", ORDERS, "partners: 2 files", "raw/rates/latest", "rates: api /latest",
        f"{STAGED} is used by", TOP, "publication warehouse",
    ]  # fmt: skip
    assert "is used by" not in tidegate("lineage", STAGED, "--up").out
    assert "is made from" not in tidegate("lineage", STAGED, "--down").out
    columns = tidegate("lineage", "top", "--columns").out
    up = r"total\n.*amount +staging/shop/orders\n.*amount +raw/partners/orders\n.*partners: 2 files"
    assert re.search(up, columns)

    chart = tidegate("lineage", "top", "--mermaid").out.splitlines()
    assert chart[0] == "flowchart LR"
    boxes = dict(re.findall(r'(n\d+)\W+"(.*)"', "\n".join(chart)))
    arrows = {tuple(boxes[node] for node in line.split(" --> ")) for line in map(str.strip, chart) if "-->" in line}
    assert arrows == {
        (ORDERS, STAGED), ("raw/rates/latest", STAGED), (STAGED, TOP), (TOP, "publication warehouse"),
        ("partners: 2 files", ORDERS), ("rates: api /latest", "raw/rates/latest"),
    }  # fmt: skip

    body = tidegate("lineage", "top", "--columns", "--up", "--json").json
    assert {(edge["from"], edge["to"]) for edge in body["edges"]} == {
        (ORDERS, STAGED), ("raw/rates/latest", STAGED), (STAGED, TOP),
        ("source:partners:orders", ORDERS), ("source:rates:/latest", "raw/rates/latest"),
    }  # fmt: skip
    assert {"id": ORDERS, "kind": "table", "label": ORDERS, "in_lake": True} in body["nodes"]
    made_of = [{"table": STAGED, "column": "amount"}]
    assert {"table": TOP, "column": "total", "made_of": made_of} in body["columns"]


def test_what_two_tables_are_made_from_is_followed_once(tidegate: Here) -> None:
    lake = CatalogLake(LocalLake(tidegate.folder / "lake"), tidegate.folder)
    lake.ask_api("raw/rates/latest", "/latest")
    for number in range(12):  # without that, these would be 4,096 branches
        inputs = (f"staging/s/a{number - 1}", f"staging/s/b{number - 1}") if number else ("raw/rates/latest",)
        lake.build(f"staging/s/a{number}", inputs)
        lake.build(f"staging/s/b{number}", inputs)
    out = tidegate("lineage", "a11", "--up").out
    assert out.count("rates: api /latest") == 1
    assert len(out.splitlines()) < 60
    assert "staging/s/a9 (see above)" in out


def test_names_that_are_not_clear_and_wrong_usage_exit_with_2(shop: CatalogLake, tidegate: Here) -> None:
    for arguments, word in (
        (["catalog", "orders"], f"'orders' may be any of {ORDERS}, {STAGED}"),
        (["lineage", "staging/shop/ordres"], f"did you mean '{STAGED}'?"),
        (["lineage", TOP, "--mermaid", "--columns"], "--mermaid is another form"),
    ):
        told, as_json = tidegate(*arguments), tidegate(*arguments, "--json")
        assert (told.code, as_json.code, told.out) == (2, 2, ""), arguments
        assert word in told.err
        assert word in as_json.json["error"]["what"]


def test_an_empty_lake_says_what_to_run_first(tidegate: Here) -> None:
    ran = tidegate("catalog")
    assert (ran.code, ran.err) == (0, "")
    assert "No table is in it yet.\nNext: tidegate ingest --dry-run" in ran.out
    assert tidegate("catalog", "--json").json["tables"] == []
    assert "Tables: none" in tidegate("catalog", "orders").err


def test_a_damaged_record_is_named_and_all_else_is_shown(shop: CatalogLake, tidegate: Here) -> None:
    [record, *_] = (tidegate.folder / "lake" / "_tidegate" / "runs").rglob("*id0005.json")
    record.write_bytes(record.read_bytes()[:-3])
    [manifest] = (tidegate.folder / "lake" / "_tidegate" / "manifests" / TOP).rglob("*.json")
    manifest.write_bytes(b"")
    for arguments in (["catalog"], ["catalog", ORDERS], ["catalog", TOP], ["lineage", ORDERS]):
        told, as_json = tidegate(*arguments), tidegate(*arguments, "--json")
        assert (told.code, as_json.code) == (3, 3), arguments
        assert record.name in told.err
        assert manifest.name in told.err
        assert arguments[-1] == "catalog" or arguments[-1] in told.out
        assert len(as_json.json["damaged"]) == 2
        assert as_json.json["error"]["exit_code"] == 3
    assert "records damaged" in line_of(tidegate("catalog").out, TOP)
    assert re.search("partners: 2 files +6 ", line_of(tidegate("catalog").out, ORDERS))


def test_what_came_out_of_the_data_cannot_steer_the_terminal(tidegate: Here) -> None:
    lake = CatalogLake(LocalLake(tidegate.folder / "lake"), tidegate.folder)
    lake.read_file("raw/x/t", "a\x1b[31m\nb.csv", 'SELECT 1 AS "c\x1b[31m"')
    lake.ran("x.t", "raw/x/t", "ingest", "failed", error="line\x1b[31m\nbroken [bold]")
    for arguments in (["catalog"], ["catalog", "x.t"], ["lineage", "x.t"], ["lineage", "x.t", "--columns"]):
        ran = tidegate(*arguments)
        assert ran.code == 0, ran.err
        assert "\x1b" not in ran.out
    assert "[bold]" in tidegate("catalog").out
    assert "#" not in tidegate("lineage", "x.t", "--mermaid").out
    lake.read_file("raw/y/t", 'quote"<b>.csv')
    assert "quote#34;#60;b#62;.csv" in tidegate("lineage", "y.t", "--mermaid").out


def test_they_import_nothing_slow(shop: CatalogLake, tidegate: Here) -> None:
    heavy = {"prefect", "polars", "pandera", "connectorx", "psycopg"}
    for arguments, absent in (
        (["lineage", "--help"], heavy | {"duckdb", "pyarrow", "pydantic"}),
        (["catalog"], heavy | {"duckdb"}),
        (["lineage", TOP], heavy | {"duckdb"}),
        (["catalog", TOP], heavy),
        (["query", "SELECT * FROM catalog.quality"], heavy),
    ):
        ran = CommandLine(tidegate.folder)(*arguments, program=("-c", IMPORTED))
        assert ran.code == 0, ran.err
        imported = set(ran.err.splitlines()[-1].split())
        assert "tidegate.cli" in imported
        assert not absent & imported, arguments


def test_status_reads_well_for_tables_that_no_time_cuts(shop: CatalogLake, tidegate: Here) -> None:
    raw, built = tidegate("status", ORDERS), tidegate("status", STAGED)
    assert (raw.code, built.code) == (0, 0)
    assert re.search(r"all time +2 +6 ", raw.out)
    assert "archive" not in raw.out + built.out
    assert "1970" not in raw.out
    assert built.out.startswith("pipeline orders, in ")


def test_a_lake_on_s3_has_a_catalog(s3_server: SeaweedFS, s3_lake: S3Lake, tmp_path: Path) -> None:
    CatalogLake(s3_lake, tmp_path).shop()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.yaml").write_text(f"lake: {s3_lake.url}\n")
    keys = {"AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret}
    command = CommandLine(tmp_path, {**keys, "AWS_ENDPOINT_URL": s3_server.endpoint_url, "AWS_REGION": "us-east-1"})
    assert [table["rows"] for table in command("catalog", "--json").json["tables"]] == [6, 1, 3, 1]
