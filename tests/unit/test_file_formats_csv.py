"""CSV: no value is lost or altered, whatever the dialect, the encoding and the types of its columns."""

import csv
import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reading_files import read

from blocks.file_formats.records import BadFile
from schemas.sources.file_format import FileFormat


def one_column(*values: str, **options: object) -> tuple[str, list[object]]:
    """Read values as column v of a semicolon-separated file, beside a column that is never empty."""
    content = "id;v\n" + "".join(f"x{n};{value}\n" for n, value in enumerate(values))
    found = read("a.csv", content.encode(), **options)  # type: ignore[arg-type]
    return found.types["v"], found.column("v")


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["1", "-20", "0"], "BIGINT", [1, -20, 0]),
        (["007", "12"], "VARCHAR", ["007", "12"]),
        (["+1", "2"], "VARCHAR", ["+1", "2"]),
        ([" 1", "2"], "VARCHAR", [" 1", "2"]),
        (["-0", "2"], "DOUBLE", [0.0, 2.0]),
        (["1_000", "2"], "VARCHAR", ["1_000", "2"]),
        (["9223372036854775808", "1"], "DECIMAL(38,0)", [Decimal(2**63), Decimal(1)]),
        (["1.10", "2"], "DOUBLE", [1.1, 2.0]),
        (["0.30000000000000004", "2.5"], "DOUBLE", [0.30000000000000004, 2.5]),
        (["1234567890.1234567890", "2"], "DECIMAL(38,10)", [Decimal("1234567890.1234567890"), Decimal(2)]),
        (["1e5", "2"], "VARCHAR", ["1e5", "2"]),
        (["1e-400", "2"], "VARCHAR", ["1e-400", "2"]),
        (["1e+400", "2"], "VARCHAR", ["1e+400", "2"]),
        (["1.5e-05", "2.5"], "DOUBLE", [1.5e-05, 2.5]),
        (["nan", "2.5"], "VARCHAR", ["nan", "2.5"]),
        (["01.5", "2.5"], "VARCHAR", ["01.5", "2.5"]),
        (["true", "False"], "BOOLEAN", [True, False]),
        (["t", "f"], "VARCHAR", ["t", "f"]),
        (["2024-02-29", "0001-01-01"], "DATE", [date(2024, 2, 29), date(1, 1, 1)]),
        (["2024-02-30", "2024-01-01"], "VARCHAR", ["2024-02-30", "2024-01-01"]),
        (["2024-1-1"], "VARCHAR", ["2024-1-1"]),
        (["infinity", "2024-01-01"], "VARCHAR", ["infinity", "2024-01-01"]),
        (["2024-01-01 10:00:00.120", "2024-01-01T10:00"], "TIMESTAMP",
         [datetime(2024, 1, 1, 10, 0, 0, 120000), datetime(2024, 1, 1, 10)]),
        (["2024-01-01 10:00:00.1234567"], "VARCHAR", ["2024-01-01 10:00:00.1234567"]),
        (["2024-01-01 24:00:00"], "VARCHAR", ["2024-01-01 24:00:00"]),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02:00"], "TIMESTAMP WITH TIME ZONE",
         [datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 8, tzinfo=UTC)]),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00"], "VARCHAR", ["2024-01-01T10:00:00Z", "2024-01-01 10:00:00"]),
        (["", "5"], "BIGINT", [None, 5]),
        (['""', "5"], "VARCHAR", ["", "5"]),
        (["", ""], "VARCHAR", [None, None]),
        (["3,14", "1.234,56", "2"], "DOUBLE", [3.14, 1234.56, 2.0]),
        (["1,234", "2,345"], "VARCHAR", ["1,234", "2,345"]),
    ],
)  # fmt: skip
def test_a_column_has_a_type_only_if_that_says_exactly_what_its_values_said(
    values: list[str], type_: str, expected: list[object]
) -> None:
    assert one_column(*values) == (type_, expected)


