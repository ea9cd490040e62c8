"""Tables of databases go into the raw layer: as a whole or what is new, once, attested, and never changed."""

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from ingest_bench import IngestBench
from service_bench import Bench
from service_seaweedfs import SeaweedFS

from blocks.ledger import Ledger
from blocks.open_source import source_of
from blocks.run_records import read_run_records
from schemas.errors import Busy, ConfigError, ProofFailed
from schemas.ingest_report import TableState
from tasks.ingest.extract_table import _Reading
from tasks.ingest.inspect_table import inspect_table

_read = _Reading.read

ADA, BOB, EVE = (1, "Ada", "2026-01-01 10:00:00"), (2, "Bob", "2026-01-01 11:00:00"), (3, "Eve", "2026-01-01 12:00:00")


def test_a_table_is_read_as_a_whole_and_again_only_when_it_has_changed(crm: IngestBench) -> None:
    crm.put(ADA, BOB)
    first = crm.ingest()
    assert (first.state, first.mode, first.read, first.rows) == (TableState.DONE, "full", 2, 2)
    assert first.dataset == "raw/crm/customers"
    again = crm.ingest()
    assert (again.state, again.read, again.rows) == (TableState.UNCHANGED, 2, 0)
    crm.put((2, "Bob", "2026-01-02 11:00:00"), EVE)
    crm.bench.sql("DELETE FROM customers WHERE id = 1")
    assert crm.ingest().rows == 2
    assert crm.now() == [(2, "Bob"), (3, "Eve")]
    assert crm.history() == [(1, "Ada"), (2, "Bob"), (2, "Bob"), (3, "Eve")]
    crm.assert_sound()


def test_only_what_is_new_is_read_and_stored_once(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="changed_at", overlap="2 hours")
    crm.put(ADA, EVE)
    first = crm.ingest()
    assert (first.rows, first.since, first.watermark) == (2, None, first.watermark)
    assert first.watermark is not None and first.watermark.startswith("2026-01-01T12:00:00")
    crm.put(BOB, (4, "late", "2026-01-01 09:59:59"), (1, "Ada!", "2026-01-03 10:00:00"))
    second = crm.ingest()
    # Bob came late and within the overlap, Eve was read again; number 4 came too late.
    assert (second.read, second.rows) == (3, 2)
    assert crm.now() == [(1, "Ada!"), (2, "Bob"), (3, "Eve")]
    assert crm.ingest().state is TableState.UNCHANGED
    crm.assert_sound()


def test_rows_without_a_value_of_the_key_column_are_read_each_time_and_stored_once(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="changed_at")
    crm.put(ADA, (9, "nobody", None))
    crm.ingest()
    assert crm.ingest().state is TableState.UNCHANGED
    crm.put((8, "no one", None))
    assert crm.ingest().rows == 1
    assert crm.now() == [(1, "Ada"), (8, "no one"), (9, "nobody")]


def test_a_row_that_has_changed_and_changed_back_is_shown_as_it_is(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="id", overlap=10)
    for name in ("Ada", "Eve", "Ada"):
        crm.put((1, name, None))
        assert crm.ingest().rows == 1
        assert crm.now() == [(1, name)]
    assert crm.ingest().state is TableState.UNCHANGED
    assert crm.history() == [(1, "Ada"), (1, "Ada"), (1, "Eve")]


def test_rows_that_come_into_scope_by_another_predicate_are_read(crm: IngestBench) -> None:
    options = {"mode": "incremental", "key_column": "id", "overlap": 0}
    crm.configure([{"table": "customers", "where": "id <> 1"}], **options)
    crm.put(ADA, BOB, EVE)
    assert crm.ingest().rows == 2
    crm.configure(**options)
    report = crm.ingest()
    assert (report.since, report.read, report.rows) == (None, 3, 1)
    assert crm.now() == [(1, "Ada"), (2, "Bob"), (3, "Eve")]


def test_a_watermark_may_be_a_number(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="id", overlap=2)
    crm.put(*((n, f"name {n}", None) for n in range(1, 11)))
    assert crm.ingest().watermark == "10"
    crm.put((11, "new", None), (9, "late", None), (7, "too late", None))
    report = crm.ingest()
    assert (report.since, report.read, report.rows, report.watermark) == ("8", 4, 2, "11")
    assert crm.ingest(full=True).rows == 11
    assert crm.now(columns="name")[-1] == ("too late",)
    assert (7, "too late") in crm.now()
    assert crm.ingest().state is TableState.UNCHANGED


