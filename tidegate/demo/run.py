"""The demo: 336,776 real flights leave a real PostgreSQL for a lake, are proven there, and only then deleted."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import LiteralString
from zoneinfo import ZoneInfo

import psycopg
from psycopg.sql import SQL
from rich.console import Console

from blocks.progress import Progress, listening
from schemas.project import Project
from tidegate.demo.flights import TABLE, load_flights
from tidegate.demo.next_steps import run_command, show_next_steps
from tidegate.demo.postgres import EmbeddedPostgres
from tidegate.demo.signals import signals_end_the_blocks
from tidegate.demo.workplace import flights_workplace
from tidegate.local_prefect import prefect
from tidegate.prefect_threads import end_prefect_threads
from tidegate.show.labels import size_text
from tidegate.show.log_lines import show_log_lines
from tidegate.show.output import Output
from tidegate.show.progress_bars import progress_bars
from tidegate.show.restore import show_restore
from tidegate.show.run import windows_table

_RESTORED = "public.flights_february"
_ZONE = ZoneInfo("America/New_York")
_FEBRUARY = (datetime(2013, 2, 1, tzinfo=_ZONE), datetime(2013, 3, 1, tzinfo=_ZONE))
# A row's text has every column in it; one changed sign anywhere gives another fingerprint.
_FINGERPRINT = SQL(
    "SELECT count(*), to_hex(bit_xor(('x' || substr(md5(f::text), 1, 16))::bit(64)::bigint)) "
    "FROM {} f WHERE departed_at >= %s AND departed_at < %s"
)
_CORRECT_THREE = f"""
UPDATE {TABLE} SET arr_delay = 0, details = '{{"corrected": true}}'
WHERE id IN (SELECT id FROM {TABLE} WHERE departed_at >= '2013-12-24 America/New_York' ORDER BY departed_at, id LIMIT 3)
"""
_LEFT = f"""
SELECT format('  %s  %s %s from %s to %s', to_char(departed_at, 'YYYY-MM-DD HH24:MI'), carrier, flight, origin, dest)
FROM {TABLE} ORDER BY departed_at, id
"""
_QUERY = (
    "SELECT carrier, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay FROM flights GROUP BY ALL "
    "ORDER BY flights DESC LIMIT 5"
)


def run_demo(output: Output, folder: Path) -> None:
    """Run the demo in `folder`, which is left behind; the database and all processes are gone at the end.

    Raises:
        ConfigError: The folder holds something else.
        RunFailed: A window failed.
    """
    started, console = time.monotonic(), output.console
    if flights_workplace(folder):
        console.print(f"Removed what an earlier demo left in {folder}.\n")
    with ExitStack() as stack:
        stack.enter_context(signals_end_the_blocks())
        connection = _start(stack, output, folder)
        before = _fingerprint(connection, TABLE)
        _headline(console, "Archiving month by month, proving, and deleting what is proven")
        console.print(
            "Each month is read in one snapshot, written as Parquet and committed; then read again by\n"
            "another engine and compared, row by row, with what the database attested; then each row\n"
            "is deleted if it is still the version that was read. While January is being deleted,\n"
            "somebody corrects three flights of December."
        )
        _archive(output, folder, connection)
        _headline(console, "Left in the table: the three flights that changed after they were read")
        for (line,) in connection.execute(_LEFT):
            console.print(line)
        _headline(console, "The lake answers by itself")
        run_command(console, "query", _QUERY, "--config", f"{os.path.relpath(folder)}/config")
        _headline(console, "February is restored into another table")
        _restore(output, folder, connection, before)
    _headline(console, f"Done in {time.monotonic() - started:.0f} seconds. The database is gone; what is left:")
    show_next_steps(console, folder)


def _start(stack: ExitStack, output: Output, folder: Path) -> psycopg.Connection:
    """Start PostgreSQL and Prefect, side by side with loading the table; all of it ends with the stack."""
    console = output.console
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]  # the demo's runs are none of the user's own server's business
    os.environ["PREFECT_HOME"] = str((folder / "prefect").absolute())
    with progress_bars(output, "Starting PostgreSQL and Prefect, loading 336,776 flights"):
        loader = stack.enter_context(ThreadPoolExecutor(1))
        postgres = stack.enter_context(EmbeddedPostgres())
        os.environ["TIDEGATE_DEMO_URL"] = postgres.url()  # what config/sources.yaml asks for
        loading = loader.submit(load_flights, postgres.url())
        wait_until_ready = stack.enter_context(prefect(on_import=lambda: show_log_lines(output)))
        stack.callback(end_prefect_threads)
        # Done first when the stack ends: a second Ctrl-C must not stop the cleaning up.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        rows = loading.result()
        wait_until_ready()
    connection = stack.enter_context(psycopg.connect(postgres.url(), autocommit=True))
    connection.execute("SET TimeZone = 'America/New_York'")
    size = connection.execute("SELECT pg_total_relation_size(%s::regclass)", [TABLE]).fetchone() or (0,)
    console.print(f"A PostgreSQL with {rows:,} flights of 2013 in {TABLE}, {size_text(size[0])}", style="bold")
    return connection


def _archive(output: Output, folder: Path, connection: psycopg.Connection) -> None:
    from flows.archive import archive_table

    corrected: list[int] = []

    def correct_three_rows(progress: Progress) -> None:
        if progress.phase == "purge" and not corrected:
            corrected.append(connection.execute(_CORRECT_THREE).rowcount)

    with progress_bars(output, "Archiving"), listening(correct_three_rows), listening(_lines(output)):
        report = archive_table("flights", purge=True, config_dir=folder / "config")
    output.console.print(windows_table(report, Project.load_settings(folder / "config")))


def _lines(output: Output) -> Callable[[Progress], None]:
    """Return what prints a line for each step of a window, for logs and whatever else draws no bars."""

    def show(progress: Progress) -> None:
        if output.log_lines and progress.rows == progress.of_rows:
            done = {"export": "archived", "purge": "proven and deleted"}.get(progress.phase, progress.phase)
            output.console.print(f"  {progress.window.start:%Y-%m} {done}: {progress.rows:,} rows")

    return show


def _restore(output: Output, folder: Path, connection: psycopg.Connection, before: tuple[int, str]) -> None:
    from flows.restore import restore_table

    connection.execute(f"CREATE TABLE {_RESTORED} (LIKE {TABLE} INCLUDING ALL)")
    with progress_bars(output, "Restoring"):
        report = restore_table(
            "flights", from_=_FEBRUARY[0], to=_FEBRUARY[1], into=_RESTORED, config_dir=folder / "config"
        )
    show_restore(output.console, report)
    after = _fingerprint(connection, _RESTORED)
    if after != before:
        raise RuntimeError(f"February was {before} before it was archived, and restored it is {after}")
    output.console.print(
        f"PostgreSQL's own MD5s of these {after[0]:,} rows combine to {after[1]}, as before archiving."
    )


def _fingerprint(connection: psycopg.Connection, table: LiteralString) -> tuple[int, str]:
    return connection.execute(_FINGERPRINT.format(SQL(table)), _FEBRUARY).fetchone() or (0, "")


def _headline(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold")
