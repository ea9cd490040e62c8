"""A legal hold: archived rows that must stay where they are, whatever else would delete them."""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.config_model import ConfigModel, Name, Text


class Hold(ConfigModel):
    """Rows of an archive that are neither purged from the source, nor erased from the lake, nor expired.

    Attributes:
        name: Under which a refusal names it.
        row_keys: `keys` in the configuration: all versions of the rows with these keys, written as for
            `tidegate restore`. (Not `keys` here: whoever makes a dict of a model would call it.)
        where: The row versions for which this predicate, one expression of DuckDB's SQL over the archived columns,
            holds.
    """

    name: Name
    row_keys: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(default=None, alias="keys")
    where: Text | None = None

    @model_validator(mode="after")
    def _names_rows_in_one_way(self) -> Self:
        if (self.row_keys is None) == (self.where is None):
            raise ValueError("must have keys or where, and not both")
        return self


def holds_digest(holds: Iterable[Hold]) -> str | None:
    """Return what tells one set of holds from another without repeating them, or None if there are none.

    Names do not count: a hold that is given another name covers the same rows.
    """
    told = sorted(json.dumps([sorted(hold.row_keys or ()), hold.where]) for hold in holds)
    return hashlib.sha256("\n".join(told).encode()).hexdigest() if told else None


class ReadHold(BaseModel):
    """A hold whose keys the source has read: as exchange texts, one for each of the key's columns.

    Attributes:
        what: Where it stands in the configuration, for errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    row_keys: tuple[tuple[str, ...], ...] = ()
    where: str | None = None
