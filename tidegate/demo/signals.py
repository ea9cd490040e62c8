"""Lets SIGTERM and a closed terminal end a program as Ctrl-C does: through all its `with` blocks."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def signals_end_the_blocks() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit (128 and the signal's number) while the block runs."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
