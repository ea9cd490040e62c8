"""Files below a prefix of an S3 bucket. Keys, endpoint and region are those of the environment."""

import hashlib
import uuid
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from blocks.file_places.free_name import names_for
from blocks.file_places.names import Pattern, by_path, fault_of, left_out
from blocks.file_places.no_room import room_for
from blocks.file_places.place import FileChanged, LeftOut, Listing, PlacedFile
from blocks.s3_access import S3Access
from blocks.s3_errors import FAILURES, s3_code, s3_lake_error
from blocks.s3_write import write_once
from schemas.errors import LakeError, SourceError, SourceUnavailable, is_transient

_CLAIM = "tidegate-claim"
_ANSWER_S = 300.0
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 4
_COPIED_AT_ONCE = 5 * 10**9  # what is larger, a store copies in parts
_LEFT_ALONE = "It was left alone."


class S3Place:
    """Objects below a prefix.

    Args:
        bucket: The bucket; it must exist.
        prefix: Where the place begins in it; empty for the whole bucket.
        access: Keys, endpoint and region; by default those of the environment.
    """

    def __init__(self, bucket: str, prefix: str = "", access: S3Access | None = None) -> None:
        self.bucket, self.prefix = bucket, prefix.strip("/")
        self._access = access or S3Access()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    def list(self, pattern: str) -> Listing:
        """See `FilePlace.list`. Flat, from the folders on that all paths begin with."""
        wanted = Pattern(pattern)
        folder = "/".join([self.prefix, *wanted.fixed] if self.prefix else wanted.fixed)
        skip = len(self.prefix) + 1 if self.prefix else 0
        files: MutableSequence[PlacedFile] = []
        refused: MutableSequence[LeftOut] = []
        after: dict[str, str] = {}
        while True:
            with self._errors("cannot be listed"):
                page = self._call("list_objects_v2", Prefix=f"{folder}/" if folder else "", **after)
            for item in page.get("Contents", ()):
                self._sort_in(item, item["Key"][skip:], wanted, files, refused)
            if not page.get("IsTruncated"):
                return Listing(by_path(files), refused)
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _sort_in(
        self,
        item: Any,
        path: str,
        wanted: Pattern,
        files: MutableSequence[PlacedFile],
        refused: MutableSequence[LeftOut],
    ) -> None:
        parts = path.split("/")
        # A key with a slash at its end is a folder's marker, as consoles make them.
        if path.endswith("/") or not wanted.fits(path):
            return
        if any(part.startswith(".") and part != ".." for part in parts):
            return
        reason = next((reason for part in parts if (reason := fault_of(part))), "")
        if not reason and "?versionId=" in path:  # which s3fs would take for something else
            reason = "it has `?versionId=` in it"
        if reason:
            refused.append(left_out(path, reason))
        else:
            files.append(_placed(path, int(item["Size"]), item))

    def look(self, path: str) -> PlacedFile | None:
        """See `FilePlace.look`."""
        with self._errors(f"cannot be looked at: {path}"):
            status = self._head(self._key(path))
        return None if status is None else _placed(path, int(status["ContentLength"]), status)

    @contextmanager
    def fetch(self, file: PlacedFile, scratch: Path) -> Iterator[Path]:
        """See `FilePlace.fetch`. In parallel ranges; then it is looked whether the object is still the same."""
        local = scratch / uuid.uuid4().hex
        try:
            with self._errors(f"{file.path} cannot be fetched"):
                try:
                    with room_for(file.path):
                        self._files.get_file(
                            f"{self.bucket}/{self._key(file.path)}",
                            str(local),
                            chunksize=_PART_BYTES,
                            max_concurrency=_PARTS_AT_ONCE,
                        )
                except FileNotFoundError as error:
                    raise _changed(file) from error
            self._same(file)
            if local.stat().st_size != file.size_bytes:
                raise SourceUnavailable(
                    f"{self.url}: {file.path}: {local.stat().st_size} of {file.size_bytes} bytes arrived.",
                    next_step="Run the same again.",
                )
            yield local
        finally:
            local.unlink(missing_ok=True)

    def below(self, folder: str) -> str | None:
        """See `FilePlace.below`."""
        bucket, prefix = self._place_of(folder)
        inside = f"{prefix}/".removeprefix(f"{self.prefix}/" if self.prefix else "").strip("/")
        ours = bucket == self.bucket and (not self.prefix or f"{prefix}/".startswith(f"{self.prefix}/"))
        return (inside or ".") if ours else None

    def move(self, file: PlacedFile, target: str) -> str:
        """See `FilePlace.move`.

        S3 has no rename. The new name is claimed with an empty object, which only one can create; the copy takes the
        claim's place, and then the object goes. Whoever dies in between leaves the object, and perhaps its copy.
        """
        bucket, prefix = self._place_of(target)
        with self._errors(f"{file.path} cannot be moved to s3://{bucket}/{prefix}"):
            self._same(file)
            for name in names_for(file):
                key = f"{prefix}/{name}" if prefix else name
                taken = self._head(key, bucket)
                if taken is not None and self._is_copy(taken, file):
                    break  # of a run that died before it could delete the object
                if taken is not None and taken["Metadata"].get(_CLAIM) != _token(file):
                    continue
                if taken is None and not self._claim(bucket, key, file):
                    continue
                self._copy(file, bucket, key)
                break
            else:
                raise SourceError(f"{self.url}: {file.path} cannot be moved: all names are taken.", state=_LEFT_ALONE)
        self.delete(file)
        return f"s3://{bucket}/{key}"

    def delete(self, file: PlacedFile, sha256: str = "") -> None:
        """See `FilePlace.delete`. The store compares the ETag once more, if it can."""
        self._same(file)
        with self._errors(f"{file.path} cannot be deleted"):
            try:
                self._call("delete_object", Key=self._key(file.path), IfMatch=_etag(file))
            except FAILURES as error:
                code, _ = s3_code(error)
                if code in ("PreconditionFailed", "412"):
                    raise _changed(file) from error
                if code not in ("NotImplemented", "501", "InvalidArgument"):
                    raise
                self._call("delete_object", Key=self._key(file.path))

    def _claim(self, bucket: str, key: str, file: PlacedFile) -> bool:
        token = _token(file)

        def put() -> None:
            self._call("put_object", bucket, Key=key, Body=b"", IfNoneMatch="*", Metadata={_CLAIM: token})

        def is_ours() -> bool | None:
            found = self._head(key, bucket)
            return None if found is None else bool(found["Metadata"].get(_CLAIM) == token)

        try:
            return write_once(put, is_ours=is_ours, explain=lambda error: self._explained(error, "cannot be moved"))
        except LakeError as error:
            raise self._as_source(error) from error

    def _copy(self, file: PlacedFile, bucket: str, key: str) -> None:
        if file.size_bytes <= _COPIED_AT_ONCE:
            source = {"Bucket": self.bucket, "Key": self._key(file.path)}
            try:
                self._call("copy_object", bucket, Key=key, CopySource=source, CopySourceIfMatch=_etag(file))
            except FAILURES as error:
                if s3_code(error)[0] in ("PreconditionFailed", "412"):
                    raise _changed(file) from error
                raise
        else:
            self._files.cp_file(f"{self.bucket}/{self._key(file.path)}", f"{bucket}/{key}")
        copied = self._head(key, bucket)
        if copied is None or int(copied["ContentLength"]) != file.size_bytes:
            raise SourceError(
                f"{self.url}: {file.path}: its copy in s3://{bucket}/{key} is not as large as it is.",
                state=_LEFT_ALONE,
                next_step="Run the same again; if it stays so, the store is broken.",
            )

    def _is_copy(self, found: Any, file: PlacedFile) -> bool:
        return (
            _placed("", int(found["ContentLength"]), found).version == file.version
            and int(found["ContentLength"]) == file.size_bytes
            and _CLAIM not in found["Metadata"]
        )

    def _place_of(self, target: str) -> tuple[str, str]:
        if target.startswith("s3://"):
            bucket, _, prefix = target.removeprefix("s3://").partition("/")
            return bucket, prefix.strip("/")
        below = "/".join(part for part in target.split("/") if part not in ("", "."))
        return self.bucket, f"{self.prefix}/{below}".strip("/")

    def _same(self, file: PlacedFile) -> None:
        if self.look(file.path) != file:
            raise _changed(file)

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path

    def _head(self, key: str, bucket: str | None = None) -> Any:
        try:
            return self._call("head_object", bucket, Key=key)
        except FileNotFoundError:
            return None

    @cached_property
    def _files(self) -> Any:
        return self._access.file_system()

    def _call(self, method: str, bucket: str | None = None, **arguments: Any) -> Any:
        return self._files.call_s3(method, Bucket=bucket or self.bucket, timeout=_ANSWER_S, **arguments)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise self._as_source(self._explained(error, doing)) from error

    def _explained(self, error: BaseException, doing: str) -> LakeError:
        return s3_lake_error(error, self.url, self._access.place, doing)

    def _as_source(self, error: LakeError) -> SourceError:
        # What S3's codes mean is the same for a place of files, which is no lake, and is named elsewhere.
        kind = SourceUnavailable if is_transient(error) else SourceError
        what = error.what.replace(f" in the lake {self.url}", f": {self.url}")
        return kind(what, next_step=error.next_step.replace("`lake` in settings.yaml", "the source's `path`"))


def _placed(path: str, size_bytes: int, item: Any) -> PlacedFile:
    # A list and HEAD do not agree on parts of a second.
    modified: datetime = item["LastModified"].astimezone(UTC).replace(microsecond=0)
    return PlacedFile(path, size_bytes, modified, str(item["ETag"]).strip('"'))


def _etag(file: PlacedFile) -> str:
    return f'"{file.version}"'


def _token(file: PlacedFile) -> str:
    return hashlib.sha256(f"{file.path} {file.identity}".encode()).hexdigest()


def _changed(file: PlacedFile) -> FileChanged:
    return FileChanged(
        f"{file.path} is not the object any more that was listed: it has changed, or is gone.", state=_LEFT_ALONE
    )