def test_equal_rows_of_a_table_without_a_key_are_stored_as_often_as_they_are_there(crm: IngestBench) -> None:
    crm.bench.sql("CREATE TABLE clicks (at_id int, what varchar(20))")
    crm.configure(["clicks"], mode="incremental", key_column="at_id", overlap=100)
    insert = "INSERT INTO clicks VALUES (1, 'a')"
    crm.bench.sql(insert)
    crm.bench.sql(insert)
    assert crm.ingest("clicks").rows == 2
    assert crm.ingest("clicks").state is TableState.UNCHANGED
    crm.bench.sql(insert)
    assert crm.ingest("clicks").rows == 1
    assert crm.now("clicks", "what") == [("a",)] * 3


def test_a_table_that_was_emptied_is_empty_and_its_history_stays(crm: IngestBench) -> None:
    crm.put(ADA, BOB)
    crm.ingest()
    crm.bench.sql("DELETE FROM customers")
    assert (crm.ingest().state, crm.ingest().state) == (TableState.DONE, TableState.UNCHANGED)
    assert (crm.now(), len(crm.history())) == ([], 2)
    crm.put(EVE)
    crm.ingest()
    assert crm.now() == [(3, "Eve")]
    crm.assert_sound()


def test_every_row_says_where_it_came_from_and_when(crm: IngestBench) -> None:
    crm.put(ADA)
    report = crm.ingest()
    columns = "_source, _source_file, _run_id, _schema_version, _ingested_at > now() - INTERVAL 1 hour"
    assert crm.now(columns=columns) == [("crm", None, "run", 1, True)]
    ((path,),) = (
        [file.path for file in g.manifest.files] for g in Ledger(crm.bench.lake, report.dataset).generations()
    )
    day = datetime.now(UTC)
    assert path.startswith(f"raw/crm/customers/year={day:%Y}/month={day:%m}/day={day:%d}/")


def test_columns_that_come_and_go_make_a_new_version_of_the_schema(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="id", overlap=0)
    crm.put(ADA)
    assert (crm.ingest().schema_version, crm.ingest().drift) == (1, ())
    crm.bench.sql("ALTER TABLE customers ADD COLUMN city varchar(20)")
    crm.bench.sql("ALTER TABLE customers DROP COLUMN balance")
    crm.bench.sql("INSERT INTO customers (id, name, city) VALUES (2, 'Bob', 'Rome')")
    report = crm.ingest()
    assert report.schema_version == 2
    assert [change.split(" (")[0] for change in report.drift] == ["city", "balance"]
    assert "is new" in report.drift[0] and "is gone" in report.drift[1]
    # Ada was read again for the overlap: as she is now, without a balance.
    assert crm.now(columns="id, name, city, balance IS NULL") == [(1, "Ada", None, True), (2, "Bob", "Rome", True)]
    assert crm.history(columns="id, balance IS NULL") == [(1, False), (1, True), (2, True)]
    crm.assert_sound()


def test_drift_is_refused_where_the_configuration_says_so(crm: IngestBench) -> None:
    crm.configure(on_drift="refuse")
    crm.put(ADA)
    crm.ingest()
    before = crm.bench.records()
    crm.bench.sql("ALTER TABLE customers ADD COLUMN city varchar(20)")
    with pytest.raises(
        ConfigError, match=r"have changed since they were last extracted: city \(.*\) is new"
    ) as refused:
        crm.ingest()
    assert "on_drift: evolve" in refused.value.next_step
    new = crm.bench.records().keys() - before.keys()
    assert [path.split("/")[1] for path in new] == ["runs"]
    assert "city" in (read_run_records(crm.bench.lake)[-1].error or "")


def test_a_dry_run_counts_and_writes_nothing(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="id", overlap=0)
    crm.put(ADA, BOB)
    planned = crm.ingest(dry_run=True)
    assert (planned.state, planned.read, planned.since) == (TableState.PLANNED, 2, None)
    assert not (crm.bench.folder / "lake").exists()
    crm.ingest()
    before = crm.bench.records()
    planned = crm.ingest(dry_run=True)
    assert (planned.read, planned.since) == (1, "2")
    assert crm.bench.records() == before


def test_a_run_that_died_before_its_commit_has_left_nothing_that_is_seen(
    crm: IngestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.configure(mode="incremental", key_column="id", overlap=0)
    crm.put(ADA)
    crm.ingest()
    crm.put(BOB)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "commit", die)
        crm.ingest()
    assert crm.now() == [(1, "Ada")]
    files = [path for path in crm.bench.records() if path.endswith(".parquet")]
    assert len(files) == 2
    report = crm.ingest()
    assert (report.since, report.rows) == ("1", 1), "the watermark moved though nothing was committed"
    assert crm.now() == [(1, "Ada"), (2, "Bob")]
    crm.assert_sound()


