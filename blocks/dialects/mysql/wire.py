"""Reads the rows of a result off the wire, column by column, without a Python object a value.

PyMySQL makes an object of every value, at 120,000 rows a second. A snapshot of MySQL belongs to one connection, so
the fast reader, connectorx, which opens its own, cannot read the rows that were counted. This one takes over
PyMySQL's connection for the length of a result: it walks from packet to packet, and finds the values of a column in
all of them at once with numpy. The text protocol is described at
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pymysql
from numpy.typing import NDArray
from pymysql.constants import COMMAND
from pymysql.err import raise_mysql_exception
from pymysql.protocol import FieldDescriptorPacket

from blocks.dialects.mysql.session import Connection

READ_BYTES = 2**20
_WHOLE = 0xFFFFFF  # a packet of this size goes on in the next one
_NULL, _TWO, _THREE, _EIGHT, _ERROR = 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
_SHORT = 64  # bytes of a value, on average, up to which gathering them one by one is faster than slicing


@dataclass(frozen=True, slots=True)
class Field:
    """What the server says of a column of a result: numbers of the protocol."""

    name: str
    type_code: int
    length: int
    flags: int
    decimals: int
    charset: int


@dataclass(frozen=True, slots=True)
class WireColumn:
    """Where the values of a column lie in a piece of what the server sent."""

    content: bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    is_null: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)

    def value(self, row: int) -> bytes | None:
        """Return one value."""
        start = int(self.starts[row])
        return None if self.is_null[row] else self.content[start : start + int(self.lengths[row])]

    def binary(self) -> pa.LargeBinaryArray:
        """Return the values as an Arrow array."""
        count = len(self)
        offsets = np.zeros(count + 1, dtype="i8")
        np.cumsum(self.lengths, out=offsets[1:])
        if offsets[-1] <= _SHORT * count:
            size = "i4" if len(self.content) < 2**31 else "i8"
            places = np.repeat((self.starts - offsets[:-1]).astype(size), self.lengths)
            places += np.arange(offsets[-1], dtype=size)
            data: Any = np.frombuffer(self.content, dtype="u1")[places]
        else:
            ends = (self.starts + self.lengths).tolist()
            data = b"".join(self.content[start:end] for start, end in zip(self.starts.tolist(), ends, strict=True))
        valid = pa.array(~self.is_null).buffers()[1] if self.is_null.any() else None
        return pa.Array.from_buffers(pa.large_binary(), count, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])


def read_columns(connection: Connection, query: str, batch_rows: int, batch_bytes: int) -> Iterator[list[WireColumn]]:
    """Yield the rows of a query in batches, each as its columns.

    The connection can do nothing else until the last batch was taken; left before that, it is closed.

    Args:
        connection: Inside a transaction, if several results are to be of one moment.
        query: A SELECT.
        batch_rows: Rows of a batch, at most.
        batch_bytes: After so many bytes a batch is given out, whatever its rows.

    Raises:
        pymysql.Error: What the server says; a connection that was lost is an error too, and never a shorter result.
        OSError: The socket's.
    """
    driver: Any = connection.driver
    ended = False
    try:
        count = len(_begin(driver, query))
        for content, starts in _packets(driver._rfile, batch_rows, batch_bytes):
            yield _columns(content, starts, count)
        ended = True
    finally:
        if not ended:
            driver._force_close()


def fields(connection: Connection, query: str) -> list[Field]:
    """Return the columns of a query that gives no row."""
    driver: Any = connection.driver
    found = _begin(driver, query)
    if any(True for _ in _packets(driver._rfile, 1, 1)):
        raise pymysql.ProgrammingError(0, "a query for its columns gave rows")
    return found


def _begin(driver: Any, query: str) -> list[Field]:
    driver._execute_command(COMMAND.COM_QUERY, query)
    first = driver._read_packet()
    if first.is_ok_packet() or first.is_load_local_packet():
        raise pymysql.ProgrammingError(0, "the statement gives no rows")
    found = [driver._read_packet(FieldDescriptorPacket) for _ in range(first.read_length_encoded_integer())]
    if not driver._read_packet().is_eof_packet():
        raise pymysql.InternalError(0, "the server did not end the list of columns")
    return [Field(f.name, f.type_code, f.length, f.flags, f.scale, f.charsetnr) for f in found]


def _packets(stream: Any, batch_rows: int, batch_bytes: int) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    """Yield pieces of what the server sends, each with the places where its rows begin."""
    buffer, starts, place = bytearray(), list[int](), 0
    sequence: int | None = None
    while True:
        size = len(buffer)
        while place + 4 <= size and len(starts) < batch_rows:
            length = buffer[place] | buffer[place + 1] << 8 | buffer[place + 2] << 16
            end = place + 4 + length
            if end > size or length == _WHOLE:
                break
            kind = buffer[place + 4] if length else 0
            if (kind == _EIGHT and length < 9) or kind == _ERROR:
                if starts:
                    sequence = _check_sequence(buffer, starts, sequence)
                    yield bytes(buffer[:place]), np.array(starts, dtype="i8")
                if kind == _ERROR:
                    raise_mysql_exception(bytes(buffer[place + 4 : end]))
                return
            starts.append(place + 4)
            place = end
        is_long = place + 4 <= size and buffer[place : place + 3] == b"\xff\xff\xff"
        if starts and (len(starts) >= batch_rows or place >= batch_bytes or is_long):
            sequence = _check_sequence(buffer, starts, sequence)
            yield bytes(buffer[:place]), np.array(starts, dtype="i8")
            del buffer[:place]
            starts, place = [], 0
        elif is_long:
            row, rest, sequence = _long_row(stream, bytes(buffer), sequence)
            yield row, np.zeros(1, dtype="i8")
            buffer = bytearray(rest)
        elif len(starts) < batch_rows:
            buffer += _more(stream)


def _more(stream: Any) -> bytes:
    chunk: bytes = stream.read1(READ_BYTES)
    if not chunk:
        raise pymysql.OperationalError(2013, "Lost connection to the server during a query")
    return chunk


def _check_sequence(buffer: bytearray, starts: list[int], last: int | None) -> int:
    """Compare the packets' numbers, which count up to 255 and begin again: none is missing, none comes twice."""
    numbers = np.frombuffer(buffer, dtype="u1")[np.array(starts, dtype="i8") - 1]
    first = int(numbers[0]) if last is None else (last + 1) % 256
    if not np.array_equal(numbers, np.arange(first, first + len(numbers)).astype("u1")):
        raise pymysql.OperationalError(2013, "Packets from the server came out of order")
    return int(numbers[-1])


