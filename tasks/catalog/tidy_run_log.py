"""Keeps the run log quick to read: done at the end of runs that write to the lake anyway, never by what only reads."""

from datetime import UTC, datetime

from blocks.compacted_runs import compact_run_records, single_records_before
from blocks.open_lake import open_lake
from blocks.run_log import log_event, run_logger
from schemas.config import Settings
from schemas.errors import LakeError

# As many files of their own as are read at once in a second or so, on S3 too.
MOST_SINGLE_RECORDS = 200


def tidy_run_log(settings: Settings) -> None:
    """Put the records of past days together, if there are more than `MOST_SINGLE_RECORDS` of them.

    Costs a listing. What the run did is committed by now: that the log could not be tidied is told as a warning, and
    the next run tries again.
    """
    lake, today = open_lake(settings.lake, settings.temp_dir), datetime.now(UTC).date()
    try:
        if len(single_records_before(lake, today)) > MOST_SINGLE_RECORDS:
            log_event("run_log_compacted", records=compact_run_records(lake, today))
    except LakeError as error:
        run_logger().warning("The records of past runs could not be put together: %s", error.what)
