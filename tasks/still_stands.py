"""Whether a generation is still what readers see: only then can it vouch for rows that are to be deleted."""

from blocks.ledger import Generation, Ledger
from schemas.errors import ProofFailed

_STAYS = "What is left of this window in the source stays there."


def standing_generation(ledger: Ledger, path: str) -> Generation:
    """Return a generation that is whole and that no other one supersedes.

    A purge asks twice: before the proof, and once it holds the archiver lock, under which rows are erased and
    windows expire.

    Raises:
        ProofFailed: It is not whole, or superseded.
        FileNotFoundError: There is no such manifest.
    """
    generation = ledger.generation(path)
    if generation.superseded_by:
        raise ProofFailed(
            f"{path}: rows of it were erased since; {generation.superseded_by} stands in its place.",
            state=_STAYS,
            next_step=f"tidegate archive {generation.manifest.archive} goes on from what is committed now.",
        )
    if generation.removed:
        raise ProofFailed(
            f"{path}: {len(generation.removed)} of its files were removed from the lake on purpose.",
            state=_STAYS,
            next_step="Nothing can be deleted by a generation that is no longer whole; delete by hand if you must.",
        )
    return generation


def refuse_unless_it_stands(ledger: Ledger, path: str) -> None:
    """Refuse to delete by a generation that was erased from, or removed, since it was proven.

    Raises:
        ProofFailed: It was.
    """
    try:
        standing_generation(ledger, path)
    except FileNotFoundError:
        raise ProofFailed(
            f"{path} is not in the lake any more.", state=_STAYS, next_step="tidegate verify says what is missing."
        ) from None
