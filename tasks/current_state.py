"""Which generations of a dataset make up what is there now."""

from collections.abc import Sequence

from blocks.ledger import Generation


def current_places(generations: Sequence[Generation]) -> list[int]:
    """Return the places of the generations that count: the last one that holds the whole table, and those after it.

    Without one that does, all count, but for those of files that came again as another version.

    Args:
        generations: Of one dataset, oldest first.
    """
    first = max((place for place, generation in enumerate(generations) if generation.manifest.is_whole), default=0)
    origins = [g.manifest.extracted.origin for g in generations[first:] if g.manifest.extracted]
    replaced = {origin.takes_place_of for origin in origins if origin}
    # Erasing rows of a version that was replaced makes a manifest of another path of it, and no current one.
    paths = [{g.manifest.path, *g.manifest.supersedes} for g in generations]
    return [place for place in range(first, len(generations)) if replaced.isdisjoint(paths[place])]


def current_state(generations: Sequence[Generation]) -> list[Generation]:
    """Return the generations that count, oldest first."""
    return [generations[place] for place in current_places(generations)]
