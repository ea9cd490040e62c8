"""Files of an SFTP server, and of a bucket, into the raw layer: over networks that cut, from servers that lie."""

import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from files_bench import FilesBench, one, states
from service_seaweedfs import SeaweedFS
from service_sftp import LyingServer
from service_tcp_proxy import Fault, TcpProxy

from blocks.ledger import Ledger
from schemas.errors import SourceError, SourceUnavailable
from schemas.ingest_report import FileState, TableState
from tidegate.demo.sftp_server import SftpServer

HEADER = "id,amount\n"
DONE = FileState.DONE


@pytest.fixture
def partner(tmp_path: Path, sftp_server: SftpServer, sftp_folder: Path) -> FilesBench:
    """A project whose source is a folder of an SFTP server."""
    return FilesBench(tmp_path, sftp_folder, source_of(sftp_server.connection(), sftp_folder))


def source_of(connection: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"type": "sftp", "path": folder.name, "connection": connection}


def test_files_come_from_an_sftp_server_and_are_moved_there(partner: FilesBench) -> None:
    partner.configure({"files": "**/*.csv"}, after="move", move_to="done")
    partner.put("a.csv", HEADER + "1,1.5\n")
    partner.put("b.csv", HEADER + "2,2.5,9\n")
    report = partner.ingest()
    assert states(report) == {"a.csv": DONE, "b.csv": FileState.FAILED}
    assert one(report, "a.csv").note.endswith("done/a.csv")
    assert partner.dropped() == ["b.csv", "done/a.csv"]
    assert partner.rows("id, amount, _source_file") == [(1, 1.5, "a.csv")]
    assert partner.ingest().state is TableState.UNCHANGED
    partner.put("a.csv", HEADER + "3,3.5\n")
    partner.ingest()
    assert partner.rows() == [(1, 1.5), (3, 3.5)]
    assert len([path for path in partner.dropped() if path.startswith("done/a")]) == 2
    partner.assert_sound()


def test_files_are_deleted_on_the_server_once_their_rows_are_proven(partner: FilesBench) -> None:
    partner.configure(after="delete", marker="{name}.done")
    partner.put("a.csv", HEADER + "1,1.5\n")
    assert states(partner.ingest()) == {"a.csv": FileState.UNFINISHED}
    partner.put("a.csv.done", "")
    assert one(partner.ingest(), "a.csv").note == "deleted"
    assert (partner.dropped(), partner.rows()) == ([], [(1, 1.5)])


def test_a_download_that_is_cut_at_60_percent_arrives_whole(
    partner: FilesBench, sftp_server: SftpServer, sftp_folder: Path
) -> None:
    chance = random.Random(1)
    rows = [(n, chance.randrange(10**9)) for n in range(300_000)]
    file = partner.put("big.csv", HEADER + "".join(f"{id_},{amount}\n" for id_, amount in rows))
    with TcpProxy(sftp_server.port) as proxy:
        partner._source = source_of(sftp_server.connection(port=proxy.port), sftp_folder)
        partner.configure(after="delete")
        proxy.plan(Fault("cut", after_bytes=int(file.stat().st_size * 0.6)))
        report = partner.ingest()
        assert (report.state, report.rows, proxy.done) == (TableState.DONE, len(rows), 1)
    assert partner.ask('SELECT count(*), sum(id), sum(amount) FROM "raw/partner".sales') == [
        (len(rows), sum(id_ for id_, _ in rows), sum(amount for _, amount in rows))
    ]
    assert partner.dropped() == []


def test_a_server_with_another_key_is_an_error_of_the_table_and_nothing_is_read(
    partner: FilesBench, sftp_server: SftpServer, sftp_folder: Path
) -> None:
    import paramiko

    key = paramiko.ECDSAKey.generate()
    connection = sftp_server.connection(host_key=f"{key.get_name()} {key.get_base64()}")
    partner._source = source_of(connection, sftp_folder)
    partner.configure()
    partner.put("a.csv", HEADER + "1,1.5\n")
    with pytest.raises(SourceError, match=r"has another key than it should have: expected .* SHA256:.*, got "):
        partner.ingest()
    assert Ledger(partner.lake, "raw/partner/sales").generations() == []


def test_a_server_that_is_not_there_is_worth_another_try(
    partner: FilesBench, sftp_server: SftpServer, sftp_folder: Path
) -> None:
    partner._source = source_of(sftp_server.connection(port=9), sftp_folder)
    partner.configure()
    with pytest.raises(SourceUnavailable, match="could not be reached"):
        partner.ingest()


def test_names_of_a_lying_server_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    content = b"id,amount\n1,1.5\n"
    names = {b"../../x.csv": content, b"a\x00b.csv": content, b"good.csv": content}
    with LyingServer(names) as server:
        partner = FilesBench(tmp_path / "project", None, source_of(server.connection(), Path("in")))
        report = partner.ingest()
        assert states(report) == {
            "../../x.csv": FileState.FAILED, "a\\x00b.csv": FileState.FAILED, "good.csv": DONE
        }  # fmt: skip
        assert "slash or a backslash" in str(report.error)
        assert partner.ingest().state is TableState.UNCHANGED
    assert [path.name for path in tmp_path.rglob("*x.csv")] == []


def test_files_come_from_a_bucket_into_a_lake_in_a_bucket(
    tmp_path: Path, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    place, client = f"drop/{uuid.uuid4().hex}", s3_server.client()
    bench = FilesBench(tmp_path, None, {"type": "files", "path": f"s3://{s3_bucket}/{place}"})
    bench.settings = {"lake": f"s3://{s3_bucket}/lakes/{uuid.uuid4().hex}"}
    bench.configure({"partition_by": ["id"]}, after="move", move_to="done")

    def put(name: str, text: str) -> None:
        client.put_object(Bucket=s3_bucket, Key=f"{place}/{name}", Body=text.encode())

    put("a.csv", HEADER + "1,1.5\n2,2.5\n")
    put("b.csv", HEADER + "1,1.5,9\n")
    report = bench.ingest()
    assert states(report) == {"a.csv": DONE, "b.csv": FileState.FAILED}
    found = client.list_objects_v2(Bucket=s3_bucket, Prefix=f"{place}/")["Contents"]
    assert sorted(item["Key"].removeprefix(f"{place}/") for item in found) == ["b.csv", "done/a.csv"]
    bench.configure(after="delete")
    put("c.csv", HEADER + "3,3.5\n")
    bench.ingest()
    assert bench.rows() == [(1, 1.5), (2, 2.5), (3, 3.5)]
    found = client.list_objects_v2(Bucket=s3_bucket, Prefix=f"{place}/")["Contents"]
    assert sorted(item["Key"].removeprefix(f"{place}/") for item in found) == ["b.csv", "done/a.csv"]
    bench.assert_sound()
