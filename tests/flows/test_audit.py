"""An audit proves every committed generation once more, and names all that is not as its manifest says."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer

from schemas.audit import AuditFailed, AuditReport
from schemas.errors import ConfigError, LakeError
from schemas.manifest import Removal
from tasks.audit import audit


@pytest.fixture
def archived(bench: Bench) -> Bench:
    """Three purged windows, a generation each."""
    bench.fill_orders(200)
    bench.run()
    return bench


def audited(bench: Bench) -> AuditReport:
    return audit(bench.config_dir)


def only_finding(bench: Bench) -> tuple[str, str]:
    """Return check and place of the single finding; the other two windows are all right."""
    report = audited(bench)
    (finding,) = report.findings
    assert report.exit_code == 3
    return finding.check, finding.where


def lake_path(bench: Bench, path: Path) -> str:
    return str(path.relative_to(bench.folder / "lake"))


def test_sound_lake_has_no_findings(archived: Bench) -> None:
    before = archived.records()
    report = audit(archived.config_dir, "orders")
    (dataset,) = report.datasets
    assert (dataset.dataset, dataset.generations, dataset.files, dataset.rows) == ("orders", 3, 3, 200)
    assert dataset.size_bytes == sum(path.stat().st_size for path in archived.lake_files())
    assert (report.findings, dataset.orphans, report.exit_code) == ((), (), 0)
    assert archived.records() == before


def test_audit_needs_no_source(archived: Bench) -> None:
    (archived.config_dir / "sources.yaml").unlink()
    (archived.config_dir / "archives.yaml").unlink()
    assert audited(archived).totals["rows"] == 200


def test_missing_file_is_found(archived: Bench) -> None:
    path = archived.lake_files()[1]
    path.unlink()
    assert only_finding(archived) == ("missing", lake_path(archived, path))


def test_other_size_is_found(archived: Bench) -> None:
    path = archived.lake_files()[1]
    path.write_bytes(path.read_bytes() + b"x")
    assert only_finding(archived) == ("size", lake_path(archived, path))


@pytest.mark.parametrize("column", range(6))
def test_flipped_bit_in_any_column_is_found(archived: Bench, column: int) -> None:
    path = archived.lake_files()[1]
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 4
    path.write_bytes(content)
    assert only_finding(archived) == ("checksum", lake_path(archived, path))


def test_file_that_was_replaced_together_with_its_checksum_is_found_by_its_rows(archived: Bench) -> None:
    """Somebody who rewrites a file and its manifest cannot rewrite what the source attested."""
    manifest = archived.generations()[1].manifest
    (file,) = manifest.files
    path = archived.folder / "lake" / file.path
    rows = pq.read_table(path)
    shops = rows["shop"].to_pylist()
    pq.write_table(rows.set_column(2, "shop", pa.array([*shops[1:], shops[0]])), path)
    forged = file.model_copy(
        update={"size_bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    )
    (archived.folder / "lake" / manifest.path).write_bytes(manifest.model_copy(update={"files": (forged,)}).to_bytes())
    checks = {(finding.check, finding.where) for finding in audited(archived).findings}
    assert ("digest", file.path) in checks


@pytest.mark.parametrize("position", [0, 100, -2])
def test_flipped_bit_in_a_manifest_is_found_and_the_others_are_audited(archived: Bench, position: int) -> None:
    path = archived.folder / "lake" / archived.generations()[1].manifest.path
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    report = audited(archived)
    (finding,) = report.findings
    assert (finding.check, finding.where) == ("record", lake_path(archived, path))
    assert report.totals["generations"] == 2
    assert len(report.datasets[0].orphans) == 1


@pytest.mark.parametrize("folder", ["receipts", "attempts"])
def test_flipped_bit_in_another_record_is_found(archived: Bench, folder: str) -> None:
    path = sorted((archived.folder / "lake/_tidegate" / folder).rglob("*.json"))[0]
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    assert only_finding(archived) == ("record", lake_path(archived, path))


def test_manifest_that_is_gone_is_missed_by_its_receipt(archived: Bench) -> None:
    path = archived.folder / "lake" / archived.generations()[1].manifest.path
    path.unlink()
    assert only_finding(archived) == ("missing", lake_path(archived, path))


def test_manifest_in_another_place_is_found(archived: Bench) -> None:
    path = archived.folder / "lake" / archived.generations()[1].manifest.path
    copy = path.with_name("000009.json")
    copy.write_bytes(path.read_bytes())
    assert only_finding(archived) == ("record", lake_path(archived, copy))


def test_files_that_were_removed_on_purpose_are_all_right(archived: Bench) -> None:
    path = archived.generations()[0].files[0]
    removal = Removal(dataset="orders", paths=(path,), rows=0, reason="test", removed_at=datetime.now(UTC))
    archived.ledger.record_removal(removal, "run")
    (archived.folder / "lake" / path).unlink()
    report = audited(archived)
    assert report.findings == ()
    assert (report.totals["generations"], report.totals["files"], report.totals["removed_files"]) == (3, 2, 1)


def test_orphans_are_named_and_are_no_fault(archived: Bench) -> None:
    orphan = archived.folder / "lake/orders/year=2024/month=01/left-behind.parquet"
    orphan.write_bytes(b"half a file")
    report = audited(archived)
    assert report.datasets[0].orphans == (lake_path(archived, orphan),)
    assert (report.findings, report.exit_code) == ((), 0)


def test_file_that_two_generations_name_is_found(archived: Bench) -> None:
    one, other = (generation.manifest for generation in archived.generations()[:2])
    shared = other.model_copy(update={"files": one.files, "attestation": one.attestation})
    (archived.folder / "lake" / other.path).write_bytes(shared.to_bytes())
    assert ("record", other.path) in {(f.check, f.where) for f in audited(archived).findings}


def test_quarantined_rows_are_audited_too(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audit_gate.py").write_text(
        "import pandera.polars as pa\n\nclass Orders(pa.DataFrameModel):\n    id: int = pa.Field(ge=6)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bench.configure(gate="audit_gate:Orders", on_gate_failure="quarantine")
    bench.fill_orders(200)
    bench.run()
    (file,) = (file for generation in bench.generations() for file in generation.manifest.quarantine)
    assert audited(bench).findings == ()
    (bench.folder / "lake" / file.path).unlink()
    assert only_finding(bench) == ("missing", file.path)


def test_all_datasets_are_audited_also_those_within_others(archived: Bench) -> None:
    archived.sql("INSERT INTO orders SELECT 1000 + g, '2024-01-01'::date + g FROM generate_series(1, 9) g")
    archived.configure(folder="orders/late")
    archived.run()
    report = audited(archived)
    found = [(d.dataset, d.generations, d.orphans) for d in report.datasets]
    assert found == [("orders", 3, ()), ("orders/late", 1, ())]
    assert report.findings == ()
    assert audit(archived.config_dir, "orders").datasets[0].dataset == "orders/late"


def test_counts_of_an_archive_without_row_proof_are_audited(bench: Bench) -> None:
    bench.configure(proof="counts", purge={"mode": "none"})
    bench.fill_orders(50)
    bench.run()
    assert audited(bench).findings == ()


def test_report_as_json_has_totals_and_state(archived: Bench) -> None:
    archived.lake_files()[0].unlink()
    body = json.loads(json.dumps(audited(archived).as_json()))
    assert body["state"] == "failed"
    assert body["totals"]["findings"] == len(body["datasets"][0]["findings"]) == 1


def test_failure_names_all_findings_and_survives_pickling(archived: Bench) -> None:
    import pickle

    for path in archived.lake_files():
        path.unlink()
    error = pickle.loads(pickle.dumps(AuditFailed(audited(archived))))
    assert error.what.count("missing: orders/") == 3
    assert (error.exit_code, len(error.report.findings)) == (3, 3)


def test_unknown_archive_and_missing_lake_are_told_apart(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="no archive"):
        audit(bench.config_dir, "ordres")
    with pytest.raises(LakeError, match="does not exist"):
        audited(bench)
    bench.lake.check(write=True)
    assert audited(bench).datasets == ()


def test_flow_fails_visibly_when_there_are_findings(archived: Bench, prefect_here: PrefectServer) -> None:
    from flows.audit_lake import audit_lake

    assert audit_lake("orders", config_dir=archived.config_dir).totals["rows"] == 200
    archived.lake_files()[0].unlink()
    state = audit_lake(config_dir=archived.config_dir, return_state=True)
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, AuditFailed)
    assert [finding.check for finding in error.report.findings] == ["missing"]
    artifacts = httpx.post(f"{prefect_here.api_url}/artifacts/filter", json={"sort": "CREATED_DESC"}).json()
    assert '"missing"' in next(a["data"] for a in artifacts if a["key"] == "audit-lake")
