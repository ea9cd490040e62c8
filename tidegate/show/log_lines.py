"""Which log lines people see: `event=… key=value` on standard error, and of Prefect only what matters."""

import logging
import os
import sys

from tidegate.redaction import redacted
from tidegate.show.output import Output

_SOURCES = ("tidegate", "prefect")


class _Line(logging.Formatter):
    """One line a record, without a traceback: the command's own error message says what went wrong."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        level = f"{record.levelname} " if record.levelno >= logging.WARNING else ""
        return f"{moment} {level}{redacted(record.getMessage().partition(chr(10))[0])}"


def show_log_lines(output: Output) -> None:
    """Send log lines to standard error: ours and Prefect's warnings; all of Prefect's if verbose; on a terminal none.

    Whoever has set PREFECT_LOGGING_LEVEL wants the lines as Prefect writes them, and gets those instead. A Prefect
    server gets them all in any case. If the command uses Prefect, call this when it is imported.
    """
    if "prefect" in sys.modules:
        if "PREFECT_LOGGING_LEVEL" in os.environ:
            return
        from prefect.logging.handlers import PrefectConsoleHandler

        for handler in logging.getLogger().handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL + 1)
    if not output.log_lines:
        return
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Line())
    lines.addFilter(lambda record: output.verbose or _matters(record))
    for name in _SOURCES:
        logging.getLogger(name).addHandler(lines)
    logging.getLogger("tidegate").setLevel(logging.INFO)


def _matters(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    # What ends the run is told at its end, with what to do next; Prefect would tell it before, and in its own words.
    told_at_the_end = message.startswith("Encountered exception during execution")
    return message.startswith("event=") or (record.levelno >= logging.WARNING and not told_at_the_end)
