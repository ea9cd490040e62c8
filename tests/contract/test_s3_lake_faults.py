"""A lake on S3, when keys are wrong, rights are missing, answers get lost, or the store is down."""

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_seaweedfs import SeaweedFS
from service_tcp_proxy import Fault, TcpProxy

from blocks.open_lake import open_lake
from blocks.s3_lake import S3Lake
from schemas.errors import LakeError, LakeUnavailable, Retry


def refusal(call: Callable[[], object]) -> LakeError:
    with pytest.raises(LakeError) as caught:
        call()
    error = caught.value
    assert error.retry is Retry.TERMINAL, error
    assert error.state
    assert error.next_step
    return error


def test_wrong_secret_is_a_clear_error_that_keeps_it(s3_server: SeaweedFS, s3_bucket: str) -> None:
    lake = S3Lake(s3_bucket, "p", s3_server.access(secret="hunter2-wrong"))
    for call in (lambda: lake.check(write=True), lambda: lake.put_if_absent("a", b"x"), lambda: lake.read("a")):
        error = refusal(call)
        assert "does not accept the keys" in error.what
        assert f"s3://{s3_bucket}/p" in error.what
        assert "hunter2" not in str(error) + repr(error) + repr(error.__cause__)
    assert "hunter2" not in repr(lake._access)


def test_unknown_key_is_a_clear_error(s3_server: SeaweedFS, s3_bucket: str) -> None:
    lake = S3Lake(s3_bucket, access=s3_server.access(key="nobody"))
    assert "does not accept the keys" in refusal(lambda: lake.check(write=False)).what


