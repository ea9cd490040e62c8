"""The demo shop: three days in the life of a lake, from a database, files and APIs into PostgreSQL."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.build_report import BuildReport
from schemas.ingest_report import IngestReport
from schemas.project import Project
from schemas.publish_report import PublishReport
from tidegate.demo.next_steps import show_shop_steps
from tidegate.demo.shop.database import add_rows
from tidegate.demo.shop.put_aside import put_aside
from tidegate.demo.shop.rows import Shop, make_shop, new_orders
from tidegate.demo.shop.services import ShopServices, shop_services
from tidegate.demo.signals import signals_end_the_blocks
from tidegate.demo.workplace import shop_workplace
from tidegate.local_prefect import prefect
from tidegate.prefect_threads import end_prefect_threads
from tidegate.show.build import show_build
from tidegate.show.ingest import show_ingest
from tidegate.show.labels import number
from tidegate.show.log_lines import show_log_lines
from tidegate.show.output import Output
from tidegate.show.progress_bars import progress_bars
from tidegate.show.publish import show_publish

_TOP = "SELECT title, category, pieces, margin, rating FROM consume.top_products ORDER BY margin DESC, title LIMIT 5"


class Day(NamedTuple):
    """What the flows of one day did."""

    ingested: IngestReport
    built: BuildReport
    published: PublishReport


def run_shop(output: Output, folder: Path) -> None:
    """Run the demo in `folder`, which is left behind; all servers are gone at the end.

    Raises:
        ConfigError: The folder holds something else.
    """
    started, console = time.monotonic(), output.console
    if shop_workplace(folder):
        console.print(f"Removed what an earlier demo left in {folder}.\n")
    shop, config = make_shop(), folder / "config"
    with ExitStack() as stack:
        stack.enter_context(signals_end_the_blocks())
        services = _start(stack, output, folder, shop)
        settings = Project.load_settings(config)
        _headline(console, "The first day: everything flows in")
        first = _day(output, config)
        show_ingest(output, first.ingested, settings)
        _headline(console, "Nine tables of the staging layer, seven of the consume layer, all of them checked")
        show_build(output, first.built, settings)
        _headline(console, "What was put aside, and why")
        console.print(put_aside(settings))
        _headline(console, "All of it in PostgreSQL, in the schemas raw, staging and consume")
        show_publish(output, first.published)
        _headline(console, "What earns most, as PostgreSQL has it")
        console.print(_top(services))
        _headline(console, "The same again: nothing has changed, so nothing is done")
        _tell(console, _day(output, config))
        _headline(console, "The next morning, 25 orders later: only these are read")
        orders, items = new_orders(shop)
        add_rows(services.database, "orders", orders)
        add_rows(services.database, "order_items", items)
        _tell(console, _day(output, config))
    _headline(console, f"Done in {time.monotonic() - started:.0f} seconds. The servers are gone; what is left:")
    show_shop_steps(console, folder)


def _start(stack: ExitStack, output: Output, folder: Path, shop: Shop) -> ShopServices:
    """Start the servers and Prefect; all of it ends with the stack."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]  # the demo's runs are none of the user's own server's business
    os.environ["PREFECT_HOME"] = str((folder / "prefect").absolute())
    with progress_bars(output, "Starting MariaDB, PostgreSQL, an SFTP server, two APIs and Prefect"):
        wait_until_ready = stack.enter_context(prefect(on_import=lambda: show_log_lines(output)))
        stack.callback(end_prefect_threads)
        services = stack.enter_context(shop_services(shop))
        # Done first when the stack ends: a second Ctrl-C must not stop the cleaning up.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        wait_until_ready()
    output.console.print(
        f"A shop with {len(shop.orders):,} orders of {len(shop.customers)} customers in MariaDB, five files of its "
        "partners on an SFTP server,\nexchange rates and holidays from two APIs; a PostgreSQL that waits for tables.",
        style="bold",
    )
    return services


def _day(output: Output, config_dir: Path) -> Day:
    from flows.build import build_pipelines
    from flows.ingest import ingest_sources
    from flows.publish import publish_tables

    with progress_bars(output, "Reading"):
        ingested = ingest_sources(config_dir=config_dir)
    with progress_bars(output, "Building"):
        built = build_pipelines(config_dir=config_dir)
    with progress_bars(output, "Publishing"):
        published = publish_tables(config_dir=config_dir)
    return Day(ingested, built, published)


def _tell(console: Console, day: Day) -> None:
    """Print what a day brought, a line for each of its steps."""
    for step, done in (
        ("ingest", [(f"{t.source}.{t.table}", t.rows) for t in day.ingested.tables if t.rows]),
        ("run --all", [(p.dataset, p.rows) for p in day.built.pipelines if p.state == "done"]),
        ("publish", [(t.target, t.rows) for t in day.published.tables if t.state == "done"]),
    ):
        what = ", ".join(f"{name} {number(rows)}" for name, rows in done)
        console.print(f"  {step:<10} {what or 'nothing new'}")


def _top(services: ShopServices) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    with psycopg.connect(services.warehouse.url()) as connection:
        cursor = connection.execute(_TOP)
        for column in cursor.description or ():
            table.add_column(column.name, justify="left" if column.name in {"title", "category"} else "right")
        for row in cursor:
            table.add_row(*(str(value) for value in row))
    return table


def _headline(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold")
