"""XML: read record by record with lxml into a Parquet file of text columns, and counted by expat.

No document type is accepted: what declares entities, and what reaches for other files, begins with one.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.parsers import expat

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from blocks.duck import read_files, text_literal
from blocks.file_formats.csv_dialect import unique_names
from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import as_utf8
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_records import MAX_COLUMNS, TextRecords
from schemas.column_plan import quote_identifier

_BATCH_ROWS = 10_000
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)")
_UNKNOWN_ENCODING = expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]
_GUESS_ELEMENTS = 10_000


def open_records(opening: Opening) -> Records:
    """Open an XML file.

    Attributes and child elements of a record are its columns, without their namespaces. A child with elements or
    attributes of its own becomes JSON; children that come several times a JSON list. An element without text is "",
    an element or attribute that is not there NULL. A record's own text is the column `text`.

    Raises:
        BadFile: It is malformed, has a document type, or has no record.
    """
    return _XmlRecords(opening)


class _XmlRecords(TextRecords):
    def __init__(self, opening: Opening) -> None:
        opening = self._opening = _with_known_encoding(opening)
        _refuse_document_type(opening)
        self._tag = opening.options.row_tag or _guessed_tag(opening)
        names, parts = _as_parquet(opening, self._tag)
        columns = unique_names(names, opening.notes)
        read = read_files([str(part) for part in parts])
        source = read[:-1] + ", union_by_name = true)"
        listed = ", ".join(
            f"{quote_identifier(f'c{place}')} AS {quote_identifier(name)}" for place, name in enumerate(columns)
        )
        self._source = f"(SELECT {listed} FROM {source})"
        super().__init__(opening, self._source, columns, comma=False)

    def count(self) -> int:
        tag, found, depth_of_record, depth = self._tag, 0, None, 0
        parser = expat.ParserCreate(self._opening.options.encoding, "}")

        def start(name: str, _: object) -> None:
            nonlocal found, depth, depth_of_record
            if depth_of_record is None and name.rpartition("}")[2] == tag:
                found, depth_of_record = found + 1, depth
            depth += 1

        def end(_: str) -> None:
            nonlocal depth, depth_of_record
            depth -= 1
            if depth == depth_of_record:
                depth_of_record = None

        parser.StartElementHandler, parser.EndElementHandler = start, end
        try:
            with self._opening.path.open("rb") as file:
                parser.ParseFile(file)
        except expat.ExpatError as error:
            raise self._opening.bad(
                f"line {error.lineno}, column {error.offset + 1}: is malformed XML: {error}."
            ) from error
        return found

    def _place_of(self, column: int, value: str) -> str:
        name = quote_identifier(self._columns[column])
        row = self._opening.connection.execute(
            f"SELECT n FROM (SELECT row_number() OVER () AS n, {name} AS v FROM {self._source}) "
            f"WHERE left(v, 200) = {text_literal(value)} ORDER BY n LIMIT 1"
        ).fetchone()
        return f"record {row[0]} (<{self._tag}>)" if row else ""

    def _wrong_line(self, error: duckdb.Error) -> BadFile:
        return self._opening.bad(f"its records cannot be read back: {str(error).splitlines()[0]}")


def _with_known_encoding(opening: Opening) -> Opening:
    """Return the file as one that both readers can decode: in UTF-8, if it is in an encoding that expat has not got."""
    given = opening.options.encoding
    with opening.path.open("rb") as file:
        first = file.read(4096)
    try:
        expat.ParserCreate(given).Parse(first)
    except (ValueError, LookupError):
        pass
    except expat.ExpatError as error:
        if error.code != _UNKNOWN_ENCODING:
            return opening
    else:
        return opening
    declared = _DECLARED.match(first)
    name = given or (declared[1].decode("ascii") if declared else "")
    try:
        "".encode(codecs.lookup(name).name)  # what turns bytes into bytes, such as base64, is no encoding
    except (LookupError, ValueError) as error:
        raise opening.bad(
            f"says that it is in the encoding {name[:40]!r}, which is not known.",
            "Ask for it in UTF-8, or give its real `encoding` in the table's `format`.",
        ) from error
    as_given = replace(opening, options=opening.options.model_copy(update={"encoding": name}))
    path = as_utf8(as_given, keep_mark=False).path
    return replace(opening, path=path, options=opening.options.model_copy(update={"encoding": "utf-8"}))


def _refuse_document_type(opening: Opening) -> None:
    """Read the beginning of the file up to its first element with expat, which says where a document type stands."""
    parser = expat.ParserCreate(opening.options.encoding)
    seen: list[tuple[str, int]] = []
    parser.StartDoctypeDeclHandler = lambda name, *_: seen.append((str(name), parser.CurrentLineNumber))
    parser.StartElementHandler = lambda *_: seen.append(("", 0))
    # Nothing that a document type declares is looked at, or looked for.
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        with opening.path.open("rb") as file:
            while not seen and (chunk := file.read(4096)):
                parser.Parse(chunk)
    except (expat.ExpatError, LookupError, ValueError):
        # lxml says what is wrong, and where, in better words.
        if not seen:
            return
    if seen and seen[0][0]:
        raise opening.bad(
            f"line {seen[0][1]} has a document type (<!DOCTYPE {seen[0][0]}>), which can declare entities and name "
            "other files. It was not read.",
            "Ask for the file without its DOCTYPE.",
        )


def _events(opening: Opening, events: tuple[str, ...], tag: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the events of lxml's reader, which resolves nothing and fetches nothing.

    Raises:
        BadFile: The file is malformed; line and column are named.
    """
    try:
        for event, element in etree.iterparse(
            str(opening.path),
            events=events,
            tag=None if tag is None else f"{{*}}{tag}",
            resolve_entities=False,
            no_network=True,
            huge_tree=False,
            load_dtd=False,
            remove_comments=True,
            remove_pis=True,
            encoding=opening.options.encoding,
        ):
            # What expat could not look into, in front of what it finds malformed.
            if element.getroottree().docinfo.internalDTD is not None:
                raise opening.bad("has a document type (<!DOCTYPE …>), which can declare entities. It was not read.")
            yield event, element
    except etree.XMLSyntaxError as error:
        line, column = error.position
        message = str(error.msg).partition(", line ")[0]
        if not line and (found := _by_expat(opening)):
            line, column, message = found
        raise opening.bad(
            f"line {line}, column {column}: is malformed XML: {message}.",
            "Ask for the file again, or correct `encoding` in the table's `format` if letters are the problem.",
        ) from error
    except LookupError as error:
        raise opening.bad(f"is in an encoding that is not known: {error}.", "Give `encoding` in `format`.") from error