def test_one_run_at_a_time_extracts_a_table(crm: IngestBench) -> None:
    crm.put(ADA)
    job = inspect_table(crm.bench.project, crm.bench.project.source("crm"), crm.bench.project.source("crm").tables[0])
    with source_of(job).locked(job.table), pytest.raises(Busy):
        crm.ingest()
    assert crm.ingest().rows == 1


def test_rows_that_the_reader_loses_are_an_error_and_not_a_gap(
    crm: IngestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.put(ADA, BOB)
    monkeypatch.setattr(_Reading, "read", lambda self: itertools.islice(_read(self), 0))
    with pytest.raises(ProofFailed, match="0 rows were read where the source counts 2"):
        crm.ingest()
    assert [path for path in crm.bench.records() if path.startswith("raw/")] == []


@pytest.mark.parametrize(
    ("tables", "extract", "told"),
    [
        (["custmers"], {}, "custmers"),
        (["customers"], {"mode": "incremental", "key_column": "changed"}, "did you mean 'changed_at'"),
        (["customers"], {"mode": "incremental", "key_column": "name"}, "key_column: name is of type"),
        (["customers"], {"mode": "incremental", "key_column": "id", "overlap": "2 hours"}, "overlap: 2 hours does not"),
        (["customers"], {"mode": "incremental", "key_column": "changed_at", "overlap": 5}, "overlap: 5 does not go"),
        ([{"table": "customers", "columns": {"exclude": ["nam"]}}], {}, "columns.exclude: .* has no column 'nam'"),
        ([{"table": "customers", "where": "id >"}], {}, "where:"),
        ([{"table": "customers", "columns": {"derive": {"_run_id": "1"}}}], {}, "adds to every row: _run_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_extracted_is_refused_by_name(
    crm: IngestBench, tables: list[Any], extract: dict[str, Any], told: str
) -> None:
    crm.put(ADA)
    crm.configure(tables, **extract)
    with pytest.raises(ConfigError, match=told) as refused:
        crm.ingest(tables[0] if isinstance(tables[0], str) else "customers")
    assert refused.value.state == "Nothing was read or written."
    assert not (crm.bench.folder / "lake").exists()


def test_a_table_of_the_source_may_have_options_and_a_folder_of_its_own(crm: IngestBench) -> None:
    entry = {"table": "customers", "name": "people", "where": "id > 1", "columns": {"exclude": ["balance"]}}
    crm.configure([entry])
    crm.put(ADA, BOB)
    assert crm.ingest("people").rows == 1
    assert crm.now("people") == [(2, "Bob")]
    assert "balance" not in {name for (name, *_) in crm._ask('DESCRIBE "raw/crm".people')}


def test_a_table_goes_into_a_bucket_and_what_is_there_is_known(
    bench: Bench, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    bench.settings |= {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}/odd [a]*"}
    bench.configure()
    crm = IngestBench("postgresql", bench)
    crm.configure(mode="incremental", key_column="changed_at", overlap="2 hours")
    crm.put(ADA, EVE)
    crm.ingest()
    crm.put(BOB)
    report = crm.ingest()
    assert (report.read, report.rows) == (3, 1)
    assert crm.now() == [(1, "Ada"), (2, "Bob"), (3, "Eve")]
    crm.assert_sound()


def test_infinite_times_are_kept_and_are_no_watermark(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    crm.configure(mode="incremental", key_column="changed_at")
    crm.put(ADA, (2, "for ever", "infinity"), (3, "long ago", "0044-03-15 BC"))
    report = crm.ingest()
    assert (report.rows, str(report.watermark)[:10]) == (3, "2026-01-01")
    crm.put(EVE)
    assert crm.ingest().rows == 1


def test_a_column_of_another_type_makes_a_new_version_and_is_read_as_what_holds_both(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    crm.configure(mode="incremental", key_column="id", overlap=0)
    crm.put(ADA)
    crm.ingest()
    bench.sql("ALTER TABLE customers ALTER balance TYPE text")
    crm.put(BOB)
    report = crm.ingest()
    assert (report.schema_version, report.drift) == (2, ("balance was numeric(12,2) and is text",))
    assert crm.now(columns="id, balance") == [(1, "1.50"), (2, "1.5")]
    crm.assert_sound()
