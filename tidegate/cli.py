"""The command line: which commands there are. Each is imported when it is asked for, so that all start fast."""

from importlib import import_module

import click

from tidegate.boundary import BoundedGroup

COMMANDS = {
    "init": "tidegate.commands.init:init",
    "add-source": "tidegate.commands.add_source:add_source",
    "check": "tidegate.commands.check:check",
    "archive": "tidegate.commands.archive:archive",
    "approve": "tidegate.commands.approve:approve",
    "verify": "tidegate.commands.verify:verify",
    "restore": "tidegate.commands.restore:restore",
    "ingest": "tidegate.commands.ingest:ingest",
    "files": "tidegate.commands.files:files",
    "publish": "tidegate.commands.publish:publish",
    "run": "tidegate.commands.run:run",
    "deploy": "tidegate.commands.deploy:deploy",
    "erase": "tidegate.commands.erase:erase",
    "expire": "tidegate.commands.expire:expire",
    "query": "tidegate.commands.query:query",
    "status": "tidegate.commands.status:status",
    "catalog": "tidegate.commands.catalog:catalog",
    "lineage": "tidegate.commands.lineage:lineage",
    "demo": "tidegate.commands.demo:demo",
}

ALIASES = {"extract": "ingest"}

FLOWS = {
    "archive": "tidegate.commands.archive:archive",
    "approve": "tidegate.commands.approve:approve",
    "restore": "tidegate.commands.restore:restore",
    "ingest": "tidegate.commands.ingest:ingest",
    "publish": "tidegate.commands.publish:publish",
    "build": "tidegate.commands.run:run",
    "erase": "tidegate.commands.erase:erase",
    "expire-lake": "tidegate.commands.expire:expire",
    "verify-and-purge": "tidegate.commands.verify_and_purge:verify_and_purge",
    "audit-lake": "tidegate.commands.audit_lake:audit_lake",
}


class LazyGroup(BoundedGroup):
    """A group whose commands are imported when they are looked at."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        name = ALIASES.get(cmd_name, cmd_name)
        return _imported(COMMANDS[name]) if name in COMMANDS else None


HELP = """Drain hot databases into a Parquet lake; delete from the source only what is proven to be in the lake.

\b
Start with:  tidegate init NAME               a lake of your own, with sample data
             tidegate archive NAME --dry-run  what would leave a table
Exit codes:  0 done, 2 bad usage or configuration,
             3 proof failed and nothing deleted, 1 anything else
"""


@click.group(cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate")
def main() -> None:
    """The program `tidegate`."""


def run_flow(name: str) -> None:
    """Run a flow's command; `python flows/archive.py flights` has the options of `tidegate archive flights`."""
    _imported(FLOWS[name]).main(prog_name=f"python flows/{name.replace('-', '_')}.py")


def _imported(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command
