"""Files that are not what they should be: the error names the file, and the line or place in it."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_files import read

from blocks.file_formats import decompress
from blocks.file_formats.records import BadFile
from schemas.errors import ConfigError, LakeError

FIELDS = [{"name": "id", "start": 1, "width": 3}, {"name": "code", "start": 4, "width": 3}]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Sales"  # type: ignore[union-attr]
    book.active.append(["id"])  # type: ignore[union-attr]
    book.active.append(["x1"])  # type: ignore[union-attr]
    book.create_sheet("Nothing")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), out)
    return out.getvalue()


LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY l3 "&l2;&l2;&l2;&l2;&l2;&l2;&l2;&l2;&l2;&l2;">]>
<r><p>&l3;</p></r>"""


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("a.csv", b"id,v\n1,2\n3\n", {}, "line 3 has 1 fields; the header has 2"),
        ("a.csv", b'id,v\n"1\n2",2\n3,4,5\n', {}, "line 4 has 3 fields; the header has 2"),
        ("a.csv", b'id,v\n1,"2\n3,4\n5,6\n', {}, "line 2 opens a quote that is never closed"),
        ("a.csv", b'id,v\n1,"2"x\n3,4\n', {}, "line 2 cannot be split"),
        ("a.csv", b"id,v\n1,a\0b\n", {}, "line 2 has a NUL"),
        ("a.csv", b"id,v\n1,x\n2,caf\xe9\n", {"encoding": "utf-8"}, "line 3 has bytes that are not utf-8"),
        ("a.csv", b"id,v\n1,\xc3\xa9\n2,caf\xe9\n", {}, "line 3 has bytes that are not UTF-8"),
        ("a.csv", "id,v\n1,é\n".encode(), {"encoding": "cp1252"}, "is UTF-8, but `encoding: cp1252` is given"),
        ("a.csv", b"id,v\n1,\x81\n", {"encoding": "cp1252"}, "line 2 has bytes that are not cp1252"),
        ("a.csv", b"id,v\n1,\x81\x8d\n", {}, "line 2 .* what encoding it is in cannot be told"),
        ("a.csv", "id,v\n1,é\n".encode("utf-16-le"), {}, "UTF-16"),
        ("a.csv", b"id,v\n1,2\n", {"encoding": "utf-16"}, "not utf-16|has a NUL"),
        ("a.csv", b"", {}, "is empty"),
        ("a.csv", b"\n\n", {}, "is empty"),
        ("a.csv", ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n", {}, "10,000 columns; 2,000 are the most"),
        ("a.csv.gz", gzip.compress(b"id,v\n" + os.urandom(9999))[:-30], {}, "cut off or damaged"),
        ("a.csv.gz", b"id,v\n1,2\n", {}, "is not compressed with gzip"),
        ("a.csv.zst", pa.compress(os.urandom(9999), codec="zstd", asbytes=True)[:-30], {}, "cut off or damaged"),
        ("a.csv.gz", gzip.compress(b""), {}, "is empty"),
        ("a.csv.gz", gzip.compress(b"x" * 2000), {"max_uncompressed": "1KB"}, r"larger than max_uncompressed \(1KB\)"),
        ("a.dat", b"id\n", {}, "its format cannot be told"),
        ("a.txt", b"id\n", {}, "its format cannot be told"),
        ("a.parquet", parquet(), {"delimiter": ";"}, "is read as parquet by its name, which has no delimiter"),
        ("a.json", b'[{"a":1},\n{"a":2', {}, "line 2: record 2 is no JSON"),
        ("a.json", b'[{"a":1}\n{"a":2}]', {}, "line 2: '{' stands after record 1"),
        ("a.json", b'[{"a":1}] x', {}, "'x' stands after the end"),
        ("a.json", b'[{"a":1},\n5]', {}, "record 2 is no object"),
        ("a.json", b'{\n"a":1}', {}, "one JSON object, not a list"),
        ("a.json", b'{"data":{"items":[]}}', {"records": "data.rows"}, "`records: data.rows`: data has items"),
        ("a.json", b'{"data":{"items":5}}', {"records": "data.items"}, "has a number at `records: data.items`"),
        ("a.json", b"[]", {}, "no record"),
        ("a.json", b"<html>", {}, "a.json"),
        ("a.jsonl", b'{"a":1}\n{"a":\n', {}, "line 2 is no JSON"),
        ("a.jsonl", b'{"a":1}\n[1]\n', {}, "record 2 is no object, but a list"),
        ("a.jsonl", b'{"a":1}\n{"a":1,"a":2}\n', {}, "record 2 has the key 'a' twice"),
        ("a.jsonl", b'{"a":"\xc3\xa9"}\n{"a":"caf\xe9"}\n', {}, "line 2 has bytes that are not UTF-8"),
        ("a.xml", b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/host">]>\n<r><p>&x;</p></r>', {}, "line 1 has a doc"),
        ("a.xml", b'<?xml version="1.0"?>\n<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x"><r/>', {}, "line 2 .* doc"),
        ("a.xml", LAUGHS, {}, "line 2 has a document type"),
        ("a.xml", LAUGHS.decode().encode("utf-16"), {}, "document type|malformed"),
        ("a.xml", b"<r><p><a>1</a></p>\n<p><a>1</b></p></r>", {}, "line 2, column 12: is malformed XML"),
        ("a.xml", b"<r><p><a>&nothing;</a></p></r>", {}, "line 1, .*malformed"),
        ("a.xml", b"<r><p><a>1</a></p>", {}, "malformed"),
        ("a.xml", b"<r><p><a>1</a></p><q/></r>", {}, "several kinds of elements.*p, q"),
        ("a.xml", b"<r><p><a>1</a></p></r>", {"row_tag": "x"}, "has no element <x>"),
        ("a.xml", b"<r/>", {}, "has no record"),
        ("a.xlsx", b"hello", {}, "cannot be read as XLSX"),
        ("a.xlsx", workbook()[:-300], {}, "cannot be read as XLSX"),
        ("a.xlsx", workbook(), {"sheet": "Nope"}, "no sheet 'Nope'; it has 'Sales', 'Nothing'"),
        ("a.xlsx", workbook(), {"sheet": "Nothing"}, "'Nothing' is empty"),
        ("a.txt", b"1  abc\n2  \n", {"fields": FIELDS}, None),
        ("a.txt", b"1  abc\n2 \n", {"fields": FIELDS}, "line 2 has 2 characters; field code begins at 4"),
        ("a.parquet", b"hello", {}, "is not Parquet"),
        ("a.parquet", parquet()[:-20], {}, "was cut off"),
        ("a.parquet", parquet()[:-40] + parquet()[-4:], {}, "cannot be read as Parquet"),
    ],
)  # fmt: skip
def test_a_bad_file_is_an_error_that_says_where(
    name: str, content: bytes, options: dict[str, Any], said: str | None
) -> None:
    if said is None:
        said = "line 2 has 3 characters"
    with pytest.raises(BadFile, match=said) as caught:
        read(name, content, **options)
    assert caught.value.what.startswith(f"{name}: ")
    assert caught.value.state and caught.value.next_step


