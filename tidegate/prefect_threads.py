"""Ends the threads that Prefect leaves running, so that a program that has run flows ends quietly."""

import sys


def end_prefect_threads(timeout_s: float = 10.0) -> None:
    """Send what Prefect's events worker still holds, and end Prefect's daemon threads.

    While they live, they hold the last task's modules, and DuckDB complains on standard error about what it calls
    leaks when the interpreter ends. Flows can be run again afterwards: Prefect starts its threads when it needs them.
    """
    if "prefect" not in sys.modules:
        return
    from prefect._internal.concurrency import threads
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(timeout=timeout_s)
    for loop in (threads.get_run_sync_loop(), threads.get_global_loop()):
        loop.shutdown()
        if loop.thread.is_alive():
            loop.thread.join(timeout_s)
