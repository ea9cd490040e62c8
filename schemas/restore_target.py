"""The table that is to receive archived rows: what it has, and whether they fit."""

from dataclasses import dataclass

from schemas.column_plan import DIGEST_MODULUS, Column
from schemas.errors import ConfigError
from schemas.manifest import as_hex
from schemas.restore import UNTOUCHED
from schemas.table import Table


@dataclass(frozen=True, slots=True)
class Total:
    """Count and combined digest of some rows: the sum, modulo 2^64, of their MD5s' first 8 bytes (big-endian)."""

    rows: int = 0
    digest: int = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(self.rows + other.rows, (self.digest + other.digest) % DIGEST_MODULUS)

    def __str__(self) -> str:
        return f"{self.rows} rows with digest {as_hex(self.digest)}"


@dataclass(frozen=True, slots=True)
class Target:
    """The table that receives rows: its description, columns that fill themselves, and columns that may be written."""

    table: Table
    defaults: frozenset[str]
    writable: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fit:
    """How archived rows fit into a table.

    Attributes:
        written: Columns whose values are put back.
        proven: Columns that are digested: the written ones, and those that the table computes itself.
        not_proven: Names of archived columns that the table cannot be asked for.
        defaulted: Names of the table's columns that the archived rows lack.
    """

    written: tuple[Column, ...]
    proven: tuple[Column, ...]
    not_proven: tuple[str, ...]
    defaulted: tuple[str, ...]

    @property
    def places(self) -> dict[str, str]:
        """For each written column its name in a staging table, `c0`, `c1`, …, so that no name can clash."""
        return {column.name: f"c{i}" for i, column in enumerate(self.written)}

    def key(self, names: tuple[str, ...]) -> list[Column]:
        """Return the key's columns, or none if not all are written: a generated column can be a part of a key."""
        columns = [column for name in names for column in self.written if column.name == name]
        return columns if len(columns) == len(names) else []

    def column(self, name: str) -> Column | None:
        """Return the written column of that name, or None."""
        return next((column for column in self.written if column.name == name), None)


def fit(target: Target, archived: tuple[Column, ...], what: str) -> Fit:
    """Return how rows with the archived columns fit into the table.

    A derived column is no column of the table and stays out. A generated one is computed by the table, if it is
    generated there too; if it is a plain column there, it is written like any other.

    Args:
        target: The table.
        archived: The columns of a manifest.
        what: Names the rows in errors, such as `Window [2024-01, 2024-02)`.

    Raises:
        ConfigError: It lists every column that does not fit.
    """
    table = target.table
    written, proven, not_proven, problems = [], [], [], []
    for column in archived:
        there = table.column(column.name)
        if column.derived is not None or (there is None and column.generated):
            not_proven.append(column.name)
        elif there is None:
            problems.append(f"{column.name} ({column.source_type}) is not there")
        elif there.source_type != column.source_type or (there.kind != column.kind and not column.stored_by_choice):
            problems.append(f"{column.name} is {there.source_type} there and {column.source_type} in the archive")
        else:
            # Stored as the archive has it: as text by choice (columns.as_text), or with moments written in its way.
            there = column.model_copy(update={"nullable": there.nullable, "generated": there.generated})
            proven.append(there)
            if not there.generated:
                written.append(there)
                if column.name not in target.writable:
                    problems.append(f"{column.name} may not be written by this role (GRANT INSERT)")
    known = {column.name for column in proven}
    others = [column for column in table.columns if column.name not in known and not column.generated]
    problems += [
        f"{column.name} is NOT NULL there, has no default, and is not in the archive"
        for column in others
        if not column.nullable and column.name not in target.defaults
    ]
    if problems:
        raise ConfigError(
            f"{what} does not fit into {table.quoted}: {'; '.join(problems)}.",
            state=UNTOUCHED,
            next_step="Restore into a table with the archived columns and types (--into schema.table), "
            "and carry the rows over from there.",
        )
    return Fit(tuple(written), tuple(proven), tuple(not_proven), tuple(column.name for column in others))