@pytest.mark.parametrize(
    ("name", "content", "type_", "said"),
    [
        ("a.csv", b"id,v\n1,5\n2,x\n", "BIGINT", "line 3: column v: 'x' is no BIGINT"),
        ("a.csv", b"id,v\n1,5\n2,1.5\n", "INTEGER", "line 3: column v: '1.5' is no INTEGER"),
        ("a.csv", b"id,v\n1,5\n2,1.239\n", "DECIMAL(10,2)", "line 3: column v: '1.239'"),
        ("a.csv", b"id,v\n1,2024-01-01\n2,2024-01-01 10:00:00\n", "DATE", "line 3: column v"),
        ("a.csv", b"id,v\n1,2024-01-01 10:00:00.1234567\n", "TIMESTAMP", "line 2: column v"),
        ("a.csv", b"id,v\n1,2024-01-01 10:00:00+02\n", "TIMESTAMP", "line 2: column v"),
        ("a.jsonl", b'{"v":1}\n{"v":"x"}\n', "BIGINT", "record 2: column v: 'x' is no BIGINT"),
        ("a.xml", b"<r><p><v>1</v></p><p><v>x</v></p></r>", "BIGINT", "record 2 .*column v: 'x'"),
    ],
)
def test_a_value_that_a_demanded_type_would_change_is_an_error(
    name: str, content: bytes, type_: str, said: str
) -> None:
    with pytest.raises(BadFile, match=said):
        read(name, content, types={"v": type_})


