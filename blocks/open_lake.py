"""From the text in `settings.yaml` to a lake. Imports only what that kind of lake needs."""

from pathlib import Path

from blocks.lake import Lake
from schemas.errors import ConfigError, LakeUnavailable


def open_lake(location: str, temp_dir: Path | None = None) -> Lake:
    """Return the lake at `location`. Nothing is read or written yet, except a Prefect block.

    Args:
        location: A folder, `s3://bucket/prefix`, or `block:NAME` of a Prefect `S3Bucket` block.
        temp_dir: Where an S3 lake puts scratch files; by default the system's temporary folder.

    Raises:
        ConfigError: `location` is none of these, or there is no such block.
        LakeUnavailable: The Prefect server that keeps the block does not answer.
    """
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        if not bucket:
            raise _config_error(location, "it names no bucket")
        from blocks.s3_lake import S3Lake

        return S3Lake(bucket, prefix, temp_dir=temp_dir)
    if location.startswith("block:"):
        return _from_block(location.removeprefix("block:"), location, temp_dir)
    if "://" in location or not location.strip():
        raise _config_error(location, "it is neither a folder nor an S3 URL nor a block")
    from blocks.local_lake import LocalLake

    return LocalLake(Path(location))


def _from_block(name: str, location: str, temp_dir: Path | None) -> Lake:
    if not name:
        raise _config_error(location, "it names no block")
    import httpx
    from prefect_aws import S3Bucket
    from pydantic import ValidationError

    from blocks.s3_access import access_from_block
    from blocks.s3_lake import S3Lake

    try:
        block: S3Bucket = S3Bucket.load(name, _sync=True)  # type: ignore[assignment, call-arg]
    except ValidationError:
        # Not as the cause: it prints the values, secrets among them.
        raise _config_error(location, "its values are not those of an S3Bucket block; save it again") from None
    except ValueError as error:  # Prefect's answer to a name it does not know
        raise _config_error(location, f"there is no S3Bucket block named {name!r} on the Prefect server") from error
    except (httpx.HTTPError, RuntimeError) as error:
        raise LakeUnavailable(
            f"lake: {location!r}: the block could not be loaded from Prefect ({type(error).__name__}).",
            state="Nothing was read or written.",
            next_step="Check PREFECT_API_URL and that the server runs (`prefect server start`).",
        ) from error
    return S3Lake(block.bucket_name, block.bucket_folder.strip("/"), access_from_block(block.credentials), temp_dir)


def _config_error(location: str, reason: str) -> ConfigError:
    return ConfigError(
        f"lake: {location!r} cannot be opened: {reason}.",
        state="Nothing was read or written.",
        next_step="Write a folder, s3://bucket/prefix, or block:NAME; `prefect block ls` shows the blocks.",
    )
