"""Prints what was written for somebody to go on with: a project, a source."""

import shlex

from rich.console import Console

from tidegate.scaffold.add_source import AddedSource, dot_env_of
from tidegate.scaffold.new_project import NewProject
from tidegate.show.output import Output

QUERY = 'SELECT month, category, revenue FROM "consume/bi".revenue_by_month ORDER BY revenue DESC'


def next_commands(project: NewProject) -> list[str]:
    """Return the commands that show a new project at work, in their order."""
    commands = ["tidegate check", "tidegate ingest", "tidegate run --all", "tidegate catalog"]
    commands.append(f"tidegate query {shlex.quote(QUERY)} --limit 5")
    folder = str(project.folder)
    return commands if folder == "." else [shlex.join(["cd", folder]), *commands]


def show_new_project(console: Console, project: NewProject) -> None:
    """Print what is in a new project, and what to run next."""
    console.print(f"Made {project.folder.absolute()}, with")
    for file in project.files:
        console.print(f"  {file}")
    console.print("Next: " + "\n      ".join(next_commands(project)))
    console.print("Then: tidegate add-source TYPE NAME adds a source of your own; README.md says what is what.")


def show_added_source(output: Output, added: AddedSource) -> None:
    """Print where a new source is, and what has to be set and run next."""
    console = output.console
    console.print(f"Added {added.name} ({added.kind}) to {added.file}, from line {added.line} on.")
    if added.missing:
        console.print(f"To be set in the environment or in {dot_env_of(added)}: {', '.join(added.missing)}")
    if added.unchecked:
        console.print(f"Not set, so that the other sources could not be checked: {', '.join(added.unchecked)}")
    steps = [f"name your tables in {added.file}", output.command("check"), output.command("ingest", added.name)]
    console.print("Next: " + "\n      ".join(steps))
