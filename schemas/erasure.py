"""The right of erasure: which archived rows are to go, the record that makes it so, and what came of it.

Nothing in here that is written down says which rows they were: no key, no predicate, no value, and no digest of one.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.errors import ConfigError, TidegateError
from schemas.record import Record
from schemas.window import Window

NOTHING_ERASED = "Nothing was erased; the lake is as it was."


class ErasureRequest(BaseModel):
    """Which archived rows are to be erased.

    Keys and predicate are kept like passwords: nothing that prints, logs or stores a request repeats them.

    Attributes:
        wanted_keys: Rows with these keys, written as for `tidegate restore`.
        where: Rows for which this predicate, one expression of DuckDB's SQL over the archived columns, holds.
        reason: Why; it is stored for good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    wanted_keys: tuple[SecretStr, ...] | None = None
    where: SecretStr | None = None
    reason: str | None = None

    @classmethod
    def of(
        cls,
        *,
        keys: Sequence[str | SecretStr] | None = None,
        where: str | SecretStr | None = None,
        reason: str | None = None,
    ) -> Self:
        """Return a request made of an operator's options.

        Raises:
            ConfigError: They name no rows, or in two ways.
        """
        if bool(keys) == (where is not None):
            raise ConfigError(
                "Nothing says which rows to erase." if where is None else "Keys and a predicate were both given.",
                state=NOTHING_ERASED,
                next_step="Give keys (--key), or a predicate over the archived columns (--where).",
            )
        return cls(
            wanted_keys=tuple(SecretStr(_plain(key)) for key in keys) if keys else None,
            where=None if where is None else SecretStr(_plain(where)),
            reason=reason,
        )


def _plain(text: str | SecretStr) -> str:
    return text.get_secret_value() if isinstance(text, SecretStr) else text


class Replaced(BaseModel):
    """A generation, and the one that stands in its place.

    Attributes:
        manifest: Path of the superseded generation's manifest.
        by: Path of the new one's.
        rows: Archived rows that are gone.
        quarantined: Rows that are gone from quarantine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    by: str
    rows: int = Field(ge=0)
    quarantined: int = Field(default=0, ge=0)


class Erasure(Record):
    """Rows were erased: once this record exists, readers see the new generations, and the old ones no more.

    Erasures of a dataset are numbered, and each number is given out once. An erasure that died before its record was
    written has its number taken by a void record: whichever of the two is there first counts.

    Attributes:
        id: In the names of the new files, and in the new manifests.
        replaced: What stands in whose place; empty in a void record.
        old_copies_until: When the superseded files may leave the lake.
        void: The erasure did not happen, and cannot any more.
    """

    kind: ClassVar[str] = "erasure"

    dataset: str
    number: int = Field(ge=1)
    id: str
    run_id: str = ""
    reason: str | None = None
    replaced: tuple[Replaced, ...] = ()
    erased_at: datetime
    old_copies_until: datetime
    void: bool = False

    @property
    def rows(self) -> int:
        """Archived rows that are gone."""
        return sum(replaced.rows for replaced in self.replaced)

    @property
    def quarantined(self) -> int:
        """Rows that are gone from quarantine."""
        return sum(replaced.quarantined for replaced in self.replaced)


class FileErasure(BaseModel):
    """One file, by the last part of its path: the folders may be named after values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int
    of: int
    quarantine: bool = False


class GenerationErasure(BaseModel):
    """What an erasure does to one generation.

    Attributes:
        dataset: The archive's, or that of one of its children.
        manifest: Path of its manifest.
        by: Path of the manifest that takes its place; None in a dry run.
        files: Those that hold rows to be erased.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    manifest: str
    window: Window
    generation: int
    by: str | None = None
    files: tuple[FileErasure, ...]

    @property
    def rows(self) -> int:
        """Archived rows that go."""
        return sum(file.rows for file in self.files if not file.quarantine)

    @property
    def quarantined(self) -> int:
        """Rows that go from quarantine."""
        return sum(file.rows for file in self.files if file.quarantine)


class ErasureReport(BaseModel):
    """What an erasure did, or, with the state `planned`, would do.

    Attributes:
        erasures: Ids of the records, one for each dataset of which rows were erased.
        different_keys: How many keys lose rows; None for a table without a key. (Not `keys`: see RestoreRequest.)
        missing_keys: Of the keys asked for, the places (from 1) of those of which there is no row.
        in_source: How many rows with the keys of these rows the source still holds, or, without a key, how many rows
            it holds in the windows concerned; None if it was not asked. An erasure is refused unless it is 0 or None.
        held_by: Names of the legal holds that cover some of the rows; an erasure is refused if there are any.
        old_copies_until: When the superseded files may leave the lake; None in a dry run.
        swept_files: Files that left the lake at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str
    dataset: str
    state: str
    run_id: str
    erasures: tuple[str, ...] = ()
    reason: str | None = None
    different_keys: int | None = None
    missing_keys: tuple[int, ...] = ()
    in_source: int | None = None
    held_by: tuple[str, ...] = ()
    generations: tuple[GenerationErasure, ...] = ()
    old_copies_until: datetime | None = None
    swept_files: int = 0
    seconds: float = 0.0

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all generations."""
        return {
            "generations": len(self.generations),
            "files": sum(len(generation.files) for generation in self.generations),
            "rows": sum(generation.rows for generation in self.generations),
            "quarantined": sum(generation.quarantined for generation in self.generations),
        }

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, `totals` included."""
        body = self.model_dump(mode="json")
        generations = body.pop("generations")
        told = [
            {**plain, "rows": generation.rows, "quarantined": generation.quarantined}
            for plain, generation in zip(generations, self.generations, strict=True)
        ]
        return {**body, "totals": self.totals, "generations": told}


class NothingToErase(ConfigError):
    """No archived row is among those that were to be erased."""


class StillNeeded(TidegateError):
    """The rows may not be erased: the source still holds them, or a legal hold covers them."""

    exit_code: ClassVar[int] = 2


def erasure_path(dataset: str, number: int) -> str:
    """Return where the record of an erasure lies: one path a number, so that only one of two can have it."""
    return f"_tidegate/erasures/{dataset}/{number:06d}.json"


def erasure_id(number: int, unique: str) -> str:
    """Return the id of an erasure, which is also the stem of its intent and of its files' names."""
    return f"erase-{number:06d}-{unique}"


def void_erasure(dataset: str, stem: str) -> Erasure | None:
    """Return the record that keeps the erasure of an intent from happening, or None if the intent is an export's."""
    match = re.fullmatch(r"erase-([0-9]{6,})-[0-9a-f]+", stem)
    if match is None:
        return None
    now = datetime.now(UTC)
    return Erasure(dataset=dataset, number=int(match[1]), id=stem, erased_at=now, old_copies_until=now, void=True)
