"""How to reach an S3 store: keys, endpoint, region; and the s3fs file system that is made of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import s3fs
from aiobotocore.credentials import AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.loaders import Loader, create_loader

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials, MinIOCredentials

READ_BLOCK_BYTES = 4 * 2**20
_REQUESTS_AT_ONCE = 32
# s3fs repeats what botocore has given up on; both together must not take longer than a Prefect retry would.
_S3FS_ATTEMPTS = 2
_ASSUMED_ROLE_S = 3600


@dataclass(frozen=True, slots=True)
class S3Access:
    """Keys, endpoint and region. What is None comes from the environment, ~/.aws, or the machine's role.

    Attributes:
        key: Access key id.
        secret: Secret access key.
        token: Session token of temporary keys.
        endpoint_url: Where the store is if it is not AWS; else AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
        region: The bucket's region.
        profile: A profile of ~/.aws.
        session: A session that renews its own keys; then none of the keys above is used.
        client: Further arguments of the botocore client, as `verify`.
        config: Further settings of `botocore.config.Config`, as `retries`.
    """

    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    session: AioSession | None = field(default=None, repr=False)
    client: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where the store is, for people: `AWS` or host and port. Never a secret."""
        if not self.endpoint_url:
            return "AWS, or the endpoint in AWS_ENDPOINT_URL"
        url = urlsplit(self.endpoint_url)
        return f"{url.hostname}:{url.port}" if url.port else f"{url.hostname}"

    def file_system(self) -> s3fs.S3FileSystem:
        """Return an s3fs file system of its own, which caches no listing and connects when it is first used."""
        session = self.session or AioSession(profile=self.profile)
        session.register_component("data_loader", _service_models(session.get_config_variable("data_path")))
        system = s3fs.S3FileSystem(
            key=self.key,
            secret=self.secret,
            token=self.token,
            endpoint_url=self.endpoint_url,
            client_kwargs={**({"region_name": self.region} if self.region else {}), **self.client},
            config_kwargs={
                "retries": {"mode": "standard"},  # the number of attempts is AWS_MAX_ATTEMPTS, by default 3
                "connect_timeout": 5,
                "read_timeout": 30,
                "max_pool_connections": _REQUESTS_AT_ONCE,
                **self.config,
            },
            default_block_size=READ_BLOCK_BYTES,
            use_listings_cache=False,  # a listing must show what another process wrote a moment ago
            skip_instance_cache=True,  # the cache would keep keys, and share connections, beyond this lake
            asynchronous=False,
            session=session,
        )
        system.retries = _S3FS_ATTEMPTS
        return system


@cache
def _service_models(data_path: str | None) -> Loader:
    """Return what botocore knows of AWS's services: for each session anew, it takes a tenth of a second to read."""
    return create_loader(data_path)


def access_from_block(credentials: "AwsCredentials | MinIOCredentials") -> S3Access:
    """Return what a credentials block of prefect-aws says. An assumed role is renewed while the lake is open."""
    from prefect_aws import MinIOCredentials  # loaded already, as there is a block

    parameters = credentials.aws_client_parameters
    verify: object = parameters.verify_cert_path or parameters.verify
    common: dict[str, Any] = {
        "endpoint_url": parameters.endpoint_url,
        "region": credentials.region_name,
        "client": {
            **({} if parameters.use_ssl else {"use_ssl": False}),
            **({} if verify is None else {"verify": verify if isinstance(verify, bool) else str(verify)}),
        },
        "config": parameters.config or {},
    }
    if isinstance(credentials, MinIOCredentials):
        password = credentials.minio_root_password.get_secret_value()
        return S3Access(key=credentials.minio_root_user, secret=password, **common)
    if credentials.assume_role_arn:
        return S3Access(session=_renewing_session(credentials), **common)
    secret = credentials.aws_secret_access_key
    return S3Access(
        key=credentials.aws_access_key_id,
        secret=secret.get_secret_value() if secret else None,
        token=credentials.aws_session_token,
        profile=credentials.profile_name,
        **common,
    )


def _renewing_session(credentials: "AwsCredentials") -> AioSession:
    """Return a session that assumes the block's role again before its keys run out."""

    async def assume_role() -> dict[str, str]:
        session = await asyncio.to_thread(credentials.get_boto3_session)
        keys = session.get_credentials().get_frozen_credentials()
        # The block drops the time at which the keys expire; it is what was asked for, by default an hour.
        seconds = credentials.assume_role_kwargs.get_params_override().get("DurationSeconds", _ASSUMED_ROLE_S)
        expiry = datetime.now(UTC) + timedelta(seconds=seconds)
        return {
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "token": keys.token,
            "expiry_time": expiry.isoformat(),
        }

    session = AioSession()
    # There is no public way to hand a session credentials that renew themselves.
    session._credentials = AioDeferredRefreshableCredentials(assume_role, "assume-role")
    return session
