"""From a source of `sources.yaml` to the place where its files lie. Imports only what that kind of place needs."""

from collections.abc import Callable
from pathlib import Path

from blocks.file_places.place import FilePlace
from schemas.sources.files import FilesSource, SftpSource


def open_place(source: FilesSource | SftpSource) -> FilePlace:
    """Return the place of a source's files. It connects when its `with` block begins."""
    return _PLACES[_kind(source)](source)


def _kind(source: FilesSource | SftpSource) -> str:
    return "s3" if source.type == "files" and source.path.startswith("s3://") else source.type


def _local(source: FilesSource | SftpSource) -> FilePlace:
    from blocks.file_places.local import LocalPlace

    return LocalPlace(Path(source.path))


def _s3(source: FilesSource | SftpSource) -> FilePlace:
    from blocks.file_places.s3 import S3Place

    bucket, _, prefix = source.path.removeprefix("s3://").partition("/")
    return S3Place(bucket, prefix)


def _sftp(source: FilesSource | SftpSource) -> FilePlace:
    from blocks.file_places.sftp import SftpPlace

    assert isinstance(source, SftpSource)
    return SftpPlace(source.connection, source.path)


_PLACES: dict[str, Callable[[FilesSource | SftpSource], FilePlace]] = {"files": _local, "s3": _s3, "sftp": _sftp}
