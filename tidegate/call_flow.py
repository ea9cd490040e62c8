"""Calls a flow from the command line: Prefect made ready, log lines and progress where people look."""

from importlib import import_module
from typing import Any

from tidegate.local_prefect import prefect
from tidegate.prefect_threads import end_prefect_threads
from tidegate.show.log_lines import show_log_lines
from tidegate.show.output import Output
from tidegate.show.progress_bars import progress_bars


def call_flow(output: Output, place: str, **parameters: Any) -> Any:
    """Import a flow (`flows.archive:archive_table`), call it, and return what it returns."""
    module, _, name = place.partition(":")
    with progress_bars(output, "Starting Prefect") as say:
        try:
            with prefect(on_import=lambda: show_log_lines(output)) as wait_until_ready:
                flow = getattr(import_module(module), name)
                wait_until_ready()
                say("Connecting")
                return flow(**parameters)
        finally:
            end_prefect_threads()