def test_no_keys_at_all_is_a_clear_error(s3_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _forget_aws(monkeypatch, tmp_path)
    lake = S3Lake("lake", access=s3_server.access(key=None, secret=None))
    assert "no usable keys" in refusal(lambda: lake.check(write=False)).what


def test_missing_bucket_is_a_clear_error_whatever_is_asked(s3_server: SeaweedFS, tmp_path: Path) -> None:
    lake = S3Lake("no-such-bucket", "p", s3_server.access())
    (tmp_path / "f").write_bytes(b"x")
    for call in (
        lambda: lake.check(write=False),
        lambda: lake.put_if_absent("a", b"x"),
        lambda: lake.store(tmp_path / "f", "a"),
        lambda: lake.read("a"),
        lambda: lake.fetch("a", tmp_path),
        lambda: lake.find("a"),
        lambda: list(lake.list("")),
        lambda: lake.delete(["a"]),
    ):
        error = refusal(call)
        assert "no such bucket" in error.what
        assert "s3://no-such-bucket/p" in error.what
    assert (tmp_path / "f").exists()


def test_read_only_keys_are_found_out_by_the_check(s3_server: SeaweedFS, s3_lake: S3Lake, tmp_path: Path) -> None:
    s3_lake.put_if_absent("there", b"content")
    reader = S3Lake(s3_lake.bucket, s3_lake.prefix, s3_server.reader_access())
    reader.check(write=False)
    assert reader.read("there") == b"content"
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(b"x" * 17 * 2**20)
    for call in (
        lambda: reader.check(write=True),
        lambda: reader.put_if_absent("a", b"x"),
        lambda: reader.store(tmp_path / "small", "b"),
        lambda: reader.store(tmp_path / "large", "c"),
        lambda: reader.delete(["there"]),
    ):
        error = refusal(call)
        assert "access is denied" in error.what
        assert "s3:PutObject" in error.next_step
    assert [entry.path for entry in s3_lake.list("")] == ["there"]


@pytest.fixture
def proxy(s3_server: SeaweedFS) -> Iterator[TcpProxy]:
    with TcpProxy(s3_server.port) as proxy:
        yield proxy


def lose_answers(proxy: TcpProxy, request_line: str, times: int) -> None:
    proxy.plan(Fault("lose_answer", on=f"^{request_line}", times=times))


@pytest.fixture
def far_lake(s3_server: SeaweedFS, s3_lake: S3Lake, proxy: TcpProxy) -> S3Lake:
    """`s3_lake`, seen through the proxy."""
    access = s3_server.access(endpoint_url=f"http://127.0.0.1:{proxy.port}")
    return S3Lake(s3_lake.bucket, s3_lake.prefix, access)


def test_put_whose_answer_is_lost_is_known_to_be_ours(far_lake: S3Lake, s3_lake: S3Lake, proxy: TcpProxy) -> None:
    lose_answers(proxy, "PUT ", 1)
    assert far_lake.put_if_absent("manifest", b"same") is True
    assert proxy.done == 1
    assert s3_lake.put_if_absent("manifest", b"same") is False


def test_put_whose_answers_are_all_lost_is_settled_by_looking(far_lake: S3Lake, proxy: TcpProxy) -> None:
    lose_answers(proxy, "PUT ", 99)
    assert far_lake.put_if_absent("manifest", b"ours") is True
    assert proxy.done > 1
    assert far_lake.read("manifest") == b"ours"


def test_put_to_a_taken_name_whose_answer_is_lost_is_not_ours(far_lake: S3Lake, proxy: TcpProxy) -> None:
    assert far_lake.put_if_absent("manifest", b"same")
    lose_answers(proxy, "PUT ", 2)
    assert far_lake.put_if_absent("manifest", b"same") is False
    assert proxy.done == 2


# The first POST opens the upload, the second one completes it.
@pytest.mark.parametrize("request_line", ["PUT ", r"POST \S+\?uploadId"], ids=["a part", "the completion"])
def test_store_whose_answer_is_lost_succeeds(
    far_lake: S3Lake, proxy: TcpProxy, tmp_path: Path, request_line: str
) -> None:
    content = os.urandom(17 * 2**20)
    (tmp_path / "f").write_bytes(content)
    lose_answers(proxy, request_line, 1)
    far_lake.store(tmp_path / "f", "t/big")
    assert proxy.done == 1
    assert not (tmp_path / "f").exists()
    assert far_lake.fetch("t/big", tmp_path).read_bytes() == content


def test_store_that_is_down_is_unavailable_not_terminal(s3_server: SeaweedFS, tmp_path: Path) -> None:
    lake = S3Lake("lake", access=s3_server.access(endpoint_url="http://127.0.0.1:9"))
    (tmp_path / "f").write_bytes(b"x")
    for call in (lambda: lake.check(write=False), lambda: lake.put_if_absent("a", b"x")):
        with pytest.raises(LakeUnavailable, match=r"127\.0\.0\.1:9"):
            call()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overloaded_store_is_unavailable_and_the_file_is_kept(
    s3_server: SeaweedFS, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    class Overloaded(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # else it answers no `Expect: 100-continue`

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PUT = do_POST = do_HEAD = answer

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Overloaded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lake = S3Lake("lake", access=s3_server.access(endpoint_url=f"http://127.0.0.1:{server.server_port}"))
        (tmp_path / "f").write_bytes(b"x")
        for call in (
            lambda: lake.check(write=False),
            lambda: lake.read("a"),
            lambda: lake.put_if_absent("a", b"x"),
            lambda: lake.store(tmp_path / "f", "a"),
        ):
            with pytest.raises(LakeUnavailable, match="overloaded or unwell"):
                call()
        server.shutdown()
    assert (tmp_path / "f").exists()


def test_store_that_ignores_the_condition_is_refused_by_the_check(
    s3_lake: S3Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = s3_lake._call

    def unconditional(method: str, **arguments: object) -> object:
        arguments.pop("IfNoneMatch", None)
        return call(method, **arguments)

    monkeypatch.setattr(s3_lake, "_call", unconditional)
    assert "ignores `If-None-Match`" in refusal(lambda: s3_lake.check(write=True)).what
    assert list(s3_lake.list("")) == []


def test_lake_survives_a_crash_of_the_store(tmp_path: Path) -> None:
    with SeaweedFS() as server:
        server.client().create_bucket(Bucket="lake")
        lake = S3Lake("lake", "p", server.access())
        assert lake.put_if_absent("before", b"x")
        server.stop()
        server.start()
        assert lake.read("before") == b"x"
        assert lake.put_if_absent("before", b"y") is False
        assert lake.put_if_absent("after", b"y") is True


def test_keys_and_endpoint_come_from_the_environment(
    s3_server: SeaweedFS, s3_lake: S3Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _forget_aws(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, s3_server.endpoint_url)
            lake = open_lake(f"{s3_lake.url}/", temp_dir=tmp_path)
            lake.check(write=True)
            assert lake.url == s3_lake.url
            with lake.scratch() as scratch:
                assert scratch.parent.parent == tmp_path


def _forget_aws(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(home))