def test_in_a_file_with_decimal_commas_a_number_with_a_point_stays_text() -> None:
    found = read("a.csv", b"a;b;c\n3,14;1.5;1.234\n2,5;2.5;7,25\n")
    assert found.types == {"a": "DOUBLE", "b": "VARCHAR", "c": "DOUBLE"}
    assert found.rows == [(3.14, "1.5", 1234.0), (2.5, "2.5", 7.25)]
    assert any("decimal comma" in note for note in found.notes)
    assert read("a.csv", b"a;b\n3,14;1.5\n", decimal=".").types == {"a": "VARCHAR", "b": "DOUBLE"}


def test_lists_in_a_file_separated_by_commas_are_not_taken_for_decimal_commas() -> None:
    assert read("a.csv", b'id,tags\n1,"1,2"\n2,"3,45"\n').column("tags") == ["1,2", "3,45"]


def test_a_late_value_that_does_not_fit_makes_its_column_text_and_no_other() -> None:
    lines = [f"{n},{n},{n}.5,2024-01-01" for n in range(30_000)]
    lines[29_990] = "007,1,x,2024-01-01"
    found = read("a.csv", ("a,b,c,d\n" + "\n".join(lines) + "\n").encode())
    assert found.types == {"a": "VARCHAR", "b": "BIGINT", "c": "VARCHAR", "d": "DATE"}
    assert found.rows[29_990] == ("007", 1, "x", date(2024, 1, 1))
    assert found.rows[5][0] == "5" and found.demotions == 1
    assert any("column a is read as VARCHAR" in note for note in found.notes)


def test_a_late_decimal_makes_whole_numbers_double() -> None:
    content = "a,b\n" + "".join(f"{n},x\n" for n in range(25_000)) + "1.5,x\n"
    found = read("a.csv", content.encode())
    assert found.types["a"] == "DOUBLE" and found.rows[-1][0] == 1.5


def test_a_column_keeps_the_type_it_is_known_by_if_all_values_fit() -> None:
    content = b"zip,price,n,d,x,e\n123,5,1,2024-01-01,1.5,\n"
    known = {"ZIP": "VARCHAR", "price": "DOUBLE", "n": "DECIMAL(18,2)", "d": "TIMESTAMP", "x": "BIGINT", "e": "BIGINT"}
    found = read("a.csv", content, known=known)
    assert found.types == {
        "zip": "VARCHAR", "price": "DOUBLE", "n": "DECIMAL(18,2)", "d": "TIMESTAMP", "x": "DOUBLE", "e": "BIGINT",
    }  # fmt: skip
    assert found.rows == [("123", 5.0, Decimal("1.00"), datetime(2024, 1, 1), 1.5, None)]


def test_demanded_types_are_kept_and_round_nothing() -> None:
    content = b"a,b,c,d\n007,1.50,2024-01-01,5\n"
    types = {"a": "INTEGER", "b": "DECIMAL(10,2)", "c": "TIMESTAMP", "D": "VARCHAR"}
    found = read("a.csv", content, types=types)
    assert found.types == {"a": "INTEGER", "b": "DECIMAL(10,2)", "c": "TIMESTAMP", "d": "VARCHAR"}
    assert found.rows == [(7, Decimal("1.50"), datetime(2024, 1, 1), "5")]


def test_a_power_of_ten_is_taken_for_a_demanded_number_if_it_is_exactly_that() -> None:
    found = read("a.csv", b"w,d\n15e1,1e-05\n1E2,1.5e+2\n", types={"w": "BIGINT", "d": "DECIMAL(18,8)"})
    assert found.rows == [(150, Decimal("0.00001")), (100, Decimal(150))]
    for content in (b"w\n1.23e1\n", b"w\n1234567890123456e1\n", b"w\n1e-1\n"):
        with pytest.raises(BadFile, match="line 2: column w"):
            read("a.csv", content, types={"w": "BIGINT"})


@pytest.mark.parametrize("name", ["{v}", "{c}", "{v} AS BOOLEAN)) /*", 'a"b', "it's", "x;y"])
def test_what_a_column_is_called_is_never_sql(name: str) -> None:
    quoted = name.replace('"', '""')
    found = read("a.csv", f'"{quoted}",n\n1,2\n'.encode(), types={name: "INTEGER"})
    assert (found.types, found.rows) == ({name: "INTEGER", "n": "BIGINT"}, [(1, 2)])
    assert read("a.csv", f'"{quoted}",n\n1,2\n'.encode()).rows == [(1, 2)]


