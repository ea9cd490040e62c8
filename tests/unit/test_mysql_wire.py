"""What comes over a MySQL connection is taken apart the same in whatever pieces it comes, and never ends early."""

import io
import struct

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.dialects.mysql import wire

END = b"\xfe\x00\x00\x02\x00"
WHOLE = 0xFFFFFF


class Pieces(io.BytesIO):
    """Bytes that arrive so many at a time."""

    size = 1

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self.size)


def value(content: bytes | None) -> bytes:
    if content is None:
        return b"\xfb"
    length = len(content)
    if length < 251:
        return bytes([length]) + content
    if length < 2**16:
        return b"\xfc" + struct.pack("<H", length) + content
    return (
        b"\xfd" + struct.pack("<I", length)[:3] + content
        if length < 2**24
        else b"\xfe" + struct.pack("<Q", length) + content
    )


def packets(rows: list[tuple[bytes | None, ...]], end: bytes = END, number: int = 5) -> bytes:
    sent = b""
    for payload in [*(b"".join(map(value, row)) for row in rows), end]:
        parts = [payload[at : at + WHOLE] for at in range(0, len(payload) + 1, WHOLE)]
        for part in parts:
            sent += struct.pack("<I", len(part))[:3] + bytes([number % 256]) + part
            number += 1
    return sent


def read(stream: io.BytesIO, columns: int, batch_rows: int = 3) -> list[tuple[bytes | None, ...]]:
    rows: list[tuple[bytes | None, ...]] = []
    for content, starts in wire._packets(stream, batch_rows, 1000):
        found = wire._columns(content, starts, columns)
        rows += zip(*([column.value(row) for row in range(len(column))] for column in found), strict=True)
        assert [column.binary().to_pylist() for column in found] == [
            [column.value(row) for row in range(len(column))] for column in found
        ]
    return rows


values = st.none() | st.binary(max_size=5) | st.binary(min_size=240, max_size=260)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(values, values), max_size=8), st.integers(1, 700), st.integers(1, 4), st.integers(0, 255))
def test_rows_are_the_same_in_whatever_pieces_they_come(
    rows: list[tuple[bytes | None, ...]], size: int, batch_rows: int, number: int
) -> None:
    stream = Pieces(packets(rows, number=number))
    stream.size = size
    assert read(stream, 2, batch_rows) == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=5), st.integers(0, 10_000))
def test_a_result_that_breaks_off_anywhere_is_an_error(rows: list[tuple[bytes | None, ...]], cut: int) -> None:
    sent = packets(rows)
    with pytest.raises(pymysql.OperationalError, match="Lost connection"):
        read(io.BytesIO(sent[: cut % len(sent)]), 2)


def test_rows_of_several_packets_stand_between_others() -> None:
    rows = [
        (b"a", b"b"),
        (b"x" * (WHOLE - 5), b""),
        (b"y" * (WHOLE - 6), b""),
        (b"c", b"z" * (2 * WHOLE)),
        (None, b"d"),
    ]
    assert read(io.BytesIO(packets(rows)), 2) == rows


def test_a_packet_that_is_missing_or_longer_than_its_row_is_an_error() -> None:
    one, two, end = packets([(b"a",)], end=b"")[:-4], packets([(b"b",)], end=b"", number=7)[:-4], packets([], number=8)
    with pytest.raises(pymysql.OperationalError, match="out of order"):
        read(io.BytesIO(one + two + end), 1)
    with pytest.raises(pymysql.OperationalError, match="not as long as their packets"):
        read(io.BytesIO(packets([(b"a", b"b")])), 1)


def test_an_error_after_some_rows_is_an_error() -> None:
    error = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    with pytest.raises(pymysql.OperationalError, match="interrupted"):
        read(io.BytesIO(packets([(b"a",)], end=error)), 1)
