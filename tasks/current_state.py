"""Which generations of a dataset make up what is there now."""

from collections.abc import Sequence

from blocks.ledger import Generation


def first_current(generations: Sequence[Generation]) -> int:
    """Return the place of the first generation that counts: the last one that holds a table as a whole, if any.

    Args:
        generations: Of one dataset, oldest first.
    """
    whole = (
        place for place, g in enumerate(generations) if g.manifest.extracted and g.manifest.extracted.mode == "full"
    )
    return max(whole, default=0)


def current_state(generations: Sequence[Generation]) -> list[Generation]:
    """Return the last generation that holds a table as a whole and those after it; all, if there is none."""
    return list(generations[first_current(generations) :])
