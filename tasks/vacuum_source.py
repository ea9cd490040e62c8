"""Cleans up after a run's purges, if the archive says so: one VACUUM at the end, not one a window."""

from collections.abc import Sequence

from blocks.open_source import source_of
from blocks.run_log import log_event
from blocks.stop import stop_request
from schemas.errors import TidegateError
from schemas.job import Job
from schemas.purge_outcome import PurgeOutcome


def vacuum_source(job: Job, outcomes: Sequence[PurgeOutcome]) -> None:
    """Have the job's tables vacuumed (`purge.vacuum: between` or `end`) if rows were deleted from them.

    What fails here fails no run: the rows are deleted, and autovacuum comes by in time.
    """
    options = job.archive.purge
    if options.vacuum == "none" or options.mode != "delete" or not any(outcome.deleted for outcome in outcomes):
        return
    try:
        with stop_request(options.stop_file) as stop, source_of(job).session() as session:
            for member in job.family:
                if stop.reason is None:
                    session.pressure(member.table, options).vacuum(lambda: stop.reason is not None)
    except TidegateError as error:
        log_event("vacuum_failed", error=repr(error.what.splitlines()[0]))
