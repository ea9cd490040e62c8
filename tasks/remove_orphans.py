"""Removes what is left over in the lake: of runs that died, of removals, and of erasures whose time has come."""

from datetime import datetime

from blocks.erasures import Erasures
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.run_log import log_event
from tasks.sweep_erased import sweep_erased


def remove_orphans(lake: Lake, ledger: Ledger, now: datetime | None = None) -> int:
    """Delete what is left of abandoned exports and erasures, of interrupted removals, and superseded files.

    A file that no manifest names is not reason enough: it must also be known to be left over. Were the manifests
    lost, every file of the lake would be without one. Only for the holder of the table's archiver lock.

    Args:
        lake: The lake.
        ledger: Of the dataset.
        now: When it is, for what has to stay for a while; the clock's by default.

    Returns:
        How many files that were.
    """
    erasures = Erasures(lake, ledger.dataset)
    abandoned, removed = ledger.void_abandoned(), ledger.removed_files()
    left_over = []
    if abandoned or removed:
        left_over = [path for path in ledger.orphans() if path in removed or any(stem in path for stem in abandoned)]
        lake.delete(left_over)
        lake.delete(erasures.void_drafts() if abandoned else ())
        ledger.forget(abandoned)
    if left_over:
        log_event("orphans_removed", files=len(left_over))
    return len(left_over) + sweep_erased(lake, ledger, erasures, now)