def test_a_demanded_type_for_a_column_that_is_not_there_is_noted() -> None:
    assert any("no column b" in note for note in read("a.csv", b"a,c\n1,2\n", types={"b": "DATE"}).notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiter_newline_and_byte_order_mark_are_found_out(delimiter: str, newline: str, mark: bytes) -> None:
    lines = [["id", "name"], ["1", '"a, b; c"'], ["2", "d"]]
    content = newline.join(delimiter.join(line) for line in lines) + newline
    assert read("a.csv", mark + content.encode()).rows == [(1, "a, b; c"), (2, "d")]


def test_newlines_in_values_stay_as_they_are_whatever_ends_the_records() -> None:
    found = read("a.csv", b'id,v\r\n1,"a\nb"\r\n2,"c\r\nd"\r\n3,"e\rf"\r\n')
    assert found.rows == [(1, "a\nb"), (2, "c\r\nd"), (3, "e\rf")]
    found = read("a.csv", b'id,v\n1,"a\r\nb"\n2,c\r\n3,d\n')
    assert found.rows == [(1, "a\r\nb"), (2, "c"), (3, "d")]


def test_a_backslash_before_a_quote_escapes_it() -> None:
    found = read("a.csv", b'id,v\n1,"say \\"hi\\", ok"\n2,"x"\n')
    assert found.rows == [(1, 'say "hi", ok'), (2, "x")]


def test_single_quotes_are_found_out_and_apostrophes_are_not_taken_for_them() -> None:
    assert read("a.csv", b"id,v\n1,'a, b'\n2,'c'\n").rows == [(1, "a, b"), (2, "c")]
    assert read("a.csv", b"id,v\n1,it's\n2,O'Neill's\n").rows == [(1, "it's"), (2, "O'Neill's")]


def test_a_delimiter_of_several_characters_is_taken() -> None:
    assert read("a.csv", b'a||b\n1||x\n3||"4||5"\n', delimiter="||").rows == [(1, "x"), (3, "4||5")]


def test_names_are_made_unique_in_the_same_way_each_time() -> None:
    found = read("a.csv", b"id,ID, name ,,id_2,id\n1,2,3,4,5,6\n")
    assert list(found.types) == ["id", "ID_3", "name", "column_4", "id_2", "id_4"]
    assert len(found.notes) == 3


def test_a_file_without_a_header_gets_names_by_place() -> None:
    found = read("a.csv", b"1,x\n2,y\n")
    assert found.types == {"column_1": "BIGINT", "column_2": "VARCHAR"} and len(found.rows) == 2
    assert read("a.csv", b"a,x\nb,y\n", header=False).column("column_1") == ["a", "b"]
    assert list(read("a.csv", b"2023,2024\n1,2\n", header=True).types) == ["2023", "2024"]


def test_lines_before_the_header_are_skipped() -> None:
    found = read("a.csv", b'Report "of\n\nid,v\n1,2\n', skip=2)
    assert found.rows == [(1, 2)]


def test_texts_that_stand_for_nothing_are_null_unless_quoted() -> None:
    found = read("a.csv", b'id,v\n1,NA\n2,"NA"\n3,-\n', null_values=["NA", "-"])
    assert found.column("v") == [None, "NA", None]
    assert read("a.csv", b'id,v\n"1",""\n"2","3"\n', null_values=[""]).rows == [(1, None), (2, 3)]


def test_blank_lines_are_no_records_but_of_a_single_column() -> None:
    assert read("a.csv", b"id,v\n\n1,2\n\n\n3,4\n\n").rows == [(1, 2), (3, 4)]
    assert read("a.csv", b"v\na\n\nb\n").rows == [("a",), (None,), ("b",)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "shift_jis", "utf-32"])
def test_other_encodings_are_read_when_given(encoding: str) -> None:
    text = "日本" if encoding == "shift_jis" else "café"
    assert read("a.csv", f"id,v\n1,{text}\n".encode(encoding), encoding=encoding).column("v") == [text]


