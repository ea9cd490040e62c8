"""What the export of a window gave: a reference that travels between tasks, never the rows."""

from pydantic import BaseModel, ConfigDict


class Exported(BaseModel):
    """What an export committed.

    Attributes:
        manifest: Path of the new generation's manifest, or None if there was nothing new to commit.
        rows: Rows in it.
        quarantined: Rows that the gate kept out, now or before.
        size_bytes: Of its files.
        held_by: Manifests of earlier generations that hold rows which the source still (or again) holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str | None
    generation: int = 0
    rows: int = 0
    quarantined: int = 0
    size_bytes: int = 0
    held_by: tuple[str, ...] = ()
    seconds: float = 0.0
