"""What a manifest keeps of how a pipeline built its rows."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

BuildMode = Literal["replace", "merge", "append"]


class Built(BaseModel):
    """How a generation of the staging or consume layer was built.

    Attributes:
        pipeline: Name of the pipeline.
        mode: `replace` if it holds the table as a whole; `merge` if its rows stand in the place of those with the same
            key; `append` if they are added.
        definition: SHA-256 of what the pipeline says: built again if that changes.
        inputs: For each dataset that was read, the paths of the manifests that made it up, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    mode: BuildMode
    definition: str
    inputs: dict[str, tuple[str, ...]]
