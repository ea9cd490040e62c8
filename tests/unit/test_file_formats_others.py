"""JSON, XML, XLSX, fixed width and Parquet: no value is lost or altered."""

import io
import json
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading_files import Read, read


def json_lines(*records: object) -> Read:
    return read("a.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", "null", "-3"], "BIGINT", [1, None, -3]),
        (["1.10", "2"], "DOUBLE", [1.1, 2.0]),
        (["0.1", "0.30000000000000004"], "DOUBLE", [0.1, 0.30000000000000004]),
        (["9223372036854775808", "1"], "DECIMAL(38,0)", [Decimal(2**63), Decimal(1)]),
        (["123456789012345678901234567890"], "DECIMAL(38,0)", [Decimal("123456789012345678901234567890")]),
        (["1" * 40, "1"], "VARCHAR", ["1" * 40, "1"]),
        (["12345678901234567.5", "1"], "VARCHAR", ["12345678901234567.5", "1"]),
        (["9007199254740993", "0.5"], "VARCHAR", ["9007199254740993", "0.5"]),
        (["1e400", "1"], "VARCHAR", ["1e400", "1"]),
        (["true", "false"], "BOOLEAN", [True, False]),
        (['"007"', '"x"'], "VARCHAR", ["007", "x"]),
        (['"5"', "5"], "VARCHAR", ["5", "5"]),
        (['""', "null"], "VARCHAR", ["", None]),
        (['{"x": 1}', "[1]"], "JSON", ['{"x":1}', "[1]"]),
        (['{"x": 1}', '"a"'], "JSON", ['{"x":1}', '"a"']),
        (['"a\\u0301\\ud83d\\ude00\\n\\"q\\""'], "VARCHAR", ['a\u0301😀\n"q"']),
        (['{"x": 12345678901234567.5}'], "JSON", ['{"x":"12345678901234567.5"}']),
    ],
)
@pytest.mark.parametrize("form", ["lines", "list", "document"])
def test_json_values_keep_what_they_say(values: list[str], type_: str, expected: list[object], form: str) -> None:
    records = [f'{{"id": "x", "v": {value}}}' for value in values]
    if form == "lines":
        found = read("a.jsonl", "\n".join(records).encode())
    elif form == "list":
        found = read("a.json", ("[" + ",\n".join(records) + "]").encode())
    else:
        found = read("a.json", ('{"data": {"items": [' + ",".join(records) + "]}}").encode(), records="data.items")
    assert (found.types["v"], found.column("v")) == (type_, expected)


def test_keys_of_all_records_are_columns_even_of_the_last_one() -> None:
    found = json_lines({"a": 1}, *({"b": n} for n in range(25_000)), {"c/d~": "x", "A": 2, "": 1})
    assert list(found.types) == ["a", "b", "c/d~", "A_2", "column_5"]
    assert found.rows[-1] == (None, None, "x", 2, 1)


def test_a_pretty_printed_list_is_read_as_a_stream_over_the_ends_of_its_pieces() -> None:
    records = [{"id": n, "text": f"line one\nline two {n} é" * 3, "nested": {"n": [n]}} for n in range(30_000)]
    found = read("a.json", json.dumps(records, indent=2, ensure_ascii=False).encode())
    assert found.column("id") == list(range(30_000))
    assert found.rows[-1][1] == records[-1]["text"]


def test_json_with_a_byte_order_mark_is_read() -> None:
    assert read("a.json", b'\xef\xbb\xbf[{"a": 1}]').rows == [(1,)]
    assert read("a.jsonl", '{"a": "é"}\n'.encode("utf-16")).rows == [("é",)]


def test_lines_in_a_file_called_json_are_taken_for_lines() -> None:
    assert read("a.json", b'{"a": 1}\n\n{"a": 2}\n').rows == [(1,), (2,)]


def test_json_numbers_stay_text_where_the_table_has_text() -> None:
    assert read("a.jsonl", b'{"a": 5}\n', known={"a": "VARCHAR"}).rows == [("5",)]
    assert read("a.jsonl", b'{"a": 5}\n', known={"a": "DOUBLE"}).types == {"a": "DOUBLE"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(JSON_VALUES, JSON_VALUES), min_size=1, max_size=4), st.booleans())
def test_json_that_was_written_is_read(rows: list[tuple[object, object]], lines: bool) -> None:
    records = [{"a": a, "b": b} for a, b in rows]
    content = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    found = read("a.jsonl" if lines else "a.json", content.encode())
    for place, name in enumerate(("a", "b")):
        for value, row in zip(found.column(name), rows, strict=True):
            given_ = row[place]
            if found.types[name] == "JSON" and value is not None:
                assert json.loads(value) == given_
            elif isinstance(given_, bool) or given_ is None or isinstance(given_, str):
                assert value == given_ or value == json.dumps(given_)
            else:
                assert Decimal(str(value)) == Decimal(repr(given_))


def test_xml_attributes_and_children_are_columns_without_their_namespaces() -> None:
    found = read(
        "a.xml",
        b'<?xml version="1.0" encoding="ISO-8859-1"?><s:r xmlns:s="u:x" xmlns="u:y"><!-- c --><s:p s:id="1">'
        b"<name>Caf\xe9 &amp; <![CDATA[<b>]]></name><zip>007</zip><price>1.5</price><t k='v'>x</t></s:p>"
        b"<s:p s:id='2'><name/><tag>a</tag><tag>b</tag><price>2</price><late>2024-01-01</late></s:p></s:r>",
    )
    assert found.types == {
        "id": "BIGINT", "name": "VARCHAR", "zip": "VARCHAR", "price": "DOUBLE", "t": "VARCHAR", "tag": "VARCHAR",
        "late": "DATE",
    }  # fmt: skip
    assert found.rows == [
        (1, "Café & <b>", "007", 1.5, '{"k": "v", "text": "x"}', None, None),
        (2, "", None, 2.0, None, '["a", "b"]', date(2024, 1, 1)),
    ]