def test_utf_16_with_a_mark_and_western_text_are_found_out() -> None:
    assert read("a.csv", "id,v\n1,żółw\n".encode("utf-16")).column("v") == ["żółw"]
    found = read("a.csv", "id,v\n1,café niño Größe 5 €\n".encode("cp1252"))
    assert found.column("v") == ["café niño Größe 5 €"]
    assert any("cp1252" in note for note in found.notes)
    text = "Санкт-Петербург и Москва"
    assert read("a.csv", ("id,v\n" + f"1,{text}\n" * 20).encode("cp1251")).column("v")[0] == text


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.csv"])
def test_compressed_files_are_unpacked_by_their_name_or_their_first_bytes(name: str) -> None:
    content = b"id,v\n1,2\n"
    packed = pa.compress(content, codec="zstd", asbytes=True) if name.endswith("zst") else gzip.compress(content)
    assert read(name, packed).rows == [(1, 2)]


def test_gzip_files_put_one_behind_the_other_are_read_to_the_end() -> None:
    assert read("a.csv.gz", gzip.compress(b"id,v\n1,2\n") + gzip.compress(b"3,4\n")).rows == [(1, 2), (3, 4)]


def test_a_tsv_has_tabs_whatever_else_is_in_it() -> None:
    assert read("a.tsv", b"a,b\tc;d\n1\t2\n").types == {"a,b": "BIGINT", "c;d": "BIGINT"}


def test_records_longer_than_duckdb_takes_by_itself_are_read() -> None:
    assert len(read("a.csv", b'id,v\n1,"' + b"x,\n" * 1_000_000 + b'"\n').column("v")[0]) == 3_000_000


def test_a_record_that_goes_over_the_end_of_a_counted_piece_counts_once() -> None:
    row = '{n},"some text, with\nnewlines and ""quotes"""\n'
    content = "id,v\n" + "".join(row.format(n=n) for n in range(150_000)) + '5" pipe,x\n'
    found = read("a.csv", content.encode())
    assert len(found.rows) == 150_001 and found.rows[-1] == ('5" pipe', "x")


VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.from_regex(r"-?0{0,2}[0-9]{0,20}([.,][0-9]{1,20})?", fullmatch=True),
    st.sampled_from(
        ['"', "'", ",", ";", "\n", "\r\n", "\r", " ", "NULL", "\\", '\\"', "1e5", "-0", "true", "2024-01-01"]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_was_written_is_read(rows: list[tuple[str, str, str]], delimiter: str, newline: str) -> None:
    """Each value's text is there, or a typed value that says the same."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *rows])
    found = read("a.csv", out.getvalue().encode(), delimiter=delimiter, quote='"', escape='"', header=True, decimal=".")
    assert len(found.rows) == len(rows)
    for read_row, row in zip(found.rows, rows, strict=True):
        for value, text in zip(read_row, row, strict=True):
            assert same(value, text), (value, text)


def same(value: object, text: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, int | date):
        return str(value) == text
    if isinstance(value, float):
        return Decimal(repr(value)) == Decimal(text)
    if isinstance(value, Decimal):
        return value == Decimal(text)
    return value == text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_uncompressed": "20"}, "amount"),
        ({"max_uncompressed": "0GB"}, "more than nothing"),
        ({"encoding": "klingon"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
        ({"type": "parquet", "delimiter": ";"}, "no delimiter with type parquet"),
        ({"delimiter": "\n"}, "newline"),
        ({"delimiter": ",", "decimal": ","}, "other than decimal"),
        ({"type": "fixed"}, "needs fields"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FileFormat.model_validate(options)


def test_amounts_are_counted_in_their_unit() -> None:
    assert FileFormat(max_uncompressed="1.5 GB").max_uncompressed_bytes == 1_500_000_000
    assert FileFormat(max_uncompressed="2MiB").max_uncompressed_bytes == 2 * 2**20


def test_nothing_but_scratch_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,v\r\n1,é\n".encode("cp1252"))
    read("a.csv", path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
