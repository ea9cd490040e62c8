"""Where messages of a run go: Prefect's run logger inside a run, the standard one elsewhere."""

import logging
import sys


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the logger of the current run, without importing Prefect where it is not running."""
    if "prefect" in sys.modules:
        from prefect.exceptions import MissingContextError
        from prefect.logging import get_run_logger

        try:
            return get_run_logger()
        except MissingContextError:
            pass
    return logging.getLogger("tidegate")


def log_event(event: str, **values: object) -> None:
    """Log a line `event=… key=value …` that people read and machines parse."""
    run_logger().info("event=%s %s", event, " ".join(f"{key}={value}" for key, value in values.items()))
