"""What a demo leaves behind and what to try on it: commands that work as they are printed."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from tidegate.show.labels import size_text


def program() -> Path:
    """Return the `tidegate` program of this environment."""
    return Path(sys.executable).with_name("tidegate")


def run_command(console: Console, *arguments: str) -> None:
    """Run a command as a user would, after printing how it is called."""
    console.print(f"$ {_typed(*arguments)}", soft_wrap=True)
    console.file.flush()
    subprocess.run([program(), *arguments], check=True, stdin=subprocess.DEVNULL)


def show_next_steps(console: Console, folder: Path) -> None:
    """Print where everything lies, and what can be done with it."""
    place = os.path.relpath(folder)
    config = ("--config", f"{place}/config")
    sizes = [file.stat().st_size for file in (folder / "lake").rglob("*.parquet")]
    for name, what in (
        ("config", "what is archived, from where, into which lake"),
        ("lake", f"{len(sizes)} Parquet files, {size_text(sum(sizes))}; manifests and receipts in _tidegate/"),
        ("prefect", "what Prefect recorded of the runs"),
    ):
        console.print(f"  {place}/{name:<9}{what}", soft_wrap=True)
    console.print("\nTo try next; the lake needs no database:", style="bold")
    for arguments in (
        ("status", "flights"),
        ("verify", "flights"),
        ("query", "SELECT dest, max(fare) AS dearest FROM flights WHERE carrier = 'HA' GROUP BY dest"),
    ):
        console.print(f"  {_typed(*arguments, *config)}", soft_wrap=True)
    console.print("\nWith your own table, named in config/sources.yaml and config/archives.yaml:", style="bold")
    console.print(f"  {_typed('archive', 'NAME', '--dry-run')}", soft_wrap=True)


def show_shop_steps(console: Console, folder: Path) -> None:
    """Print where the shop's lake lies, and what can be asked of it."""
    place = os.path.relpath(folder)
    config = ("--config", f"{place}/config")
    for name, what in (
        ("config", "sources, pipelines and publications, as your own project has them"),
        ("sql", "the SQL of the consume layer"),
        ("lake", "raw, staging and consume, as Parquet; what is known of them in _tidegate/"),
        ("lake.duckdb", "views of all tables, for any tool that reads DuckDB"),
    ):
        console.print(f"  {place}/{name:<13}{what}", soft_wrap=True)
    console.print("\nTo try next; the lake needs none of the servers:", style="bold")
    for arguments in (
        ("catalog",),
        ("catalog", "staging.sales.orders"),
        ("lineage", "consume.bi.daily_sales"),
        ("query", 'SELECT country, sum(sales_eur) AS sales FROM "consume/bi".daily_sales GROUP BY ALL ORDER BY ALL'),
    ):
        console.print(f"  {_typed(*arguments, *config)}", soft_wrap=True)


def _typed(*arguments: str) -> str:
    words = (f'"{a}"' if " " in a and not set(a) & set('"$`\\') else shlex.quote(a) for a in arguments)
    return " ".join([shlex.quote(os.path.relpath(program())), *words])
