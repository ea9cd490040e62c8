"""What an S3 store's error means for the lake: whether trying again can help, and what to check.

Nothing of a request's keys, signature or body gets into a message.
"""

import http.client
from collections.abc import Mapping
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from schemas.errors import LakeError, LakeUnavailable

FAILURES = (OSError, BotoCoreError, ClientError, ResponseParserError, aiohttp.ClientError)
"""All that a call through s3fs raises when the store, the network or the local disk fails."""

_SAFE = "No object that was in the lake has changed, and no part of an object is visible in it."
_UNKNOWN = "Whether the last request was carried out is not known; no part of an object is visible in the lake."
_KEYS = "Check the access key and the secret: the Prefect block, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws."
_RIGHTS = (
    "Give these keys s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject and "
    "s3:AbortMultipartUpload on the prefix."
)
_REGION = "Set the bucket's region (AWS_REGION, or the block's region) and, if it is not on AWS, its endpoint."
_FULL = "Free space in the store or raise its quota, then run the same again."

_DENIED = ("access is denied", _RIGHTS)
_BAD_KEYS = ("the store does not accept the keys", _KEYS)
_EXPIRED = ("the temporary keys have expired", "Log in again, then run the same again; it resumes.")
_WRONG_REGION = ("the bucket is in another region", _REGION)
_NO_SPACE = ("the store is full", _FULL)

# S3's error code -> (what happened, what to check)
_TERMINAL: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "Create the bucket, or correct `lake` in settings.yaml."),
    "InvalidBucketName": ("that is no valid bucket name", "Correct `lake` in settings.yaml."),
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _BAD_KEYS,
    "SignatureDoesNotMatch": _BAD_KEYS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "IllegalLocationConstraintException": _WRONG_REGION,
    "301": _WRONG_REGION,
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "Set the clock (`timedatectl`)."),
    "KeyTooLongError": ("the path is longer than 1,024 bytes", "Shorten the prefix, the folder or partition values."),
    "PreconditionFailed": ("that name is taken, and objects are never overwritten", "Store under another name."),
    "QuotaExceeded": _NO_SPACE,
    "InsufficientStorage": _NO_SPACE,
    "XMinioStorageFull": _NO_SPACE,
    "507": _NO_SPACE,
    "NotImplemented": ("the store cannot do this", "Use a store with conditional writes (If-None-Match)."),
    "501": ("the store cannot do this", "Use a store with conditional writes (If-None-Match)."),
}
_TRANSIENT_CODES = {
    "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "NoSuchUpload",
    "ConditionalRequestConflict", "RequestLimitExceeded", "Throttling", "ThrottlingException", "409", "429",
}  # fmt: skip
_NO_KEYS = (
    NoCredentialsError, PartialCredentialsError, ProfileNotFound, CredentialRetrievalError,
    TokenRetrievalError, UnauthorizedSSOTokenError,
)  # fmt: skip


def s3_lake_error(error: BaseException, lake: str, place: str, doing: str) -> LakeError:
    """Return the error to raise for `error`.

    Args:
        error: What s3fs, botocore or aiohttp raised.
        lake: The lake's `s3://` URL.
        place: Where its store is, for people.
        doing: What failed, as in `Cannot store a/b.parquet`.
    """
    what = f"{doing} in the lake {lake} ({place})"
    code, status = s3_code(error)
    if code:
        return _by_code(code, status, what)
    if isinstance(error, _NO_KEYS):
        return LakeError(f"{what}: no usable keys were found ({type(error).__name__}).", state=_SAFE, next_step=_KEYS)
    if isinstance(error, SSLError):
        return LakeError(
            f"{what}: the store's TLS certificate is not accepted.",
            state=_SAFE,
            next_step="Check the endpoint's scheme and host, or name its certificate in AWS_CA_BUNDLE.",
        )
    if _is_connection_trouble(error):
        return LakeUnavailable(
            f"{what}: the store does not answer ({type(error).__name__}).",
            state=_UNKNOWN,
            next_step="Check the endpoint and the network, then run the same again; it resumes.",
        )
    if isinstance(error, OSError) and error.strerror:
        place_on_disk = f" ({error.filename})" if error.filename else ""
        return LakeError(
            f"{what}: {error.strerror} on this machine{place_on_disk}.",
            state=_SAFE,
            next_step="Look after the local disk (`df -h`), then run the same again.",
        )
    return LakeError(f"{what}: {type(error).__name__}: {error}", state=_UNKNOWN, next_step="Check `lake` and its keys.")


def s3_code(error: BaseException) -> tuple[str, int]:
    """Return the S3 error code and the HTTP status behind `error`, or `("", 0)`."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, ClientError):
            response: Mapping[str, Any] = candidate.response
            status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return str(response.get("Error", {}).get("Code") or status), status
    return "", 0


def s3_error_of_key(code: str, lake: str, place: str, doing: str) -> LakeError:
    """Return the error to raise for one key of a request for many, which the store answered with `code`."""
    return _by_code(code, 0, f"{doing} in the lake {lake} ({place})")


def _by_code(code: str, status: int, what: str) -> LakeError:
    if code in _TRANSIENT_CODES or (code not in _TERMINAL and (status == 429 or status >= 500)):
        return LakeUnavailable(
            f"{what}: the store is overloaded or unwell ({code}).",
            state=_UNKNOWN,
            next_step="Run the same again in a while; it resumes.",
        )
    if code in _TERMINAL or str(status) in _TERMINAL:
        meaning, next_step = _TERMINAL.get(code) or _TERMINAL[str(status)]
        return LakeError(f"{what}: {meaning} ({code}).", state=_SAFE, next_step=next_step)
    return LakeError(
        f"{what}: the store refused ({code}).", state=_SAFE, next_step="Look the code up in the S3 manual."
    )


def _is_connection_trouble(error: BaseException) -> bool:
    kinds = (
        HTTPClientError, ConnectionError, TimeoutError, ResponseParserError, aiohttp.ClientError,
        ConnectionResetError, ConnectionAbortedError, ConnectionRefusedError, BrokenPipeError,
        http.client.IncompleteRead,
    )  # fmt: skip
    return isinstance(error, kinds)
