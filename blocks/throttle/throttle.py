"""Paces work that is done in batches: sizes them, and lets go of the next one only when nothing holds it back."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from blocks.run_log import log_event
from blocks.stop import StopRequest
from blocks.throttle.batch_sizer import BatchSizer
from blocks.throttle.brake import Brake, Wait
from blocks.throttle.lock_watch import LockWatch
from schemas.errors import Interrupted
from schemas.throttle_options import ThrottleOptions

SLICE_S = 0.2  # of a sleep, between two looks at the stop request
LOG_EVERY_S = 30.0  # a wait is never silent for longer
BREATH_S = 1.0  # after a batch that made others wait

Tell = Callable[[str | None], None]


def _tell_nobody(text: str | None) -> None:
    pass


class Throttle:
    """Any one reason to wait wins. It is logged, told by name, looked at again and again, and ended by a stop request.

    Args:
        work: What the work is called in logs: `purge` gives `event=purge_waits`.
        options: Sizes, pauses and limits.
        brakes: The reasons to wait.
        stop: Ends a wait within a second.
        watch: Looks, during a batch, for sessions that wait for its locks.
        tell: Called with what is waited for in words, and with None when the work goes on.
        clock: Seconds that only go forward.
        sleep: Sleeps for so many seconds.
    """

    def __init__(
        self,
        work: str,
        options: ThrottleOptions,
        brakes: Sequence[Brake],
        stop: StopRequest,
        *,
        watch: LockWatch | None = None,
        tell: Tell = _tell_nobody,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._work, self._options, self._stop, self._watch = work, options, stop, watch
        self._brakes = (*brakes, watch) if watch is not None else tuple(brakes)
        self._tell, self._clock, self._sleep = tell, clock, sleep
        self._sizer = BatchSizer(
            options.batch_rows, options.min_batch_rows, options.max_batch_rows, options.target_batch_s
        )
        self._due = [clock()] * len(self._brakes)
        self._in_the_way = ""  # who had to wait for the last batch, in words
        self._began = False

    @property
    def rows(self) -> int:
        """How many rows the next batch should have."""
        return self._sizer.rows

    def go(self) -> None:
        """Return when the next batch may begin.

        Raises:
            Interrupted: Somebody asked to stop.
        """
        self._refuse_if_stopped()
        if self._in_the_way:
            self._tell(self._in_the_way)
            self.pause(max(self._options.pause_s, BREATH_S))
            self._tell(None)
        elif self._began:
            self.pause(self._options.pause_s)
        self._began, self._in_the_way = True, ""
        found = self._reason()
        if found is not None:
            self._wait_out(found)

    @contextmanager
    def batch(self, rows: int) -> Iterator[None]:
        """Learn from the block, which is one batch of so many rows; from one that fails there is nothing to learn."""
        with self._watch.batch() if self._watch else nullcontext():
            began = self._clock()
            yield
            seconds = self._clock() - began
        self.took(rows, seconds, self._watch.most_waiting if self._watch else 0)

    def took(self, rows: int, seconds: float, waiting: int = 0) -> None:
        """Learn from a batch.

        Args:
            rows: Its size.
            seconds: How long it took.
            waiting: The most sessions that were seen waiting for its locks.
        """
        self._sizer.took(rows, seconds)
        limit = self._options.max_lock_waits
        if limit is not None and waiting > limit:
            self.met_a_lock()
            log_event(f"{self._work}_yields", reason="lock_waits", waiting=waiting, limit=limit, batch_rows=self.rows)
            self._in_the_way = f"sessions waiting for our locks {waiting} > {limit}"

    def met_a_lock(self) -> None:
        """Make the next batch smaller: this one met a lock of somebody else's, or a deadlock."""
        self._sizer.shrink()

    def pause(self, seconds: float) -> None:
        """Sleep, but not through a stop request.

        Raises:
            Interrupted: Somebody asked to stop.
        """
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._sleep(min(left, SLICE_S))
            self._refuse_if_stopped()

    def _reason(self) -> tuple[Brake, Wait] | None:
        """Look at the brakes that it is time to look at."""
        for place, brake in enumerate(self._brakes):
            if self._clock() < self._due[place]:
                continue
            wait = brake.look()
            # One that holds is looked at again at once: the caller has waited before.
            self._due[place] = self._clock() + (0 if wait else brake.every_s)
            if wait is not None:
                return brake, wait
        return None

    def _wait_out(self, found: tuple[Brake, Wait] | None) -> None:
        began = logged = self._clock()
        reason = text = ""
        while found is not None:
            brake, wait = found
            if wait.reason != reason or self._clock() - logged >= LOG_EVERY_S:
                reason, logged = wait.reason, self._clock()
                values = {**wait.values, "waited_s": round(self._clock() - began, 1)}
                log_event(f"{self._work}_waits", reason=reason, **values)
            if wait.text != text:
                text = wait.text
                self._tell(text)
            if wait.remedy is not None:
                wait.remedy(lambda: self._stop.reason is not None)
                self._refuse_if_stopped()
            self.pause(brake.every_s)
            found = self._reason()
        self._tell(None)
        log_event(f"{self._work}_goes_on", waited_s=round(self._clock() - began, 1))

    def _refuse_if_stopped(self) -> None:
        if self._stop.reason:
            raise Interrupted(f"Stopped by {self._stop.reason}.")