@pytest.mark.parametrize(
    ("column", "type_", "said"),
    [
        (pa.array([Decimal("1.500"), Decimal("1.555")]), "DECIMAL(10,2)", "row 2: column v: '1.555' is no DECIMAL"),
        (pa.array([2.0, 1.5]), "BIGINT", "row 2: column v: '1.5' is no BIGINT"),
        (pa.array(["1.55", "1.555"]), "DECIMAL(10,2)", "row 2: column v: '1.555'"),
        (pa.array([2**53, 2**53 + 1]), "DOUBLE", "row 2: column v: '9007199254740993' is no DOUBLE"),
        (pa.array([datetime(2024, 1, 1), datetime(2024, 1, 1, 10)]), "DATE", "row 2: column v"),
        (pa.array([1_000, 1_001], pa.timestamp("ns")), "TIMESTAMP", "row 2: column v"),
        (pa.array(["1", "x"]), "BIGINT", "row 2: column v: 'x' is no BIGINT"),
    ],
)
def test_a_value_of_parquet_that_a_demanded_type_would_change_is_an_error(
    column: pa.Array, type_: str, said: str
) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"v": column}), out)
    with pytest.raises(BadFile, match=said):
        read("a.parquet", out.getvalue(), types={"v": type_})
    pq.write_table(pa.table({"v": column.slice(0, 1)}), out := io.BytesIO())
    assert read("a.parquet", out.getvalue(), types={"V": type_}).types == {"v": type_}


@pytest.mark.parametrize("encoding", ["Shift_JIS", "UTF-7", "GB18030"])
def test_a_document_type_is_found_in_every_encoding(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r [<!ENTITY x "y">]><r><p><v>日本&x;</v></p></r>'
    with pytest.raises(BadFile, match="line 1 has a document type"):
        read("a.xml", text.encode(encoding))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'<?xml version="1.0" encoding="klingon"?><r><p><v>1</v></p></r>', "encoding 'klingon', which is not known"),
        ("<!DOCTYPE r><r><p><v>1</v></p></r>".encode("utf-32-be"), "has a document type"),
        (b'<?xml version="1.0" encoding="Shift_JIS"?><r><p><v>\n' + b"\x82</v></p></r>", "line 2 has bytes"),
    ],
)
def test_xml_that_cannot_be_decoded_says_why(content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read("a.xml", content)


def test_a_key_that_a_json_object_has_twice_loses_no_value_unseen() -> None:
    for content in (b'{"d": [{"a": 1, "a": 2}]}', b'{"d": [{"b": {"a": 1, "a": 2}}]}'):
        with pytest.raises(BadFile, match="the key 'a' twice"):
            read("a.json", content, records="d")


def test_a_formula_without_its_value_is_not_read_as_nothing() -> None:
    book = openpyxl.Workbook()
    for row in (["id", "v"], [1, 2], [2, "=1+1"]):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(out := io.BytesIO())
    with pytest.raises(BadFile, match="sheet 'Sheet': B3 has a formula whose value is not in the file"):
        read("a.xlsx", out.getvalue())


def test_an_xlsx_that_lies_about_what_it_unpacks_to_is_not_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/sharedStrings.xml", bytes(5_000_000))
    size = struct.pack("<I", 5_000_000)
    content = out.getvalue().replace(size, struct.pack("<I", 100))
    assert content.count(size) == 0
    with pytest.raises(BadFile, match="a sheet is held in memory"):
        read("a.xlsx", content, max_uncompressed="1MB")


def test_a_type_that_does_not_exist_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="NUMBRE is no type"):
        read("a.csv", b"id,v\n1,2\n", types={"v": "NUMBRE"})


def test_a_gzip_bomb_is_stopped_before_it_fills_the_disk(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as out:
        for _ in range(300):
            out.write(bytes(2**20))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tracemalloc.start()
    with pytest.raises(BadFile, match="looks like a bomb"):
        list(_unpack(bomb, scratch))
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()
    assert list(scratch.iterdir()) == []


def _unpack(path: Path, scratch: Path) -> list[Path]:
    from schemas.sources.file_format import FileFormat

    return [decompress.decompress(path, path.name, "gzip", FileFormat(), scratch)]


def test_a_disk_without_room_is_an_error_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "_SPARE_BYTES", 2**62)
    with pytest.raises(LakeError, match="no room"):
        read("a.csv.gz", gzip.compress(b"id,v\n1,2\n"))


def test_an_xlsx_that_unpacks_to_too_much_is_not_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(5_000_000))
    with pytest.raises(BadFile, match="a sheet is held in memory"):
        read("a.xlsx", out.getvalue(), max_uncompressed="1MB")


def test_a_quote_that_is_never_closed_in_a_large_file_is_found_in_bounded_memory_and_time() -> None:
    content = b'id,v\n1,"2\n' + b"3,4\n" * 8_600_000
    with pytest.raises(BadFile, match=r"lines 2 to .* a quote may not be closed"):
        read("a.csv", content)