def _by_expat(opening: Opening) -> tuple[int, int, str] | None:
    """Return where expat finds a file malformed: lxml does not say it of an entity that nobody declares."""
    try:
        with opening.path.open("rb") as file:
            expat.ParserCreate(opening.options.encoding).ParseFile(file)
    except expat.ExpatError as error:
        return error.lineno, error.offset + 1, expat.ErrorString(error.code)
    return None


def _name(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _guessed_tag(opening: Opening) -> str:
    """Return the element that comes most often below the root; below its only child if it has just one."""
    counts: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
    depth = 0
    for event, element in _events(opening, ("start", "end")):
        if event == "start":
            if depth in counts:
                counts[depth][_name(element.tag)] += 1
            depth += 1
        else:
            depth -= 1
            element.clear()
            if sum(counts[1].values()) + sum(counts[2].values()) > _GUESS_ELEMENTS:
                break
    # <export><customers><customer>…: one wrapper around the records.
    wrapped = sum(counts[1].values()) == 1 and counts[2] and max(counts[2].values()) > 1
    level = counts[2] if wrapped else counts[1]
    if not level:
        raise opening.bad("has no record: its root element is empty.", "Give `row_tag` in the table's `format`.")
    tag = level.most_common(1)[0][0]
    others = [name for name in level if name != tag]
    if others:
        raise opening.bad(
            f"has several kinds of elements where records are: {', '.join([tag, *others][:5])}.",
            "Say which one is a record: `row_tag` in the table's `format`.",
        )
    return tag


def _as_parquet(opening: Opening, tag: str) -> tuple[list[str], list[Path]]:
    """Write the records as text columns c0, c1, … and return the columns' names and the files."""
    places: dict[str, int] = {}
    parts: list[Path] = []
    batch: list[dict[str, str | None]] = []
    inside = 0
    for event, element in _events(opening, ("start", "end"), tag):
        inside += 1 if event == "start" else -1
        if event == "start" or inside:
            continue
        record = _record(element)
        for name in record:
            places.setdefault(name, len(places))
        if len(places) > MAX_COLUMNS:
            raise opening.bad(f"line {element.sourceline}: its records have more than {MAX_COLUMNS:,} columns.")
        batch.append(record)
        element.clear()
        # What was read before it hangs on its parents.
        while element.getprevious() is not None:
            del element.getparent()[0]
        if len(batch) == _BATCH_ROWS:
            parts.append(_written(opening, batch, places))
            batch = []
    if batch:
        parts.append(_written(opening, batch, places))
    if not parts:
        raise opening.bad(f"has no element <{tag}>.", "Correct `row_tag` in the table's `format`.")
    if not places:
        raise opening.bad(f"has only empty elements <{tag}>: without attributes, children and text.")
    return list(places), parts


def _written(opening: Opening, batch: list[dict[str, str | None]], places: dict[str, int]) -> Path:
    path = opening.scratch / f"{uuid4().hex}.parquet"
    columns = {f"c{place}": pa.array([one.get(name) for one in batch], pa.string()) for name, place in places.items()}
    pq.write_table(pa.table(columns) if columns else pa.table({"empty": [None] * len(batch)}), path)
    return path


def _record(element: Any) -> dict[str, str | None]:
    found = _children(element)
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
    }


def _children(element: Any) -> dict[str, Any]:
    """Return attributes, children and own text by name; what comes several times as a list."""
    found: dict[str, Any] = {}
    lists: set[str] = set()
    for name, value in [
        *((_name(key), value) for key, value in element.attrib.items()),
        *((_name(child.tag), _value(child)) for child in element),
    ]:
        if name in lists:
            found[name].append(value)
        elif name in found:
            found[name] = [found[name], value]
            lists.add(name)
        else:
            found[name] = value
    text = "".join([element.text or "", *(child.tail or "" for child in element)])
    if text.strip():
        found["text" if "text" not in found else "text_"] = text
    return found


def _value(element: Any) -> Any:
    if len(element) or element.attrib:
        return _children(element)
    return element.text or ""
