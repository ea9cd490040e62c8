"""Tables of databases through a gate into the raw layer: what fails is put aside or refused, and not lost sight of."""

import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ingest_bench import IngestBench
from pandera.config import config_context
from sqlite_bench import SqliteBench

from blocks.ledger import Ledger
from blocks.run_records import read_run_records
from schemas.errors import ConfigError, GateFailed
from schemas.ingest_report import TableState
from schemas.manifest import Manifest

GATES = """
import pandera.polars as pa
import polars as pl

class Customers(pa.DataFrameModel):
    name: pl.String = pa.Field(nullable=True, str_matches="^[A-Z]")

class Strict(pa.DataFrameModel):
    name: pl.String = pa.Field(nullable=True, str_matches="^[A-D]")

class Other(pa.DataFrameModel):
    nickname: pl.String

class Dropping(Customers):
    class Config:
        drop_invalid_rows = True

class Dull(pa.DataFrameModel):
    what: pl.String = pa.Field(ne="bad")
"""
ADA, BOB, EVE = (1, "Ada", "2026-01-01 10:00:00"), (2, "Bob", "2026-01-01 11:00:00"), (3, "Eve", "2026-01-01 12:00:00")
BAD, WORSE = (4, "bad", "2026-01-01 12:30:00"), (5, "worse", "2026-01-01 12:45:00")
INCREMENTAL = {"mode": "incremental", "key_column": "changed_at", "overlap": "2 hours"}


@pytest.fixture(autouse=True)
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "gates_of_a_test.py").write_text(GATES)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "gates_of_a_test", raising=False)


@pytest.fixture
def shop(tmp_path: Path) -> IngestBench:
    return IngestBench("sqlite", SqliteBench.in_folder(tmp_path / "shop"))


def entry(gate: str = "Customers", on_gate_failure: str = "quarantine", **options: Any) -> dict[str, Any]:
    named = {"gate": f"gates_of_a_test:{gate}", "on_gate_failure": on_gate_failure}
    return {"table": "customers", **named, **options}


def manifests(crm: IngestBench, table: str = "customers") -> list[Manifest]:
    found = [generation.manifest for generation in Ledger(crm.bench.lake, f"raw/crm/{table}").generations()]
    for manifest in found:  # what was read is stored, put aside or known: not a row is missing
        told = manifest.attestation
        assert told.rows_in_window == told.rows + told.quarantined + told.already_archived
        assert told.rows == sum(file.rows for file in manifest.files)
    return found


def put_aside(crm: IngestBench, table: str = "customers") -> list[tuple[Any, ...]]:
    paths = [file.path for manifest in manifests(crm, table) for file in manifest.quarantine]
    rows: list[tuple[Any, ...]] = []
    for path in paths:
        local = crm.bench.folder / "lake" / path
        rows += duckdb.sql(f"SELECT id, _reason FROM '{local}' ORDER BY id").fetchall()
    return rows


def test_rows_that_fail_are_put_aside_with_the_reason_and_the_others_are_stored(shop: IngestBench) -> None:
    shop.configure([entry()], **INCREMENTAL)
    shop.put(ADA, BAD, EVE, WORSE)
    report = shop.ingest()
    assert (report.state, report.read, report.rows, report.quarantined) == (TableState.DONE, 4, 2, 2)
    assert shop.now() == [(1, "Ada"), (3, "Eve")]
    assert [(id_, reason.split(" (got")[0]) for id_, reason in put_aside(shop)] == [
        (4, "name: str_matches('^[A-Z]')"),
        (5, "name: str_matches('^[A-Z]')"),
    ]
    assert report.watermark is not None and report.watermark.startswith("2026-01-01T12:45")
    (record,) = read_run_records(shop.bench.lake)
    assert (record.read, record.rows, record.quarantined) == (4, 2, 2)
    shop.assert_sound()


def test_a_row_that_was_put_aside_is_not_new_when_it_is_read_again(crm: IngestBench) -> None:
    crm.configure([entry()], **INCREMENTAL)
    crm.put(ADA, BAD)
    crm.ingest()
    again = crm.ingest()
    assert (again.state, again.rows, again.quarantined) == (TableState.UNCHANGED, 0, 1)
    crm.put(EVE, WORSE)
    third = crm.ingest()
    assert (third.rows, third.quarantined) == (1, 2)
    assert [id_ for id_, _ in put_aside(crm)] == [4, 5]
    # Corrected in the source, it is a new version of the row, and passes.
    crm.put((4, "Bad", "2026-01-01 13:00:00"))
    assert (crm.ingest().rows, crm.ingest().state) == (1, TableState.UNCHANGED)
    assert crm.now() == [(1, "Ada"), (3, "Eve"), (4, "Bad")]
    crm.assert_sound()


def test_the_watermark_moves_also_if_all_that_is_new_is_put_aside(shop: IngestBench) -> None:
    shop.configure([entry()], mode="incremental", key_column="id", overlap=0)
    shop.put(ADA)
    shop.ingest()
    shop.put(BAD)
    report = shop.ingest()
    assert (report.state, report.rows, report.quarantined, report.watermark) == (TableState.DONE, 0, 1, "4")
    assert manifests(shop)[-1].files == ()
    shop.put(WORSE)
    report = shop.ingest()
    assert (report.since, report.quarantined, report.watermark) == ("4", 2, "5")
    assert (shop.now(), shop.ingest().state) == ([(1, "Ada")], TableState.UNCHANGED)
    shop.assert_sound()


