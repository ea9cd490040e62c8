"""XLSX: the cells of a sheet as text, read by calamine and then typed; rows are counted in the sheet's own XML.

A whole number is `5`, never `5.0`, so that a column with numbers and text keeps both as they are seen.
"""

import posixpath
import re
import sys
import zipfile
import zlib
from copy import copy
from typing import Any
from uuid import uuid4

import duckdb
import fastexcel
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lxml import etree

from blocks.duck import read_files, text_literal
from blocks.file_formats.csv_dialect import unique_names
from blocks.file_formats.opening import Opening
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_records import TextRecords
from schemas.column_plan import quote_identifier

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MIDNIGHT = r"^\d{4}-\d\d-\d\d 00:00:00$"
_NO_DAY = "1899-12-31 "
_TIME_ALONE = r"^1899-12-31 \d\d:\d\d:\d\d(\.\d+)?$"
_MOST_SHOWN = 5
_NOT_ONE = (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, etree.XMLSyntaxError,
            fastexcel.FastExcelError, EOFError)  # fmt: skip
_PIECE_BYTES = 4 * 2**20


def open_records(opening: Opening) -> Records:
    """Open a sheet of an XLSX file. Rows without any value are no records.

    Raises:
        BadFile: It is no XLSX, is too large when unpacked, has no such sheet, or the sheet is empty.
    """
    return _XlsxRecords(opening)


class _XlsxRecords(TextRecords):
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        try:
            self._look_into_zip()
            reader = fastexcel.read_excel(str(opening.path))
            self._sheet = self._chosen(reader.sheet_names)
            self._rows = self._used_rows(look=True)
            table = _exact(reader, self._sheet) if self._rows else None
        except _NOT_ONE as error:
            raise opening.bad(
                f"cannot be read as XLSX: {str(error).splitlines()[0]}",
                "Save it as .xlsx again; an .xls, .csv or web page with this name has to get its own name.",
            ) from error
        options = opening.options
        used = [row for row in self._rows if row > options.skip]
        self._header = True if options.header is None else options.header
        if table is None or not used:
            raise opening.bad(
                f"sheet {self._sheet!r} is empty.", "Name the sheet with the records: `sheet` in `format`."
            )
        # calamine's first row is the first one that is used.
        rows = table.slice(max(0, options.skip - self._rows[0] + 1))
        rows = rows.filter(_any_value(rows))
        names = [str(value or "") for value in rows.slice(0, 1).to_pylist()[0].values()] if self._header else None
        rows = rows.slice(1) if self._header else rows
        kept = [
            place
            for place in range(rows.num_columns)
            if (names and names[place].strip()) or rows.column(place).null_count < rows.num_rows
        ]
        columns = (
            unique_names([names[place] for place in kept], opening.notes)
            if names
            else [f"column_{place + 1}" for place in kept]
        )
        path = opening.scratch / f"{uuid4().hex}.parquet"
        texts = {f"c{n}": _as_seen(rows.column(place)) for n, place in enumerate(kept)}
        pq.write_table(pa.table(texts), path)
        listed = ", ".join(f"c{n} AS {quote_identifier(name)}" for n, name in enumerate(columns))
        self._source = f"(SELECT {listed} FROM {read_files([str(path)])})"
        super().__init__(opening, self._source, columns, comma=False)

    def count(self) -> int:
        return len([row for row in self._used_rows() if row > self._opening.options.skip]) - int(self._header)

    def _look_into_zip(self) -> None:
        """Refuse an archive that becomes too large; nothing of it has been unpacked yet."""
        opening = self._opening
        with zipfile.ZipFile(opening.path) as archive:
            most = min(opening.options.max_uncompressed_bytes, _MOST_BYTES)
            size_bytes = sum(member.file_size for member in archive.infolist())
            if "xl/workbook.xml" not in archive.namelist():
                raise KeyError("it is a zip file without a workbook in it")
            if size_bytes <= most:  # as it says, which need not be so
                size_bytes = _unpacked_bytes(archive, most)
        if size_bytes > most:
            raise opening.bad(
                f"becomes {size_bytes:,} bytes or more when it is unpacked; a sheet is held in memory, and may have "
                f"{most:,}.",
                "Ask for the records as CSV or Parquet.",
            )

    def _chosen(self, names: list[str]) -> str:
        wanted = self._opening.options.sheet
        if wanted is None:
            return names[0]
        if wanted not in names:
            raise self._opening.bad(
                f"has no sheet {wanted!r}; it has {', '.join(repr(name) for name in names)}.",
                "Correct `sheet` in the table's `format`.",
            )
        return wanted

    def _used_rows(self, *, look: bool = False) -> list[int]:
        """Return the numbers, from 1, of the sheet's rows that have a value, read from its XML.

        Raises:
            BadFile: With `look`: a cell has a formula without a value, which would be read as nothing.
        """
        found: list[int] = []
        errors: list[str] = []
        with zipfile.ZipFile(self._opening.path) as archive, archive.open(self._part(archive)) as sheet:
            number = 0
            for _, row in etree.iterparse(sheet, tag="{*}row", resolve_entities=False, no_network=True):
                number = int(row.get("r") or number + 1)
                if any((value.text or "").strip("") for value in row.iterfind(".//{*}v")) or any(
                    text.text for text in row.iterfind(".//{*}is//{*}t")
                ):
                    found.append(number)
                if look and number > self._opening.options.skip:
                    errors += self._errors_in(row, number)
                row.clear()
        if errors:
            more = ", …" if len(errors) > _MOST_SHOWN else ""
            self._opening.notes.append(
                f"{len(errors)} cells show an error and are read as nothing: {', '.join(errors[:_MOST_SHOWN])}{more}"
            )
        return found

    def _errors_in(self, row: Any, number: int) -> list[str]:
        """Return the cells of a row that show an error, such as `B2 #N/A`; they have no value."""
        errors = []
        for cell in row.iterfind("{*}c"):
            name = cell.get("r") or f"row {number}"
            # A formula that gives an empty text is of type `str`.
            if cell.find("{*}f") is not None and not cell.findtext("{*}v") and cell.get("t") != "str":
                raise self._opening.bad(
                    f"sheet {self._sheet!r}: {name} has a formula whose value is not in the file.",
                    "Open and save it with a spreadsheet program, which computes it; or have values written instead.",
                )
            if cell.get("t") == "e":
                errors.append(f"{name} {cell.findtext('{*}v') or 'error'}")
        return errors

    def _part(self, archive: zipfile.ZipFile) -> str:
        """Return the name of the chosen sheet's XML in the archive."""
        safe: Any = etree.XMLParser(resolve_entities=False, no_network=True)
        book = etree.fromstring(archive.read("xl/workbook.xml"), safe)
        links = etree.fromstring(archive.read("xl/_rels/workbook.xml.rels"), safe)
        wanted = next(
            value
            for sheet in book.iterfind(".//{*}sheet")
            if sheet.get("name") == self._sheet
            for key, value in sheet.attrib.items()
            if str(key).endswith("}id")
        )
        target = next(str(link.get("Target")) for link in links if link.get("Id") == wanted)
        return target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")

    def _place_of(self, column: int, value: str) -> str:
        name = quote_identifier(self._columns[column])
        row = self._opening.connection.execute(
            f"SELECT n FROM (SELECT row_number() OVER () AS n, {name} AS v FROM {self._source}) "
            f"WHERE left(v, 200) = {text_literal(value)} ORDER BY n LIMIT 1"
        ).fetchone()
        used = [number for number in self._rows if number > self._opening.options.skip][int(self._header) :]
        return f"sheet {self._sheet!r}, row {used[int(row[0]) - 1]}" if row else f"sheet {self._sheet!r}"

    def _wrong_line(self, error: duckdb.Error) -> BadFile:
        return self._opening.bad(f"its rows cannot be read back: {str(error).splitlines()[0]}")


