"""`tidegate demo`: the whole job on real data, with everything it needs, in about a minute."""

from pathlib import Path

import click

from tidegate.boundary import BoundedCommand
from tidegate.show.output import Output


@click.command(
    "demo",
    cls=BoundedCommand,
    short_help="Show it all on servers that come along.",
    examples=["tidegate demo", "tidegate demo shop", "tidegate demo shop --folder /tmp/tidegate-demo"],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("what", type=click.Choice(["flights", "shop"]), default="flights")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where the lake is written and left behind. What an earlier demo left there is removed first.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show log lines, and tracebacks of errors.")
def demo(*, what: str, folder: Path, verbose: bool) -> None:
    r"""Show the whole job on servers that come along: `flights` (the default), or `shop`.

    \b
    flights  Archive, prove, purge, query and restore 336,776 real flights, on a PostgreSQL.
    shop     A MariaDB, an SFTP folder and two APIs flow through the layers of a lake into a PostgreSQL,
             on three days: the first, one on which nothing happens, and one with new orders.

    Nothing needs to be set up, and no process is left behind. What they do, they do with the flows and commands that
    work on your own tables.
    """
    output = Output(as_json=False, verbose=verbose, config=str(folder / "config"))
    if what == "shop":
        from tidegate.demo.shop.run import run_shop

        run_shop(output, folder)
    else:
        from tidegate.demo.run import run_demo

        run_demo(output, folder)
