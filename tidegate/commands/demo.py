"""`tidegate demo`: the whole job on real data, with everything it needs, in about a minute."""

from pathlib import Path

import click

from tidegate.boundary import BoundedCommand
from tidegate.show.output import Output


@click.command(
    "demo",
    cls=BoundedCommand,
    examples=["tidegate demo", "tidegate demo --folder /tmp/tidegate-demo"],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where the lake is written and left behind. What an earlier demo left there is removed first.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show log lines, and tracebacks of errors.")
def demo(*, folder: Path, verbose: bool) -> None:
    """Archive, prove, purge, query and restore 336,776 real flights, on a PostgreSQL that comes along.

    Nothing needs to be set up, and no process is left behind. What it does, it does with the flows and commands
    that work on your own tables.
    """
    from tidegate.demo.run import run_demo

    run_demo(Output(as_json=False, verbose=verbose, config=str(folder / "config")), folder)
