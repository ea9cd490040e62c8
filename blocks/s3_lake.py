"""A lake in an S3 bucket: an object appears whole, under a name that was free, or not at all.

S3 has no rename. What makes a write safe is the condition `If-None-Match: *` (`s3_write`), and a token that
each writer leaves in the object's metadata, which tells "taken, by me" from "taken, by somebody else".
"""

import math
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.lake import Entry
from blocks.lake_paths import check_folder, check_path, escape_glob
from blocks.probe import keeps_what_was_written
from blocks.s3_access import S3Access
from blocks.s3_errors import FAILURES, s3_code, s3_error_of_key, s3_lake_error
from blocks.s3_write import write_once
from blocks.scratch import temporary_folder
from schemas.errors import LakeError

if TYPE_CHECKING:
    import duckdb

_WRITER = "tidegate-writer"
_PART_BYTES = 8 * 2**20  # times the parts at once: what a transfer takes of memory
_PARTS_AT_ONCE = 4
_MAX_PARTS = 10_000
_READS_AT_ONCE = 16
_DELETES_A_REQUEST = 1_000
_MAX_KEY_BYTES = 1_024
_MISSING_KEY = {"NoSuchKey", "404"}
# The client's own time-outs do not count while it waits to be told to send a body (`Expect: 100-continue`), or while
# it sends one: a store that hangs there would be waited for without end. With all repetitions, then, no more than
# this, and for what is large as long as a slow line takes.
ANSWER_S = 300.0
SLOWEST_BYTES_A_SECOND = 128 * 2**10


