"""What the command line exits with when several things were done, and some of them failed."""

from collections.abc import Iterable

PROOF_FAILED = 3


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code of the gravest error: a failed proof before anything else; 0 without any."""
    found = set(codes)
    return PROOF_FAILED if PROOF_FAILED in found else max(found, default=0)
