"""What a manifest of the raw layer keeps of how its rows were read."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from schemas.extract_config import ExtractMode


class Origin(BaseModel):
    """A file that rows of the raw layer were read from, and what tells it from another one.

    Attributes:
        path: Relative to the place where the source looks for files.
        size_bytes: Its size, as it lay there.
        modified_at: When it was last written, as its place says.
        version: What else its place tells it by, such as an ETag; "" if nothing.
        sha256: Of its bytes, as they lay there.
        seconds: How long reading it took.
        takes_place_of: Path of the manifest of an earlier version of the same file, whose rows are not in the table
            any more. None if it is the first, or a new delivery under a name that was free again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int = Field(ge=0)
    modified_at: datetime
    version: str = ""
    sha256: str
    seconds: float = 0.0
    takes_place_of: str | None = None


class Extracted(BaseModel):
    """How the rows of a generation of the raw layer were read.

    Attributes:
        mode: `full` if the table was read as a whole: what is in no such generation, or a later one, is not in it.
        key_column: The column whose highest value is the watermark.
        watermark: That value over this generation and those before it: a number, or a moment in ISO 8601.
        since: From where on rows were read, or None if from the beginning.
        schema_version: Counts the changes of the table's columns, from 1.
        drift: What changed with this version, in words.
        origin: The file that the rows were read from, if it was one.
        asked: Of an API: digest of what was asked. If that is another one, what was read before says nothing of it.
        fingerprint: Of an API that was read as a whole: digest of all its records.
        etag: What the API calls the answer that all records were in, if it was one: asked for only if it changes.
        last_modified: When that answer was changed last, as the API says it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: ExtractMode
    key_column: str | None = None
    watermark: str | None = None
    since: str | None = None
    schema_version: int = Field(ge=1)
    drift: tuple[str, ...] = ()
    origin: Origin | None = None
    asked: str | None = None
    fingerprint: str | None = None
    etag: str | None = None
    last_modified: str | None = None
