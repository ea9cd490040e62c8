"""What a check found: not true or false, but what, where, what was expected and what is there."""

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    """One thing in the lake that is not as its manifest says.

    Attributes:
        check: Which check: `missing`, `size`, `checksum`, `unreadable`, `rows`, `digest`, `key`, `record`.
        where: Path of the file or manifest, relative to the lake.
        expected: What the manifest says.
        found: What is there.
        examples: Keys of rows that are concerned, as far as they can be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    where: str
    expected: str
    found: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = f" Rows with key: {', '.join(self.examples)}." if self.examples else ""
        return f"{self.check}: {self.where}: expected {self.expected}, found {self.found}.{rows}"
