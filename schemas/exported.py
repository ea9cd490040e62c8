"""What the export of a window gave: a reference that travels between tasks, never the rows."""

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict


class Exported(BaseModel):
    """What an export committed.

    Attributes:
        manifest: Path of the new generation's manifest, or None if there was nothing new to commit.
        rows: Rows in it.
        quarantined: Rows that the gate kept out, now or before.
        size_bytes: Of its files.
        held_by: Manifests of earlier generations that hold rows which the source still (or again) holds.
        of_children: Paths of the new generations' manifests of the children; their rows and bytes are counted above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str | None
    generation: int = 0
    rows: int = 0
    quarantined: int = 0
    size_bytes: int = 0
    held_by: tuple[str, ...] = ()
    of_children: tuple[str, ...] = ()
    seconds: float = 0.0

    def with_children(self, children: Sequence["Exported"]) -> Self:
        """Return what the export of a whole family gave."""
        family: list[Exported] = [self, *children]
        return self.model_copy(
            update={
                "rows": sum(member.rows for member in family),
                "size_bytes": sum(member.size_bytes for member in family),
                "held_by": tuple(path for member in family for path in member.held_by),
                "of_children": tuple(child.manifest for child in children if child.manifest),
            }
        )