def test_a_table_that_is_read_as_a_whole_is_stored_again_if_what_fails_has_changed(shop: IngestBench) -> None:
    shop.configure([entry()])
    shop.put(ADA, BAD)
    assert (shop.ingest().quarantined, shop.ingest().state) == (1, TableState.UNCHANGED)
    shop.put((4, "also bad", None))
    assert (shop.ingest().state, shop.ingest().state) == (TableState.DONE, TableState.UNCHANGED)
    shop.bench.sql("DELETE FROM customers WHERE id = 4")
    assert (shop.ingest().state, shop.ingest().state) == (TableState.DONE, TableState.UNCHANGED)
    assert [manifest.attestation.quarantined for manifest in manifests(shop)] == [1, 1, 0]
    assert shop.now() == [(1, "Ada")]
    shop.assert_sound()


def test_by_another_gate_rows_are_judged_anew(shop: IngestBench) -> None:
    shop.configure([entry()], **INCREMENTAL)
    shop.put(ADA, EVE, BAD)
    shop.ingest()
    shop.configure([entry("Strict")], **INCREMENTAL)
    # What is stored stays; what was put aside is looked at again, and fails again.
    report = shop.ingest()
    assert (report.rows, report.quarantined) == (0, 1)
    shop.configure([{"table": "customers"}], **INCREMENTAL)
    assert shop.ingest().rows == 1
    assert shop.now() == [(1, "Ada"), (3, "Eve"), (4, "bad")]
    shop.assert_sound()


def test_a_table_whose_rows_fail_is_refused_and_nothing_is_committed(shop: IngestBench) -> None:
    shop.configure([entry(on_gate_failure="refuse")], **INCREMENTAL)
    shop.put(ADA)
    shop.ingest()
    shop.put(EVE, BAD, WORSE)
    before = shop.bench.records()
    with pytest.raises(GateFailed) as refused:
        shop.ingest()
    assert "sources[crm].tables[customers]: 2 rows failed the gate gates_of_a_test:Customers" in refused.value.what
    assert "name: str_matches('^[A-Z]'): 2 rows" in refused.value.what
    assert "{'id': 4}" in refused.value.what
    assert refused.value.exit_code == 3
    assert {path.split("/")[1] for path in shop.bench.records().keys() - before.keys()} == {"runs"}
    assert shop.now() == [(1, "Ada")]
    shop.bench.sql("DELETE FROM customers WHERE id > 3")
    assert shop.ingest().rows == 1, "the watermark moved though nothing was committed"
    shop.assert_sound()


def test_equal_rows_of_a_table_without_a_key_are_put_aside_as_often_as_they_are_there(crm: IngestBench) -> None:
    crm.bench.sql("CREATE TABLE clicks (id int, what varchar(20))")
    crm.configure(
        [{"table": "clicks", "gate": "gates_of_a_test:Dull", "on_gate_failure": "quarantine"}],
        mode="incremental", key_column="id", overlap=100,
    )  # fmt: skip
    for _ in range(2):
        crm.bench.sql("INSERT INTO clicks VALUES (1, 'bad')")
    crm.bench.sql("INSERT INTO clicks VALUES (1, 'good')")
    assert (crm.ingest("clicks").quarantined, crm.ingest("clicks").state) == (2, TableState.UNCHANGED)
    crm.bench.sql("INSERT INTO clicks VALUES (1, 'bad')")
    assert (crm.ingest("clicks").quarantined, crm.ingest("clicks").state) == (3, TableState.UNCHANGED)
    assert put_aside(crm, "clicks") == [(1, "what: not_equal_to(bad) (got bad)")] * 3
    crm.assert_sound()


def test_a_gate_that_does_not_fit_the_table_is_an_error(shop: IngestBench) -> None:
    shop.configure([entry("Other")])
    shop.put(ADA)
    with pytest.raises(GateFailed, match=r"does not fit the table.*nickname") as refused:
        shop.ingest()
    assert "Nothing of this table was committed" in refused.value.state
    assert [path for path in shop.bench.records() if path.startswith("raw/")] == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gate": "nowhere:Gate"}, "'nowhere:Gate' cannot be imported"),
        ({"gate": "gates_of_a_test:Nothing"}, "cannot be imported"),
        ({"gate": "no gate"}, r"tables\[0\].gate: must be module:Attribute"),
        ({"on_gate_failure": "quarantine"}, "on_gate_failure: must be refuse as long as there is no gate"),
        ({"gate": "a:B", "on_gate_failure": "drop"}, "on_gate_failure: must be one of refuse, quarantine"),
    ],
)
def test_a_gate_that_there_is_not_is_refused_before_anything_is_read(
    shop: IngestBench, options: dict[str, Any], told: str
) -> None:
    shop.configure([{"table": "customers", **options}])
    with pytest.raises(ConfigError, match=told):
        shop.ingest()
    assert not (shop.bench.folder / "lake").exists()


@pytest.mark.parametrize("way", ["drops what is wrong", "is switched off by the environment"])
def test_no_gate_lets_everything_pass_without_a_word(shop: IngestBench, way: str) -> None:
    shop.configure([entry("Dropping" if way.startswith("drops") else "Customers")])
    shop.put(ADA, BAD)
    with config_context(validation_enabled=not way.startswith("is")):
        assert shop.ingest().quarantined == 1
    assert shop.now() == [(1, "Ada")]


def test_rows_put_aside_are_known_by_their_place_in_the_key_column(shop: IngestBench) -> None:
    shop.configure([entry()], mode="incremental", key_column="id", overlap=1)
    shop.put(BAD, (9, "Ina", None), (10, "nine", None))
    assert shop.ingest().quarantined == 2
    report = shop.ingest()
    assert (report.since, report.read, report.quarantined) == ("9", 2, 1)
    assert report.state is TableState.UNCHANGED
