"""What a manifest of the raw layer keeps of how its rows were read."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.extract_config import ExtractMode


class Extracted(BaseModel):
    """How the rows of a generation of the raw layer were read.

    Attributes:
        mode: `full` if the table was read as a whole: what is in no such generation, or a later one, is not in it.
        key_column: The column whose highest value is the watermark.
        watermark: That value over this generation and those before it: a number, or a moment in ISO 8601.
        since: From where on rows were read, or None if from the beginning.
        schema_version: Counts the changes of the table's columns, from 1.
        drift: What changed with this version, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: ExtractMode
    key_column: str | None = None
    watermark: str | None = None
    since: str | None = None
    schema_version: int = Field(ge=1)
    drift: tuple[str, ...] = ()