_MOST_BYTES = 2 * 10**9
"""As much XML as is unpacked: calamine holds a whole sheet in memory."""


def _unpacked_bytes(archive: zipfile.ZipFile, most: int) -> int:
    """Return how large the members of an archive are, whatever it says of them; not much more than `most`."""
    found = 0
    for member in archive.infolist():
        whole = copy(member)
        whole.file_size = sys.maxsize  # to be read until its data ends
        with archive.open(whole) as content:
            while piece := content.read(_PIECE_BYTES):
                found += len(piece)
                if found > most:
                    return found
    return found


def _exact(reader: fastexcel.ExcelReader, sheet: str) -> pa.Table:
    """Return the cells of a sheet as text.

    As text, fastexcel gives nine decimals of a number. The number itself is taken where that is not the same.
    """
    texts = pa.Table.from_batches([reader.load_sheet(sheet, header_row=None, dtypes="string").to_arrow()])
    numbers = reader.load_sheet(sheet, header_row=None, dtypes="float").to_arrow()
    for place, name in enumerate(texts.column_names):
        values = numbers.column(place)
        if values.null_count == len(values):
            continue
        pairs = zip(texts.column(place).to_pylist(), values.to_pylist(), strict=True)
        texts = texts.set_column(place, name, pa.array([_with_all_digits(*pair) for pair in pairs], pa.string()))
    return texts


def _with_all_digits(text: str | None, number: float | None) -> str | None:
    """Return a cell's text: a number as it is printed, a text as it is even if it could be a number."""
    if text is None or number is None or not _NUMBER.fullmatch(text):
        return text
    # A text that could be a number is the same number; what is not was rounded to nine decimals, as this one may be.
    rounded = float(text) != number or ("." in text and text == f"{number:.9f}".rstrip("0"))
    return repr(number) if rounded else text


def _any_value(rows: pa.Table) -> pa.ChunkedArray:
    """Return which rows have a value."""
    found = pc.is_valid(rows.column(0))
    for place in range(1, rows.num_columns):
        found = pc.or_(found, pc.is_valid(rows.column(place)))
    return found


def _as_seen(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column's texts with days as days and times as times: a sheet knows moments only."""
    if column.null_count == len(column):
        return column.cast(pa.string())
    if pc.all(pc.match_substring_regex(column, _MIDNIGHT)).as_py():
        return pc.utf8_slice_codeunits(column, 0, 10)
    timed = pc.match_substring_regex(column, _TIME_ALONE)
    return pc.if_else(timed, pc.utf8_slice_codeunits(column, len(_NO_DAY)), column)