def test_xml_records_below_a_wrapper_and_by_their_tag_are_found() -> None:
    content = b"<r><head>x</head><list><item><a>1</a></item><item><a>2</a></item></list></r>"
    assert read("a.xml", content, row_tag="item").rows == [(1,), (2,)]
    assert read("a.xml", b"<r><list><item><a>1</a></item><item><a>2</a></item></list></r>").rows == [(1,), (2,)]
    # An element of the record's name within a record is a part of it.
    assert read("a.xml", b"<r><p><a>1</a><p>x</p></p></r>", row_tag="p").rows == [(1, "x")]


def test_many_xml_records_are_read_in_order_with_columns_that_come_late() -> None:
    content = "<r>" + "".join(f"<p><n>{n}</n>{'<z>x</z>' if n == 24_999 else ''}</p>" for n in range(25_000)) + "</r>"
    found = read("a.xml", content.encode())
    assert found.column("n") == list(range(25_000)) and found.rows[-1] == (24_999, "x")


def sheet(rows: list[list[object]], **options: object) -> Read:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return read("a.xlsx", out.getvalue(), **options)  # type: ignore[arg-type]


def test_cells_of_a_sheet_are_what_they_show() -> None:
    found = sheet(
        [
            ["id", "price", "day", "at", "flag", "mixed", "code", None],
            [1, 1.5, date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5), True, 5, "007", None],
            [None] * 8,
            [2, 0.1234567890123, date(1999, 12, 31), datetime(2024, 1, 2), False, "x", "8", None],
        ]
    )
    assert found.types == {
        "id": "BIGINT", "price": "DOUBLE", "day": "DATE", "at": "TIMESTAMP", "flag": "BOOLEAN", "mixed": "VARCHAR",
        "code": "VARCHAR",
    }  # fmt: skip
    assert found.rows == [
        (1, 1.5, date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5), True, "5", "007"),
        (2, 0.1234567890123, date(1999, 12, 31), datetime(2024, 1, 2), False, "x", "8"),
    ]


def test_numbers_of_a_sheet_have_all_their_digits_beside_texts_too() -> None:
    numbers = [1 / 3, 1e-12, 123456789.1234568, -2.5, 12]
    found = sheet([["n", "mixed"], *([number, number] for number in numbers), [1, "x"]])
    assert found.column("n") == [*numbers, 1]
    assert found.column("mixed") == [*(repr(number) for number in numbers), "x"]
    texts = ["0.12345678901234567890", "007", "12345678901234567890", "1.10", "x"]
    assert sheet([["v"], *([text] for text in texts)]).column("v") == texts


def test_rows_above_the_header_of_a_sheet_are_skipped_and_a_sheet_may_have_none() -> None:
    assert sheet([["Report"], [], ["id", "v"], [1, "a"]], skip=2).rows == [(1, "a")]
    assert sheet([[], ["Report"], ["id", "v"], [1, "a"]], skip=2).rows == [(1, "a")]
    assert list(sheet([[1, "a"], [2, "b"]], header=False).types) == ["column_1", "column_2"]


FIELDS = [
    {"name": "id", "start": 1, "width": 3},
    {"name": "name", "start": 4, "width": 5},
    {"name": "code", "start": 9, "width": 3},
]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_fixed_fields_count_characters_and_lose_the_blanks_behind_them(newline: str) -> None:
    lines = ["1  Zoë  007", "2  \U0001f600 x  12", "", "3       9", '4    y 1,"']
    found = read("a.txt", newline.join(lines).encode(), fields=FIELDS)
    assert found.types == {"id": "BIGINT", "name": "VARCHAR", "code": "VARCHAR"}
    assert found.rows == [(1, "Zoë", "007"), (2, "\U0001f600 x", "12"), (3, None, "9"), (4, "  y 1", ',"')]


def test_a_parquet_file_is_read_as_it_is() -> None:
    out = io.BytesIO()
    table = pa.table({"a": pa.array([1, None], pa.int16()), "n": [{"x": 1}, None], "d": [Decimal("1.10"), None]})
    pq.write_table(table, out)
    found = read("a.parquet", out.getvalue())
    assert found.types == {"a": "SMALLINT", "n": "STRUCT(x BIGINT)", "d": "DECIMAL(3,2)"}
    assert found.rows == [(1, {"x": 1}, Decimal("1.10")), (None, None, None)]


def test_xml_in_an_encoding_of_several_bytes_is_read() -> None:
    for encoding in ("Shift_JIS", "GB18030", "EUC-JP"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><r><p><v>日本</v></p><p><v>a</v></p></r>'
        assert read("a.xml", text.encode(encoding)).column("v") == ["日本", "a"]
    assert read("a.xml", "<r><p><v>日本</v></p></r>".encode("big5"), encoding="big5").column("v") == ["日本"]


def test_json_numbers_of_more_digits_than_python_takes_are_text() -> None:
    digits = "1" * 5_000
    assert read("a.json", f'[{{"a": {digits}}}]'.encode()).rows == [(digits,)]


def test_errors_in_a_sheet_are_nothing_and_told_and_texts_stay_whole() -> None:
    book = openpyxl.Workbook()
    for row in (["id", "v", "w"], [1, 5, "1899-12-31 note"], [2, "#N/A", "x"]):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(out := io.BytesIO())
    found = read("a.xlsx", out.getvalue())
    assert found.rows == [(1, 5, "1899-12-31 note"), (2, None, "x")]
    assert "1 cells show an error and are read as nothing: B3 #N/A" in found.notes
