"""An end to waiting for a server that says nothing any more, though its connection looks alive."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from blocks.dialects.postgresql.session import Connection
from schemas.errors import SourceUnavailable


@contextmanager
def answered_within(connection: Connection, seconds: float) -> Iterator[None]:
    """Hang up if the block takes longer: by then the server has long been told to give up by itself.

    Keepalives find a network that is gone. They do not find a proxy or a server that hangs, as its machine answers.

    Raises:
        SourceUnavailable: The time is over. What became of the transaction is not known.
    """
    over = threading.Event()

    def hang_up() -> None:
        over.set()
        # Not `close`, which is not for another thread than the one that waits: that one finds the connection ended.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except psycopg.Error:
        if not over.is_set():
            raise
        raise SourceUnavailable(
            f"The source did not answer within {seconds:g} s; the connection was given up.",
            next_step="Look after the server, and after proxies on the way to it. Then run the same command again.",
        ) from None
    finally:
        timer.cancel()
