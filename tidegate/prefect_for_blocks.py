"""Prefect, for commands that do without it unless the project keeps its lake or a login in a Prefect block."""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.config import Archive
from schemas.project import Project
from tidegate.show.log_lines import show_log_lines
from tidegate.show.output import Output


@contextmanager
def prefect_for_blocks(output: Output, project: Project, archive: Archive) -> Iterator[None]:
    """Make log lines visible, and Prefect ready if a block has to be read, for as long as the block lives."""
    if not project.settings.lake.startswith("block:") and project.database(archive.source).connection.block is None:
        show_log_lines(output)
        yield
        return
    from tidegate.local_prefect import prefect

    with prefect(on_import=lambda: show_log_lines(output)) as wait_until_ready:
        wait_until_ready()
        yield
