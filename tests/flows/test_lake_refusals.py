"""A lake that cannot take what a run brings: clear errors, nothing half-done, and the next run does the rest."""

import uuid
from pathlib import Path

import pytest
from service_bench import Bench
from service_disks import let_others_in, mounted, without_root
from service_seaweedfs import SeaweedFS

from schemas.errors import LakeError, LakeUnavailable, is_transient
from tidegate.demo.postgres import free_port

LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
(window,) = bench.failed_run().windows
Path({out!r}).write_text(window.error)
"""


def fill(bench: Bench) -> None:
    bench.fill_orders(0)
    bench.sql(
        "INSERT INTO orders SELECT g, '2024-01-05', 's', g, md5(g::text) || md5((g + 0.5)::text) "
        "FROM generate_series(1, 2000) g"
    )
    bench.configure(purge={"mode": "delete", "batch_rows": 1000})


def limited_run(bench: Bench, limit_bytes: int) -> str:
    out = bench.folder / "error"
    assert bench.in_another_process(LIMITED.format(limit=limit_bytes, out=str(out))).wait(50) == 0
    return out.read_text()


def test_no_room_in_mid_export_commits_nothing_and_the_next_run_does_it(bench: Bench) -> None:
    fill(bench)
    error = limited_run(bench, 10_000)
    assert "cannot be exported" in error and "File too large" in error and "df -h" in error
    assert (bench.count(), bench.generations(), bench.ledger.orphans()) == (2000, [], [])
    assert bench.run("again").totals["deleted"] == 2000


def test_no_room_for_the_evidence_deletes_nothing_and_the_next_run_does_it(bench: Bench) -> None:
    fill(bench)
    bench.run(purging=False)
    before = bench.records()
    error = limited_run(bench, 10_000)
    assert "cannot be verified" in error and "File too large" in error and "No row was deleted" in error
    assert "df -h" in error
    assert (bench.count(), bench.records()) == (2000, before)
    assert bench.run("again").totals["deleted"] == 2000


def test_a_full_disk_in_mid_export_commits_nothing_and_the_next_run_does_it(bench: Bench) -> None:
    fill(bench)
    with mounted(bench.folder / "lake", "size=64k"):
        (window,) = bench.failed_run().windows
        assert "No space left" in str(window.error) or "disk is full" in str(window.error)
        assert (bench.count(), bench.generations()) == (2000, [])
    assert bench.run("again").totals["deleted"] == 2000


def test_a_lake_that_cannot_be_written_is_found_before_anything_is_exported(bench: Bench) -> None:
    bench.fill_orders(20)
    let_others_in(bench.folder)
    lake = bench.folder / "lake"
    lake.mkdir(mode=0o555)
    with without_root(), pytest.raises(LakeError, match="permission denied") as caught:
        bench.run()
    assert str(lake) in caught.value.next_step and not is_transient(caught.value)
    assert (bench.count(), list(lake.iterdir())) == (20, [])
    lake.chmod(0o755)
    assert bench.run("again").totals["deleted"] == 20


def test_a_file_of_an_earlier_generation_that_is_gone_is_a_clear_error(bench: Bench) -> None:
    bench.fill_orders(20)
    bench.run(purging=False)
    (path,) = bench.lake_files()
    path.unlink()
    bench.sql("INSERT INTO orders SELECT 1000, '2024-01-05', 'late', 1, NULL, NULL")
    report = bench.failed_run()
    assert path.name in str(report.windows[0].error) and "tidegate verify" in str(report.windows[0].error)
    assert (report.exit_code, bench.count()) == (3, 21)


@pytest.fixture
def on_s3(bench: Bench, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A project whose lake is a prefix of its own on S3, and whose keys are in the environment."""
    bench.settings = {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}"}
    bench.configure()
    bench.fill_orders(60)
    use_keys(monkeypatch, s3_server.key, s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return bench


def use_keys(monkeypatch: pytest.MonkeyPatch, key: str, secret: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def test_rows_leave_for_s3_and_a_second_run_changes_nothing(on_s3: Bench) -> None:
    assert on_s3.run("first", purging=False).totals["archived"] == 60
    on_s3.sql("UPDATE orders SET note = 'changed' WHERE id = 7")
    report = on_s3.run("second")
    assert (report.totals["archived"], report.totals["deleted"], report.totals["changed_since"]) == (1, 60, 1)
    assert on_s3.count() == 0
    before = on_s3.records()
    assert set(on_s3.run("third").totals.values()) == {0}
    assert on_s3.records() == before
    assert not (on_s3.folder / "lake").exists()
    assert b"secret" not in b"".join(before.values())


def test_damage_on_s3_is_found_and_nothing_is_deleted(on_s3: Bench) -> None:
    on_s3.run("first", purging=False)
    path = on_s3.generations()[0].files[0]
    content = bytearray(on_s3.records()[path])
    content[len(content) // 2] ^= 1
    lake = on_s3.lake
    lake.delete([path])
    lake.put_if_absent(path, bytes(content))
    report = on_s3.failed_run()
    assert report.exit_code == 3 and "checksum" in str(report.windows[0].error)
    assert on_s3.count() == 60


@pytest.mark.parametrize("wrong", ["secret", "bucket", "read-only", "endpoint"])
def test_an_s3_lake_that_refuses_is_found_before_anything_is_exported(
    on_s3: Bench, s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    told = ""
    if wrong == "secret":
        use_keys(monkeypatch, s3_server.key, "hunter22-hunter22")
        told = "does not accept the keys"
    elif wrong == "bucket":
        on_s3.settings = {"lake": "s3://no-such-bucket/prefix"}
        on_s3.configure()
        told = "no such bucket"
    elif wrong == "read-only":
        use_keys(monkeypatch, s3_server.reader_key, s3_server.reader_secret)
        told = "access is denied"
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        told = "does not answer"
    with pytest.raises(LakeError, match=told) as caught:
        on_s3.run()
    assert is_transient(caught.value) is isinstance(caught.value, LakeUnavailable) is (wrong == "endpoint")
    assert caught.value.state and caught.value.next_step
    assert not {"hunter22-hunter22", s3_server.secret, s3_server.reader_secret} & set(str(caught.value).split())
    assert on_s3.count() == 60
    if wrong == "read-only":
        use_keys(monkeypatch, s3_server.key, s3_server.secret)
        assert on_s3.records() == {}


def test_an_unknown_block_is_refused_by_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prefect says to a name that it does not know was recorded from a server (3.8)."""
    from prefect.blocks.system import Secret
    from prefect_aws import S3Bucket

    def load(name: str, **_: object) -> object:
        raise ValueError(f"Unable to find block document named {name} for block type …")

    bench.fill_orders(20)
    monkeypatch.setattr(S3Bucket, "load", load)
    bench.settings = {"lake": "block:my-lake"}
    bench.configure()
    assert "'my-lake'" in bench.refusal().what
    monkeypatch.setattr(Secret, "load", load)
    bench.settings = {}
    bench.configure()
    sources: Path = bench.config_dir / "sources.yaml"
    sources.write_text("sources: [{name: shop, type: postgresql, connection: {block: my-shop}}]")
    assert "no Secret block 'my-shop'" in bench.refusal().what
