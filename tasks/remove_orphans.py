"""Removes what runs that died have left in the lake: files of exports that began and never committed."""

from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.run_log import log_event


def remove_orphans(lake: Lake, ledger: Ledger) -> int:
    """Delete what is left of abandoned exports and of interrupted removals, and return how many files that were.

    A file that no manifest names is not reason enough: it must also be known to be left over. Were the manifests
    lost, every file of the lake would be without one. Only for the holder of the table's archiver lock.
    """
    abandoned, removed = ledger.void_abandoned(), ledger.removed_files()
    if not abandoned and not removed:
        return 0
    left_over = [path for path in ledger.orphans() if path in removed or any(stem in path for stem in abandoned)]
    lake.delete(left_over)
    ledger.forget(abandoned)
    if left_over:
        log_event("orphans_removed", files=len(left_over))
    return len(left_over)
