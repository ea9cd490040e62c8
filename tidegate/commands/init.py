"""`tidegate init`: a new project that runs as it is, on sample data."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import DEFAULT_CONFIG, Output


@command(
    "init",
    "Make a new project, with sample data to try.",
    examples=["tidegate init shop", "tidegate init ./lakes/crm --json"],
)
@click.argument("name", metavar="NAME")
def init(output: Output, config_dir: Path, *, name: str) -> None:
    """Make the folder NAME with a project in it: configuration with comments, pipelines, and a small shop's data.

    It runs as it is. The folder must be new or empty; `.` is the current one.
    """
    if output.config != DEFAULT_CONFIG:
        raise click.UsageError("--config names the configuration of a project that is there; init makes NAME/config.")
    from tidegate.scaffold.new_project import new_project
    from tidegate.show.scaffold import next_commands, show_new_project

    project = new_project(Path(name))
    body = {
        "folder": str(project.folder.absolute()),
        "files": [str(file) for file in project.files],
        "next": next_commands(project),
    }
    output.give(body, lambda console: show_new_project(console, project))