def _long_row(stream: Any, buffer: bytes, sequence: int | None) -> tuple[bytes, bytes, int]:
    """Return a row of 16 MiB or more, which comes in several packets, what was read beyond it, and its number."""
    parts: list[bytes] = []
    length = _WHOLE
    number = sequence or 0
    while length == _WHOLE:
        while len(buffer) < 4:
            buffer += _more(stream)
        length, number = struct.unpack("<I", buffer[:3] + b"\0")[0], buffer[3]
        missing = 4 + length - len(buffer)
        chunks = [buffer]
        while missing > 0:
            chunks.append(_more(stream))
            missing -= len(chunks[-1])
        buffer = b"".join(chunks)
        parts.append(buffer[4 : 4 + length])
        buffer = buffer[4 + length :]
    return b"".join(parts), buffer, number


def _columns(content: bytes, places: NDArray[np.int64], count: int) -> list[WireColumn]:
    """Find the values: each begins with its length, in one, three, four or nine bytes."""
    octets = np.frombuffer(content + b"\0" * 9, dtype="u1")
    columns = []
    ends = np.append(places[1:] - 4, len(content))
    for _ in range(count):
        first = octets[places]
        is_null = first == _NULL
        lengths = np.where(is_null, 0, first).astype("i8")
        starts = places + 1
        if (first > _NULL).any():
            for mark, width in ((_TWO, 2), (_THREE, 3), (_EIGHT, 8)):
                rows = np.flatnonzero(first == mark)
                if len(rows):
                    digits = octets[starts[rows, None] + np.arange(width)].astype("i8")
                    lengths[rows] = (digits << np.arange(width) * 8).sum(axis=1)
                    starts[rows] += width
        columns.append(WireColumn(content, starts, lengths, is_null))
        places = starts + lengths
    if not np.array_equal(places, ends):
        raise pymysql.OperationalError(2013, "Rows from the server are not as long as their packets")
    return columns
