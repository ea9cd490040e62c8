"""How many rows the next batch has, so that it takes about as long as it should."""

DAMPING = 0.5  # of the way, on a scale of ratios: one slow batch among fast ones changes little
MOST = 2.0  # at most so many times larger or smaller than the batch before


class BatchSizer:
    """Steers the size of batches toward a time, always within its bounds.

    Args:
        first: Rows of the first batch.
        least: Never fewer.
        most: Never more.
        target_s: How long a batch should take.
    """

    def __init__(self, first: int, least: int, most: int, target_s: float) -> None:
        if not 1 <= least <= first <= most:
            raise ValueError(f"sizes must be 1 <= least <= first <= most, not {least}, {first}, {most}")
        self._least, self._most, self._target_s = least, most, target_s
        self._size = float(first)  # not rounded: steps of less than a row add up

    @property
    def rows(self) -> int:
        """Rows of the next batch."""
        return round(self._size)

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a batch of so many rows."""
        if rows < 1:
            return
        ideal = rows * self._target_s / max(seconds, 1e-6)
        # What is left at the end of a file is a small batch, and small ones say little: they may only slow down.
        if rows < self._size / 2 and ideal > self._size:
            return
        self._set(self._size * min(max((ideal / self._size) ** DAMPING, 1 / MOST), MOST))

    def shrink(self) -> None:
        """Make the next batch half as large: this one stood in somebody's way."""
        self._set(self._size / 2)

    def _set(self, size: float) -> None:
        self._size = min(max(size, float(self._least)), float(self._most))
