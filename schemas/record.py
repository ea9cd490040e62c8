"""What a record of the lake is: JSON that is written once, in one canonical form that carries its own checksum.

A flipped bit anywhere in such a record is noticed when it is read.
"""

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import ProofFailed


class Record(BaseModel):
    """A JSON record with a checksum over its own canonical text."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    newest_version: ClassVar[int] = 1

    version: int = 1

    def to_bytes(self) -> bytes:
        """Return the canonical form: sorted keys, no spaces, and the SHA-256 of the rest under `sha256`."""
        body = self.model_dump(mode="json")
        body["record"] = self.kind
        return _canonical({**body, "sha256": hashlib.sha256(_canonical(body)).hexdigest()})

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Self:
        """Read a record back.

        Raises:
            ProofFailed: Any bit differs from what was written, it is another kind of record, or it was written
                by a newer version of Tidegate.
        """
        broken = ProofFailed(
            f"{path}: this {cls.kind} is damaged: its checksum does not match its content.",
            state="Nothing was deleted on its account.",
            next_step="Restore the file from a backup or an older object version, then run: tidegate verify",
        )
        try:
            body = json.loads(data)
            checksum = body.pop("sha256")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise broken from error
        text = _canonical(body)
        if hashlib.sha256(text).hexdigest() != checksum or _without_checksum(data, checksum) != text:
            raise broken
        if body.pop("record", None) != cls.kind:
            raise ProofFailed(
                f"{path}: this record is not a {cls.kind}.",
                next_step="Put the file back where it was, or restore the right one from a backup.",
            )
        if body.get("version", 0) > cls.newest_version:
            raise ProofFailed(
                f"{path}: this {cls.kind} has version {body['version']}; this Tidegate knows {cls.newest_version}.",
                next_step="Update Tidegate, then run the same command again.",
            )
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise ProofFailed(
                f"{path}: this {cls.kind} does not have the expected form: {error}",
                next_step="Run it with the Tidegate that wrote it, and please report this.",
            ) from error


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _without_checksum(data: bytes, checksum: str) -> bytes:
    """Return the canonical form without its checksum, which is one of several keys and never the first one."""
    return data.replace(f',"sha256":"{checksum}"'.encode(), b"", 1)
