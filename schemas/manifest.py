"""The records that decide what exists: manifests of committed generations, removals, and receipts of purges.

All of them are written once, in one canonical form that carries its own checksum, and never changed. A flipped
bit anywhere in such a record is noticed when it is read.
"""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.built import Built
from schemas.column_plan import Column
from schemas.extracted import Extracted
from schemas.record import Record
from schemas.window import Window

UNSIGNED_64 = r"^[0-9a-f]{16}$"


class Snapshot(BaseModel):
    """The moment of the source that an export read, and where that moment is comparable.

    Attributes:
        taken_at: The source's clock at the snapshot.
        xmin: Transaction horizon: every transaction below it had ended (PostgreSQL's xid8). The fence. None where
            a database numbers no transactions.
        xmax: The first transaction number not yet given out at the snapshot.
        cluster: What identifies the server's history: system identifier, timeline, address. Transaction numbers
            of another cluster say nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    taken_at: datetime
    xmin: int | None = None
    xmax: int | None = None
    cluster: str


class Attestation(BaseModel):
    """What the source says about the rows of a generation, inside one snapshot.

    Attributes:
        rows_in_window: Rows of the window in scope at the snapshot, counted by another driver than the exporter's.
        rows: Rows in this generation.
        quarantined: Rows that failed the gate and were left out.
        already_archived: Row versions that earlier generations hold and that were therefore left out; for a
            further generation, including those that the fence vouched for without reading them.
        digest: Sum of the row digests modulo 2^64 as 16 hex digits, or None with `proof: counts`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_in_window: int = Field(ge=0)
    rows: int = Field(ge=0)
    quarantined: int = Field(default=0, ge=0)
    already_archived: int = Field(default=0, ge=0)
    digest: str | None = Field(default=None, pattern=UNSIGNED_64)
    snapshot: Snapshot


class DataFile(BaseModel):
    """One Parquet file of a generation.

    Attributes:
        path: Relative to the lake.
        rows: Rows in it.
        size_bytes: Its size.
        sha256: Of its bytes.
        digest: Sum of its rows' digests modulo 2^64, or None with `proof: counts`.
        partition: The partition keys' values, in the order of the path, as text; None is NULL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    rows: int = Field(ge=1)
    size_bytes: int = Field(ge=1)
    sha256: str
    digest: str | None = Field(default=None, pattern=UNSIGNED_64)
    partition: dict[str, str | None] = {}


class ErasedRows(BaseModel):
    """A note in a manifest that rows were erased from the generation: how many, and never which.

    Attributes:
        erasure: Id of the erasure's record.
        rows: Archived rows that are gone.
        quarantined: Rows that are gone from what a gate had put aside.
        reason: As the operator gave it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    erasure: str
    rows: int = Field(ge=0)
    quarantined: int = Field(default=0, ge=0)
    erased_at: datetime
    run_id: str
    reason: str | None = None


class Manifest(Record):
    """One committed generation of a window: it exists for readers because, and only if, this record exists.

    A generation that takes the place of another one, with rows erased, exists from the moment on at which the record
    of the erasure exists, and those that it supersedes do not any more. Its attestation is what the source said of
    the rows that are left. It has version 2: a reader that knows nothing of `supersedes` would see rows twice.

    Attributes:
        supersedes: Paths of the generations in whose place it stands, oldest first.
        erasures: What was erased from each of these, and so is not in the next one, or in this.
        extracted: Of a generation of the raw layer, whose window is the day on which it was read: how. It has version
            3: a reader that knows nothing of it would take old states of a table for rows that are still there.
        built: Of a generation that a pipeline built: how. It has version 4, for the same reason; so has one that was
            read from a file.
    """

    kind: ClassVar[str] = "manifest"
    newest_version: ClassVar[int] = 4

    archive: str
    dataset: str
    source: str
    table: str
    time_column: str
    window: Window
    timezone: str
    generation: int = Field(ge=1)
    columns: tuple[Column, ...]
    excluded: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    where: str | None = None
    gate: str | None = None
    proof: Literal["rows", "counts"] = "rows"
    attestation: Attestation
    files: tuple[DataFile, ...]
    quarantine: tuple[DataFile, ...] = ()
    run_id: str
    committed_at: datetime
    written_by: str
    supersedes: tuple[str, ...] = ()
    erasures: tuple[ErasedRows, ...] = ()
    extracted: Extracted | None = None
    built: Built | None = None

    @property
    def is_archived(self) -> bool:
        """Whether its rows were archived, and may be purged from their source."""
        return self.extracted is None and self.built is None

    @property
    def is_whole(self) -> bool:
        """Whether it holds its table as a whole: what only earlier generations hold is not in the table any more."""
        if self.built is not None:
            return self.built.mode == "replace"
        return self.extracted is not None and self.extracted.mode == "full"

    @property
    def path(self) -> str:
        """Where it lies in the lake."""
        return manifest_path(self.dataset, self.window, self.generation)

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def erased_rows(self) -> int:
        """Rows that were attested, and erased since."""
        return sum(erased.rows for erased in self.erasures)


class Intent(Record):
    """An export that is about to store files; it is deleted once they are committed.

    Only files that an intent names may be taken for left over: were all records of a lake lost, every file in it
    would look like one.

    Attributes:
        stem: What the names of its files begin with.
        number: Of a table with one line of generations (`blocks.table_log`): the number it is about to take. Once that
            is taken, the intent cannot commit any more.
    """

    kind: ClassVar[str] = "intent"

    stem: str
    run_id: str
    at: datetime
    number: int | None = None


class Removal(Record):
    """Files that were removed from the lake on purpose; readers and audits leave them out."""

    kind: ClassVar[str] = "removal"

    dataset: str
    paths: tuple[str, ...]
    rows: int = Field(ge=0)
    reason: str
    removed_at: datetime


def manifest_path(dataset: str, window: Window, generation: int) -> str:
    """Return where the manifest of a generation lies: one path a generation, so that only one commit wins."""
    return f"_tidegate/manifests/{dataset}/{window.id}/{generation:06d}.json"


def dataset_of(path: str) -> str:
    """Return the dataset of the generation whose manifest lies there."""
    return path.removeprefix("_tidegate/manifests/").rsplit("/", 2)[0]


def as_hex(digest: int) -> str:
    """Return a 64-bit digest as 16 hex digits."""
    return f"{digest:016x}"