class S3Lake:
    """A lake below a prefix of a bucket on AWS, or on any store that honours conditional writes.

    Args:
        bucket: The bucket; it must exist.
        prefix: Where the lake begins in it; empty for the whole bucket.
        access: Keys, endpoint and region; by default those of the environment.
        temp_dir: Where scratch files go; by default the system's temporary folder.

    Raises:
        LakeError: `prefix` cannot be part of a path.
    """

    def __init__(
        self, bucket: str, prefix: str = "", access: S3Access | None = None, temp_dir: Path | None = None
    ) -> None:
        self.bucket = bucket
        self.prefix = check_folder(prefix)
        self.temp_dir = temp_dir
        self._access = access or S3Access()

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    def check(self, *, write: bool) -> None:
        """See `Lake.check`. With `write`, a probe object is written, refused a second time, and removed."""
        self._page("Cannot list", self.prefix, 1)
        if write and not keeps_what_was_written(self):
            raise LakeError(
                f"The store of {self.url} ({self._access.place}) ignores `If-None-Match` or drops metadata: "
                "it overwrites what was written once.",
                state="Nothing was archived or deleted.",
                next_step="Use a store with conditional writes: AWS S3, MinIO, SeaweedFS, Ceph or R2 of today.",
            )

    def scratch(self) -> AbstractContextManager[Path]:
        """See `Lake.scratch`."""
        return temporary_folder(self.temp_dir)

    def store(self, local: Path, path: str) -> None:
        """See `Lake.store`. Each part travels with a checksum; the size in the store is compared at the end."""
        key, token, size_bytes = self._key(path), uuid.uuid4().hex, local.stat().st_size

        def upload() -> None:
            self._files.put_file(
                str(local),
                f"{self.bucket}/{key}",
                mode="create",
                chunksize=max(_PART_BYTES, math.ceil(size_bytes / _MAX_PARTS)),
                max_concurrency=_PARTS_AT_ONCE,
                Metadata={_WRITER: token},
                timeout=ANSWER_S + size_bytes / SLOWEST_BYTES_A_SECOND,
            )

        doing = f"Cannot store {path}"
        if not self._create(upload, key, token, doing):
            raise s3_error_of_key("PreconditionFailed", self.url, self._access.place, doing)
        stored = self._head(key, doing)
        if stored is None or stored["ContentLength"] != size_bytes:
            raise LakeError(
                f"{doing} in the lake {self.url}: {size_bytes} bytes were sent, "
                f"{stored and stored['ContentLength']} are there.",
                state="The object is in no manifest, so readers do not see it. The local file is kept.",
                next_step="Run the same again; if it stays so, the store is broken.",
            )
        local.unlink()

    def fetch(self, path: str, scratch: Path) -> Path:
        """See `Lake.fetch`. A copy in `scratch`, downloaded in parallel ranges."""
        local = scratch / f"{uuid.uuid4().hex}{Path(path).suffix[:16]}"
        key = self._key(path)
        with self._errors(f"Cannot fetch {path}", path):
            self._files.get_file(
                f"{self.bucket}/{key}", str(local), chunksize=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )
        return local

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """See `Lake.put_if_absent`. An answer that got lost is settled by looking at the object."""
        key, token = self._key(path), uuid.uuid4().hex

        def put() -> None:
            self._call("put_object", Key=key, Body=data, IfNoneMatch="*", Metadata={_WRITER: token})

        return self._create(put, key, token, f"Cannot write {path}")

    def read(self, path: str) -> bytes:
        """See `Lake.read`."""
        key = self._key(path)
        with self._errors(f"Cannot read {path}", path):
            content: bytes = self._files.cat_file(f"{self.bucket}/{key}", max_concurrency=1)
        return content

    def read_many(self, paths: Iterable[str]) -> "list[bytes]":
        """See `Lake.read_many`. Sixteen at a time."""
        with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="s3-read") as pool:
            return list(pool.map(self.read, paths))

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Lake.list`. Flat: what a store keeps of emptied folders is not seen."""
        folder = "/".join(part for part in (self.prefix, check_folder(prefix)) if part)
        skip = len(self.prefix) + 1 if self.prefix else 0
        found: list[Entry] = []
        after: dict[str, str] = {}
        while True:
            page = self._page(f"Cannot list {prefix}", folder, 1_000, **after)
            # A key with a slash at its end is a folder's marker, as consoles make them.
            files = (item for item in page.get("Contents", ()) if not item["Key"].endswith("/"))
            found += [Entry(item["Key"][skip:], int(item["Size"])) for item in files]
            if not page.get("IsTruncated"):
                break
            after = {"ContinuationToken": page["NextContinuationToken"]}
        # AWS lists in this order; SeaweedFS (folder by folder) and S3 Express do not.
        found.sort(key=lambda entry: entry.path)
        yield from found

    def find(self, path: str) -> Entry | None:
        """See `Lake.find`."""
        status = self._head(self._key(path), f"Cannot look for {path}")
        if status is None:
            return None
        version = f"{status['ETag']} {status.get('VersionId', '')} {status['LastModified'].isoformat()}"
        return Entry(path, int(status["ContentLength"]), version)

    def delete(self, paths: Iterable[str]) -> None:
        """See `Lake.delete`. A thousand a request; a refusal of one of them is an error."""
        keys = {self._key(path): path for path in paths}
        names = list(keys)
        for start in range(0, len(names), _DELETES_A_REQUEST):
            objects = [{"Key": key} for key in names[start : start + _DELETES_A_REQUEST]]
            with self._errors(f"Cannot delete {len(objects)} objects"):
                answer = self._call("delete_objects", Delete={"Objects": objects, "Quiet": True})
            refused = [item for item in answer.get("Errors", ()) if item.get("Code") not in _MISSING_KEY]
            if refused:
                path, code = keys.get(refused[0]["Key"], refused[0]["Key"]), str(refused[0].get("Code"))
                doing = f"Cannot delete {path} ({len(refused)} of {len(objects)} refused)"
                raise s3_error_of_key(code, self.url, self._access.place, doing)

    def duckdb_path(self, path: str) -> str:
        """See `Lake.duckdb_path`."""
        return escape_glob(f"s3://{self.bucket}/{self._key(path)}")

    def attach(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """See `Lake.attach`. A connection reads one S3 lake at a time: the one attached last."""
        if "s3" in connection.list_filesystems():
            connection.unregister_filesystem("s3")
        connection.register_filesystem(self._files)

    @cached_property
    def _files(self) -> Any:
        return self._access.file_system()

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._files.call_s3(method, Bucket=self.bucket, timeout=ANSWER_S, **arguments)

    def _key(self, path: str) -> str:
        key = f"{self.prefix}/{check_path(path)}" if self.prefix else check_path(path)
        # s3fs cuts a key at this text, as it takes what follows for the version of the object.
        if len(key.encode()) > _MAX_KEY_BYTES or "?versionId=" in key:
            raise LakeError(
                f"{path!r} cannot be a path in the lake {self.url}: with its prefix it is longer than "
                f"{_MAX_KEY_BYTES} bytes, or it holds `?versionId=`.",
                state="Nothing was read or written.",
                next_step="Shorten the prefix, the table's folder or the partition values.",
            )
        return key

    def _page(self, doing: str, folder: str, size: int, **after: str) -> Any:
        with self._errors(doing):
            prefix = f"{folder}/" if folder else ""
            return self._call("list_objects_v2", Prefix=prefix, MaxKeys=size, **after)

    def _head(self, key: str, doing: str) -> Any:
        """Return what the store says about the object, or None. A missing bucket is an error."""
        with self._errors(doing):
            try:
                return self._call("head_object", Key=key)
            except FileNotFoundError:
                # The answer to HEAD has no text: a missing object and a missing bucket look the same.
                self._page(doing, self.prefix, 1)
        return None

    def _create(self, request: Callable[[], None], key: str, token: str, doing: str) -> bool:
        def is_ours() -> bool | None:
            stored = self._head(key, doing)
            return None if stored is None else bool(stored["Metadata"].get(_WRITER) == token)

        return write_once(request, is_ours=is_ours, explain=lambda error: self._error(error, doing))

    def _error(self, error: BaseException, doing: str) -> LakeError:
        return s3_lake_error(error, self.url, self._access.place, doing)

    @contextmanager
    def _errors(self, doing: str, path: str | None = None) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            if path is not None and s3_code(error)[0] in _MISSING_KEY:
                raise FileNotFoundError(f"{path} is not in the lake {self.url}") from error
            raise self._error(error, doing) from error
