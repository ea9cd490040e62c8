"""Puts a throttle together from a job's options: what is not configured is neither imported nor connected."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from zoneinfo import ZoneInfo

from blocks.stop import StopRequest
from blocks.throttle.brake import Brake
from blocks.throttle.hours import OutsideHours
from blocks.throttle.lock_watch import LockWatch
from blocks.throttle.pause_variable import EVERY_S, PauseVariable, prefect_variable
from blocks.throttle.pressure import Pressure
from blocks.throttle.throttle import Tell, Throttle
from schemas.throttle_options import ThrottleOptions


@contextmanager
def open_throttle(
    work: str, options: ThrottleOptions, *, zone: ZoneInfo, pressure: Pressure, stop: StopRequest, tell: Tell
) -> Iterator[Throttle]:
    """Yield the throttle of one piece of work.

    Args:
        work: What the work is called in logs.
        options: Sizes, pauses and limits.
        zone: The project's time zone, for hours that name none.
        pressure: The load on the database that is worked on.
        stop: Ends every wait.
        tell: Called with what is waited for, and with None when the work goes on.
    """
    with ExitStack() as stack:
        brakes: list[Brake] = []
        if options.allowed_hours is not None:
            brakes.append(OutsideHours(options.allowed_hours, zone))
        if options.pause_variable is not None:
            name = options.pause_variable
            brakes.append(stack.enter_context(PauseVariable(name, prefect_variable(name), EVERY_S).watched()))
        brakes += pressure.brakes()
        watch = None
        if options.max_lock_waits is not None:
            watch = stack.enter_context(LockWatch(pressure.lock_waits).watching())
        yield Throttle(work, options, brakes, stop, watch=watch, tell=tell)
