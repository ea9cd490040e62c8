"""What to put back from the lake, and what came of it."""

import csv
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.archive_options import Moment, TableField
from schemas.config_problems import config_error, problems_of
from schemas.errors import ConfigError, Retry, SourceError, TidegateError

OnConflict = Literal["refuse", "skip"]

UNTOUCHED = "Nothing was changed in the database."


class RestoreRequest(BaseModel):
    """Which rows of an archive to restore, and where to.

    Attributes:
        from_: Rows whose time is at or after this moment; a moment without a time zone is in the configured one.
        to: Rows whose time is before this moment.
        wanted_keys: Rows with these keys, as people write them: see `key_values`. (Not `keys`: whoever makes a dict
            of a model, as Prefect does with parameters, would call it.)
        into: The table that receives them; the archive's own if None.
        on_conflict: What to do if the table holds a row with the same key: refuse all, or skip that row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_: Moment | None = None
    to: Moment | None = None
    wanted_keys: tuple[str, ...] | None = None
    into: TableField | None = None
    on_conflict: OnConflict = "refuse"

    @classmethod
    def of(cls, *, keys: Sequence[str] | None = None, **values: Any) -> Self:
        """Return a request made of an operator's options.

        Args:
            keys: The keys that are wanted.
            values: The other attributes.

        Raises:
            ConfigError: A value cannot be read, they contradict each other, or they name no rows at all.
        """
        try:
            request = cls.model_validate({"wanted_keys": keys, **values})
        except ValidationError as error:
            lines = problems_of(error, cls, {}, "restore")
            raise config_error("These options do not fit", lines, next_step="Correct them and run it again.") from None
        since, until = request.from_, request.to
        if since is None and until is None and not request.wanted_keys:
            raise ConfigError(
                "Nothing says which rows to restore.",
                state=UNTOUCHED,
                next_step="Give a range of time (--from, --to), keys (--key), or both.",
            )
        if since is not None and until is not None:
            if (since.utcoffset() is None) != (until.utcoffset() is None):
                raise ConfigError("--from and --to must both have a UTC offset, or both have none.", state=UNTOUCHED)
            if until <= since:
                raise ConfigError(
                    f"--to ({until.isoformat()}) must be after --from ({since.isoformat()}).", state=UNTOUCHED
                )
        return request


def key_values(text: str, key: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values, one a key column, of a key as an operator writes it.

    A key of one column is the text itself, to the letter. A key of several is a line of CSV with one value a column
    in the key's order: `a,7`, or `"a,b",7` where a value holds a comma or a quote.

    Raises:
        ConfigError: It has not as many values as the key has columns.
    """
    if len(key) == 1:
        return (text,)
    try:
        lines = list(csv.reader([text], strict=True))
    except csv.Error:
        lines = []
    if len(lines) != 1 or len(lines[0]) != len(key):
        raise ConfigError(
            f"The key {text!r} does not have {len(key)} values, one for each of {', '.join(key)}.",
            state=UNTOUCHED,
            next_step="Write the values separated by commas; a value with a comma or a quote stands in double quotes: "
            """--key '"a,b",7'""",
        )
    return tuple(lines[0])


class RestoreReport(BaseModel):
    """What a restore did.

    Attributes:
        table: The table that received the rows.
        rows: Rows that were put back.
        skipped: Rows that the table held already, and that were left as they are there.
        superseded: Row versions in the range that are not the newest of their key; they stay in the lake only.
        missing_keys: Of the keys asked for, those of which the lake holds no row (in the range).
        generations: How many generations the rows came from.
        digest_equal: Whether the digest that the database computed over the restored rows is the lake's; a report
            in which it is not is never made, as nothing is restored then.
        not_proven: Archived columns that are no part of that digest: derived ones, and generated ones that the
            receiving table does not have.
        defaulted: Columns of the table that the archive does not hold for some of the rows; these rows have the
            column's default there.
        hint: What to know before the next run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str
    table: str
    rows: int = 0
    skipped: int = 0
    superseded: int = 0
    missing_keys: tuple[str, ...] = ()
    generations: int = 0
    digest_equal: bool = True
    not_proven: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()
    seconds: float = 0.0
    hint: str = ""
    finished_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return self.model_dump(mode="json")


class RestoreConflict(TidegateError):
    """The table already holds rows with the keys that were to be restored."""


class RestoreUnknown(SourceError):
    """The connection was lost while the restore was being committed: it has happened as a whole, or not at all."""

    retry: ClassVar[Retry] = Retry.UNKNOWN
