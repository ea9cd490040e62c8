"""Removes what runs that died have left in the lake: files that no committed generation names."""

from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.run_log import log_event


def remove_orphans(lake: Lake, ledger: Ledger) -> int:
    """Delete the dataset's orphans and return how many there were.

    Only for the holder of the table's archiver lock: the files of an export that is still running look the same.
    """
    orphans = ledger.orphans()
    if orphans:
        lake.delete(orphans)
        log_event("orphans_removed", files=len(orphans))
    return len(orphans)
