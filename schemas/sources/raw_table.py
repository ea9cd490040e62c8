"""What all tables of the raw layer have in common that no database gives a type."""

from typing import Annotated

from pydantic import AfterValidator, Field

from schemas.archive_options import Columns, Gate, OnGateFailure, safe_folder
from schemas.config_model import ConfigModel, Text
from schemas.extract_config import OnDrift


def _one_folder(name: str) -> str:
    return safe_folder(name.replace("/", "?"))


def _no_folder_of_time(keys: tuple[str, ...]) -> tuple[str, ...]:
    taken = [key for key in keys if key.casefold() in ("year", "month", "day")]
    if taken:
        raise ValueError(f"must not name {', '.join(taken)}: such folders say when rows were read")
    return keys


Folder = Annotated[str, AfterValidator(_one_folder)]
FolderKeys = Annotated[Columns, AfterValidator(_no_folder_of_time)]


class RawTable(ConfigModel):
    """A table that files or answers go into.

    `types` gives columns a DuckDB type; the others get the one that all their values have. `select` is DuckDB SQL over
    the rows as they were read, called `input`: a list of columns, or a whole SELECT. `partition_by` splits files by the
    values of columns, into folders below that of the day. Rows that do not pass the `gate`,
    a Pandera model, make their file fail, or are put aside.
    """

    name: Folder
    types: dict[Text, Text] = Field(default_factory=dict)
    select: Text | None = None
    partition_by: FolderKeys = ()
    gate: Gate | None = None
    on_gate_failure: OnGateFailure = "refuse"
    on_drift: OnDrift = "evolve"

    @property
    def folder(self) -> str:
        """The table's folder in the source's folder of the raw layer."""
        return self.name
