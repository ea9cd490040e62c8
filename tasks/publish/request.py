"""What publishing one table, or one file, is asked to do."""

from dataclasses import dataclass

from blocks.lake import Lake
from schemas.pipelines.publication import Publication
from schemas.project import Project
from tasks.publish.plan_publications import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """A table of the lake on its way to where others read it.

    Attributes:
        full: Publish it also if nothing has changed.
        dry_run: Only find out what would be done.
    """

    project: Project
    lake: Lake
    publication: Publication
    placement: Placement
    run_id: str
    full: bool = False
    dry_run: bool = False

    @property
    def name(self) -> str:
        """What the run log knows it as."""
        return f"{self.publication.name}.{self.placement.target}"
