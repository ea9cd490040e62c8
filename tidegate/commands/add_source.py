"""`tidegate add-source`: a new entry at the end of sources.yaml, ready to be filled in."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.scaffold.source_block import SOURCE_TYPES
from tidegate.show.output import Output


@command(
    "add-source",
    "Add a source to sources.yaml.",
    examples=[
        "tidegate add-source postgresql crm",
        "tidegate add-source sftp partner",
        "tidegate add-source api rates --json",
    ],
)
@click.argument("kind", metavar="TYPE", type=click.Choice(SOURCE_TYPES))
@click.argument("name", metavar="NAME")
def add_source(output: Output, config_dir: Path, *, kind: str, name: str) -> None:
    """Append a commented entry for a source called NAME to sources.yaml.

    TYPE is postgresql, mysql, sqlite, sqlserver, files, sftp or api. What is in the file stays as it is. Secrets are
    variables named after the source, and are listed in .env.example. The whole configuration is checked with the new
    entry first; if it is wrong, nothing is written. No source is connected to.
    """
    from tidegate.scaffold.add_source import add_source
    from tidegate.show.scaffold import show_added_source

    added = add_source(config_dir, kind, name)
    body = {
        "source": added.name,
        "type": added.kind,
        "file": str(added.file),
        "line": added.line,
        "variables": list(added.variables),
        "not_set": list(added.missing),
    }
    output.give(body, lambda _: show_added_source(output, added))
