"""How far replicas are behind, in seconds, told from positions in the WAL and our own clock.

`pg_stat_replication.replay_lag` alone will not do: it is the delay of what was replayed last. Of a replica that has
stopped to replay it says what it said before.
"""

import time
from collections.abc import Callable, Iterable

KEPT = 512  # positions; of more, every second one is forgotten


class LagHistory:
    """Remembers when the primary was where: a replica that is not there yet is behind since then.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: list[tuple[float, int]] = []

    def lag_s(self, primary: int, replicas: Iterable[tuple[int, float | None]]) -> float:
        """Return the lag of the replica that is furthest behind; 0 without one.

        Args:
            primary: The primary's position now.
            replicas: For each, the position that it has replayed, and the lag that the server measured, if any.
        """
        now = self._clock()
        if not self._seen or primary > self._seen[-1][1]:
            self._seen.append((now, primary))
        lags, positions = [0.0], []
        for replayed, measured in replicas:
            positions.append(replayed)
            since = next((moment for moment, position in self._seen if position > replayed), None)
            if since is not None:
                lags.append(max(now - since, measured or 0.0))
        self._forget(min(positions, default=primary))
        return max(lags)

    def _forget(self, replayed_by_all: int) -> None:
        self._seen = [seen for seen in self._seen if seen[1] > replayed_by_all] or self._seen[-1:]
        if len(self._seen) > KEPT:
            self._seen = [self._seen[0], *self._seen[1::2]]
