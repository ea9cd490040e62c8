"""From the text in settings.yaml to a lake, and what each kind of it imports."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect_aws import AwsCredentials, MinIOCredentials, S3Bucket

from blocks.local_lake import LocalLake
from blocks.open_lake import open_lake
from blocks.s3_access import access_from_block
from blocks.s3_lake import S3Lake
from schemas.errors import ConfigError, LakeError, LakeUnavailable

ROOT = Path(__file__).parents[2]


def test_folder_is_a_local_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert open_lake(str(tmp_path)).url == str(tmp_path)
    assert open_lake("./lake").url == str(tmp_path / "lake")
    assert open_lake("~/lake").url == "/home/somebody/lake"
    assert isinstance(open_lake("lake"), LocalLake)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3://bucket/a/b/"])
def test_s3_url_is_an_s3_lake(location: str) -> None:
    lake = open_lake(location)
    assert isinstance(lake, S3Lake)
    assert lake.url == location.rstrip("/")


@pytest.mark.parametrize("location", ["", " ", "s3://", "s3:///prefix", "gs://bucket/prefix", "block:"])
def test_what_is_no_lake_is_a_config_error(location: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        open_lake(location)
    assert repr(location) in caught.value.what


def test_prefix_with_dots_is_refused() -> None:
    with pytest.raises(LakeError, match="cannot be a path"):
        open_lake("s3://bucket/a/../b")


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import blocks.open_lake", ["s3fs", "botocore", "boto3", "prefect", "duckdb", "pyarrow", "blocks.local_lake"]),
        ("from blocks.open_lake import open_lake; open_lake('./lake')", ["s3fs", "botocore", "prefect", "duckdb"]),
        ("from blocks.open_lake import open_lake; open_lake('s3://b/p')", ["prefect", "duckdb", "boto3"]),
    ],
    ids=["the module", "a folder", "an S3 URL"],
)
def test_only_what_is_needed_is_imported(statement: str, forbidden: list[str]) -> None:
    code = f"import sys; {statement}; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _load(monkeypatch: pytest.MonkeyPatch, outcome: object) -> None:
    def load(name: str, **_: Any) -> object:
        assert name == "mine"
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(S3Bucket, "load", load)


def test_block_gives_bucket_prefix_keys_and_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = AwsCredentials(
        aws_access_key_id="k", aws_secret_access_key="secret-value", aws_session_token="t", region_name="eu-west-1",
        aws_client_parameters={"endpoint_url": "http://127.0.0.1:9000", "verify": False, "use_ssl": False},
    )  # fmt: skip
    _load(monkeypatch, S3Bucket(bucket_name="b", bucket_folder="a/b/", credentials=credentials))
    lake = open_lake("block:mine")
    assert isinstance(lake, S3Lake)
    assert lake.url == "s3://b/a/b"
    access = lake._access
    assert (access.key, access.secret, access.token, access.region) == ("k", "secret-value", "t", "eu-west-1")
    assert access.endpoint_url == "http://127.0.0.1:9000"
    assert access.client == {"verify": False, "use_ssl": False}
    assert "secret-value" not in repr(access)


def test_block_without_keys_leaves_them_to_the_environment() -> None:
    access = access_from_block(AwsCredentials(profile_name="archive"))
    assert (access.key, access.secret, access.profile) == (None, None, "archive")


def test_minio_block() -> None:
    access = access_from_block(MinIOCredentials(minio_root_user="root", minio_root_password="p"))
    assert (access.key, access.secret) == ("root", "p")


def test_assumed_role_is_assumed_again_when_its_keys_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assumed: list[int] = []

    def assume(_: AwsCredentials) -> object:
        assumed.append(1)
        keys = SimpleNamespace(access_key=f"k{len(assumed)}", secret_key="s", token="t")
        return SimpleNamespace(get_credentials=lambda: SimpleNamespace(get_frozen_credentials=lambda: keys))

    monkeypatch.setattr(AwsCredentials, "get_boto3_session", assume)
    # Keys that live a minute are always about to expire, so each use asks for new ones.
    block = AwsCredentials(assume_role_arn="arn:aws:iam::1:role/r", assume_role_kwargs={"DurationSeconds": 901})
    session = access_from_block(block).session
    assert session is not None

    async def keys() -> str:
        frozen = await (await session.get_credentials()).get_frozen_credentials()
        return str(frozen.access_key)

    assert assumed == []
    assert asyncio.run(keys()) == "k1"
    assert asyncio.run(keys()) == "k1"


def test_unknown_block_is_a_config_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _load(monkeypatch, ValueError("Unable to find block document named mine for block type s3-bucket"))
    with pytest.raises(ConfigError, match="no S3Bucket block named 'mine'") as caught:
        open_lake("block:mine")
    assert "prefect block ls" in caught.value.next_step


def test_prefect_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    _load(monkeypatch, RuntimeError("Failed to reach API at http://127.0.0.1:9/api"))
    with pytest.raises(LakeUnavailable, match="could not be loaded from Prefect"):
        open_lake("block:mine")


@pytest.mark.slow
def test_real_prefect_server_keeps_the_block() -> None:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        with pytest.raises(ConfigError, match="no S3Bucket block named 'mine'"):
            open_lake("block:mine")
        credentials = AwsCredentials(aws_access_key_id="k", aws_secret_access_key="s")
        credentials.save("keys")
        S3Bucket(bucket_name="b", bucket_folder="p", credentials=credentials).save("mine")
        lake = open_lake("block:mine")
        assert lake.url == "s3://b/p"
        assert isinstance(lake, S3Lake)
        assert (lake._access.key, lake._access.secret) == ("k", "s")
