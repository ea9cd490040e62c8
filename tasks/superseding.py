"""Which generations of a dataset may hold newer versions of rows of others: all that manifests and receipts tell.

It errs on one side only: a generation that holds no newer version may be named, which costs a read of its keys.
"""

from bisect import bisect
from dataclasses import dataclass, field

from blocks.ledger import Generation


@dataclass(frozen=True, slots=True)
class Superseding:
    """Places of generations, in the order of age.

    Attributes:
        older: Those of which rows may have newer versions.
        newer: Those that may hold such newer versions.
    """

    older: set[int] = field(default_factory=set)
    newer: set[int] = field(default_factory=set)


def superseding(generations: list[Generation]) -> Superseding:
    """Return which generations may supersede rows of which others.

    A generation cannot be superseded if its purge deleted all its rows, each as the very version that was archived:
    what is deleted cannot change any more. (An application that gives the key of such a row to another row, in
    another window, has made a new row: both are shown.) Two generations of windows that share time always may: rows
    can have been restored, and changed.

    Args:
        generations: All of the dataset, oldest snapshot first.
    """
    found = Superseding()
    _by_time(generations, found)
    if _time_is_in_the_key(generations):
        return found  # other windows have other times, and so other keys
    _by_receipts(generations, found)
    return found


def _by_time(generations: list[Generation], found: Superseding) -> None:
    """Find those of windows that overlap, directly or in a chain."""
    aware = {generation.manifest.window.start.tzinfo is not None for generation in generations}
    if len(aware) > 1:  # moments with and without a time zone cannot be compared
        _add(list(range(len(generations))), found)
        return
    by_start = sorted(range(len(generations)), key=lambda place: generations[place].manifest.window.start)
    chain: list[int] = []
    end = None
    for place in by_start:
        window = generations[place].manifest.window
        if end is None or window.start >= end:
            _add(chain, found)
            chain, end = [], window.end
        chain.append(place)
        end = max(end, window.end)
    _add(chain, found)


def _add(places: list[int], found: Superseding) -> None:
    """Note that all these generations may supersede each other, the younger ones the older ones."""
    found.older.update(place for place in places if place != max(places))
    found.newer.update(place for place in places if place != min(places))


def _by_receipts(generations: list[Generation], found: Superseding) -> None:
    not_whole = [place for place, generation in enumerate(generations) if not _left_whole(generation)]
    if not not_whole:
        return
    # What is still in the source, or was not seen to leave it as it was archived, may be in any later generation.
    last = len(generations) - 1
    found.older.update(place for place in not_whole if place != last)
    found.newer.update(range(not_whole[0] + 1, len(generations)))
    # A row may have moved to another window, been archived there, and come back before it was deleted as it had been.
    # Then the purge of the other generation, if there was one, did not find it.
    taken_at = [generation.manifest.attestation.snapshot.taken_at for generation in generations]
    for place in set(range(last)).difference(not_whole):
        next_one = bisect(not_whole, place)  # oldest first, and so the first one has the earliest snapshot
        if next_one < len(not_whole) and taken_at[not_whole[next_one]] <= generations[place].receipts[-1].finished_at:
            found.older.add(place)
            found.newer.add(not_whole[next_one])  # those after it are there already


def _left_whole(generation: Generation) -> bool:
    """Return whether all its rows were deleted from the source, each as the version that was archived."""
    receipts = generation.receipts
    return bool(receipts) and all(r.deleted == r.archived and not r.interrupted_before for r in receipts)


def _time_is_in_the_key(generations: list[Generation]) -> bool:
    keys = {(g.manifest.time_column, g.manifest.key) for g in generations}
    return len(keys) == 1 and all(time in key for time, key in keys)
