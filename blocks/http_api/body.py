"""Reads the body of an answer within a limit, also of what it becomes when it is unpacked."""

import zlib
from collections.abc import Iterator

import httpx

# Only this is asked for, so that unpacking is ours and stops at the limit.
ACCEPT_ENCODING = "gzip"
_PLAIN, _PACKED = ("", "identity"), ("gzip", "x-gzip", "deflate")
_PIECE = 1 << 20


class TooLarge(Exception):
    """The body is larger than the limit."""


class UnknownEncoding(Exception):
    """The body is packed in a way that nobody asked for."""


class Incomplete(Exception):
    """The body ends before it is complete, or cannot be unpacked."""


def read_body(response: httpx.Response, limit: int) -> bytes:
    """Read the body of a streamed answer.

    Raises:
        TooLarge, UnknownEncoding, Incomplete: See there.
        httpx.TransportError: The connection was lost.
    """
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in (*_PLAIN, *_PACKED):
        raise UnknownEncoding(encoding)
    body = bytearray()
    raw = response.iter_raw()
    for piece in raw if encoding in _PLAIN else _unpacked(raw):
        body += piece
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


def _unpacked(raw: Iterator[bytes]) -> Iterator[bytes]:
    # 32 beyond the window's bits: a gzip or a zlib header, whichever is there.
    unpacker, seen = zlib.decompressobj(32 + zlib.MAX_WBITS), False
    try:
        for packed in raw:
            seen = seen or bool(packed)
            while packed and not unpacker.eof:
                yield unpacker.decompress(packed, _PIECE)
                packed = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise Incomplete(f"it cannot be unpacked: {error}") from error
    if seen and not unpacker.eof:
        raise Incomplete("it ends in the middle of its compressed data")
