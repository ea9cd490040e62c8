"""`tidegate check`: is the configuration right, and is everything that it names there?"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.project import Project


@command(
    "check",
    "Check the configuration, and connect to everything in it.",
    examples=["tidegate check", "tidegate check --offline", "tidegate check --json"],
)
@click.option("--offline", is_flag=True, help="Leave out what connects to anything.")
def check(output: Output, config_dir: Path, *, offline: bool) -> None:
    r"""Check the configuration, and connect to everything that it names; say what is wrong where, and what to do.

    All files are read and compared with each other; models and functions are imported; pipelines are put in their
    order and their SQL is parsed. Each table of each enabled source is looked at, folders are listed, APIs are asked
    once for each resource; so are archives, the lake, publications, and the Prefect server if PREFECT_API_URL is set.
    Sources are only read; a small file is written to the lake and removed.

    \b
    Exit codes:  0 all is right, 2 the configuration is wrong, or what it names is not there,
                 1 something else, such as a server that does not answer
    """
    from schemas.project import Project
    from tasks.check.check_project import check_project
    from tidegate.redaction import redacted
    from tidegate.show.check import show_checked

    project = Project.load(config_dir)
    with _prefect_for_blocks(output, project):
        checked = [one.redacted(redacted) for one in check_project(project, offline=offline)]
    wrong = [one for one in checked if not one.ok]
    body = {"ok": not wrong, "checks": [one.as_json() for one in checked]}
    if output.verbose:
        sys.stderr.write("".join(one.trace for one in checked))
    output.give(body, lambda console: show_checked(console, checked, offline=offline))
    if wrong:
        click.get_current_context().exit(2 if any(one.in_config for one in wrong) else 1)


@contextmanager
def _prefect_for_blocks(output: Output, project: "Project") -> Iterator[None]:
    """Make Prefect ready if the lake or a login is kept in one of its blocks."""
    from schemas.config import Source
    from schemas.pipelines.publication import PostgresPublication
    from tidegate.show.log_lines import show_log_lines

    connections = [source.connection for source in project.sources if isinstance(source, Source)]
    connections += [p.connection for p in project.publications if isinstance(p, PostgresPublication)]
    if not project.settings.lake.startswith("block:") and all(one.block is None for one in connections):
        show_log_lines(output)
        yield
        return
    from tidegate.local_prefect import prefect

    with prefect(on_import=lambda: show_log_lines(output)) as wait_until_ready:
        wait_until_ready()
        yield
