"""What each answer of an S3 store means: try again, or somebody has to change something."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError, SSLError

from blocks.s3_errors import s3_code, s3_lake_error
from schemas.errors import LakeError, LakeUnavailable


def meaning(error: BaseException) -> LakeError:
    return s3_lake_error(error, "s3://lake/p", "store:9000", "Cannot store a")


def answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SlowDown", 503), ("503", 503), ("InternalError", 500), ("500", 500), ("ServiceUnavailable", 503),
        ("RequestTimeout", 400), ("429", 429), ("TooManyRequests", 429), ("502", 502), ("504", 504),
        ("ConditionalRequestConflict", 409), ("OperationAborted", 409), ("NoSuchUpload", 404), ("", 503),
    ],
)  # fmt: skip
def test_unwell_store_is_worth_another_try(code: str, status: int) -> None:
    error = meaning(answer(code, status))
    assert isinstance(error, LakeUnavailable)
    assert "not known" in error.state


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("NoSuchBucket", 404, "no such bucket"),
        ("AccessDenied", 403, "denied"),
        ("403", 403, "denied"),
        ("SomethingNew", 403, "denied"),
        ("InvalidAccessKeyId", 403, "keys"),
        ("SignatureDoesNotMatch", 403, "keys"),
        ("ExpiredToken", 400, "expired"),
        ("PermanentRedirect", 301, "region"),
        ("RequestTimeTooSkewed", 403, "clock"),
        ("QuotaExceeded", 403, "full"),
        ("XMinioStorageFull", 507, "full"),
        ("KeyTooLongError", 400, "1,024"),
        ("Weird", 400, "Weird"),
    ],
)
def test_refusal_is_terminal_and_says_what_to_check(code: str, status: int, text: str) -> None:
    error = meaning(answer(code, status))
    assert not isinstance(error, LakeUnavailable)
    assert text in error.what
    assert "s3://lake/p (store:9000)" in error.what
    assert error.state
    assert error.next_step


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://x", error="refused"),
        ReadTimeoutError(endpoint_url="http://x", error="slow"),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_lost_connection_is_worth_another_try(error: Exception) -> None:
    assert isinstance(meaning(error), LakeUnavailable)


def test_certificates_missing_keys_and_the_local_disk_are_not() -> None:
    for error, text in (
        (SSLError(endpoint_url="https://x", error="self-signed"), "certificate"),
        (NoCredentialsError(), "no usable keys"),
        (OSError(28, "No space left on device", "/tmp/scratch"), "No space left on device on this machine"),
    ):
        found = meaning(error)
        assert not isinstance(found, LakeUnavailable)
        assert text in found.what


def test_code_is_found_behind_the_error_that_s3fs_makes_of_it() -> None:
    error = PermissionError("Access Denied.")
    error.__cause__ = answer("AccessDenied", 403)
    assert s3_code(error) == ("AccessDenied", 403)
    assert s3_code(OSError(5, "I/O error")) == ("", 0)
