"""JSON and JSON lines: every key of every record is a column, of the type that all of its values have.

Texts stay texts. What is an object or a list in some record is JSON in all of them; where texts and numbers meet, the
column is text. Numbers keep their digits.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb

from blocks.duck import text_literal
from blocks.file_formats.csv_dialect import unique_names
from blocks.file_formats.json_lines import as_lines, elements, has_doubtful_numbers, lines_of
from blocks.file_formats.opening import Opening, in_order, refuse_machine_errors
from blocks.file_formats.plain_text import as_utf8
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_forms import demanded_form
from blocks.file_formats.text_records import MAX_COLUMNS
from blocks.file_formats.typed_text import type_name
from schemas.column_plan import quote_identifier

_MOST_DOCUMENT_BYTES = 500 * 10**6  # of a document that is no list and no lines: it is held in memory
_MOST_RECORD_BYTES = 64 * 2**20
_MARKER = "tidegate-json:"


def open_records(opening: Opening) -> Records:
    """Open a JSON document that is a list of records, or has one at `records`, or lines of one record each.

    Raises:
        BadFile: It is malformed, a record is no object, or has a key twice.
    """
    return _JsonRecords(opening)


class _JsonRecords:
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._text = as_utf8(opening, keep_mark=False)
        self._lines = self._as_lines()
        try:
            self._keys = self._all_keys()
            self._columns = unique_names(self._keys, opening.notes)
            self._values = [self._value(place) for place in range(len(self._keys))]
        except duckdb.Error as error:
            raise self.explain(error) from error

    @property
    def query(self) -> str:
        listed = ", ".join(
            f"{value} AS {quote_identifier(name)}" for value, name in zip(self._values, self._columns, strict=True)
        )
        return f"SELECT {listed} FROM {self._extracted()}"

    @property
    def notes(self) -> Sequence[str]:
        return tuple(self._opening.notes)

    def demote(self, error: duckdb.Error) -> bool:
        # All values were looked at before a column got its type.
        return False

    def explain(self, error: duckdb.Error) -> BadFile:
        refuse_machine_errors(self._opening.name, error)
        _, found, rest = str(error).partition(_MARKER)
        if found:
            place, _, value = rest.partition(":")
            return self._wrong_value(int(place), value)
        try:
            self._look_for_malformed()
        except BadFile as bad:
            return bad
        return self._opening.bad(f"cannot be read as JSON: {str(error).splitlines()[0]}")

    def _wrong_value(self, place: int, value: str) -> BadFile:
        column = self._columns[place]
        with in_order(self._opening.connection):
            row = self._opening.connection.execute(
                f"SELECT n FROM (SELECT row_number() OVER () AS n, {_text(place)} AS t FROM {self._extracted()}) "
                f"WHERE left(t, 200) = {text_literal(value)} ORDER BY n LIMIT 1"
            ).fetchone()
        where = f"record {row[0]}: " if row else ""
        type_ = self._demanded.get(column.casefold())
        return self._opening.bad(
            f"{where}column {column}: {value[:80]!r} is no {type_}, or would not be the same as one.",
            "Correct the value, or give the column another type in the table's `types`.",
        )

    def count(self) -> int:
        """Count with Python where DuckDB read the file itself, and with DuckDB where Python took it apart."""
        if self._kind == "lines":
            return sum(1 for _ in lines_of(self._text))
        if self._kind == "list":
            found = (
                self._opening.connection.cursor()
                .execute(
                    f"SELECT count(*) FROM read_json_objects({text_literal(str(self._text.path))}, format = 'array', "
                    f"maximum_object_size = {_MOST_RECORD_BYTES})"
                )
                .fetchone()
            )
            assert found is not None
            return int(found[0])
        path = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in self._path())
        found = (
            self._opening.connection.cursor()
            .execute(
                f"SELECT json_array_length(content::JSON, {text_literal(path)}) FROM read_text("
                f"{text_literal(str(self._text.path))})"
            )
            .fetchone()
        )
        assert found is not None
        return int(found[0])

    def _path(self) -> list[str]:
        return (self._opening.options.records or "").split(".")

    def _as_lines(self) -> Path:
        """Return the records as lines: the file itself if it has some, and no number that DuckDB would round."""
        opening = self._opening
        with self._text.open() as file:
            first = file.read(64 * 1024).lstrip()[:1]
        self._kind = "lines" if opening.options.type == "jsonl" else "list" if first == b"[" else "document"
        if opening.options.records is not None:
            self._kind = "document"
        elif self._kind == "document":
            self._kind = "lines" if self._first_line_is_a_record() else "document"
        if self._kind == "lines":
            doubtful = has_doubtful_numbers(self._text.path)
            return as_lines(self._text, opening, lines_of(self._text)) if doubtful else self._text.path
        if self._kind == "list":
            return as_lines(self._text, opening, elements(self._text, opening))
        return as_lines(self._text, opening, iter(self._listed()))

    def _first_line_is_a_record(self) -> bool:
        """Return whether the first line is a JSON object by itself, as in a file of lines."""
        line = next(lines_of(self._text), "")
        try:
            return isinstance(json.loads(line, parse_int=str), dict)
        except (json.JSONDecodeError, RecursionError):
            return False

    def _listed(self) -> list[str]:
        """Return the records of a document that has them somewhere inside."""
        opening = self._opening
        if opening.options.records is None:
            raise opening.bad(
                "is one JSON object, not a list of records.",
                "Say where the records are: `records: data.items` in the table's `format`; or, if it has one record a "
                "line, `type: jsonl`.",
            )
        size_bytes = self._text.path.stat().st_size
        if size_bytes > _MOST_DOCUMENT_BYTES:
            raise opening.bad(
                f"is a document of {size_bytes:,} bytes, which has to be held in memory: {_MOST_DOCUMENT_BYTES:,} are "
                "the most.",
                "Ask for JSON lines, or for a list of records without anything around it: those are read as streams.",
            )
        try:
            # Numbers stay the text that they are; strings are told from them by their type.
            found = json.loads(
                self._text.path.read_text("utf-8-sig"), parse_float=_Number, parse_int=_Number, parse_constant=_Number,
                object_pairs_hook=_unique,
            )  # fmt: skip
        except _KeyTwice as error:
            raise opening.bad(
                f"an object has the key {str(error)!r} twice.", "Each object has to have unique keys."
            ) from error
        except (json.JSONDecodeError, RecursionError) as error:
            line = getattr(error, "lineno", 1)
            raise opening.bad(
                f"line {line}: is malformed JSON: {getattr(error, 'msg', 'nested too deeply')}."
            ) from error
        done: list[str] = []
        for part in self._path():
            if not isinstance(found, dict) or part not in found:
                there = ", ".join(list(found)[:10]) if isinstance(found, dict) else f"a {_kind_of(found)}"
                raise opening.bad(
                    f"has nothing at `records: {opening.options.records}`: "
                    f"{'.'.join(done) or 'the document'} has {there or 'no key'}.",
                    "Correct `records` in the table's `format`.",
                )
            found = found[part]
            done.append(part)
        if not isinstance(found, list):
            raise opening.bad(
                f"has a {_kind_of(found)} at `records: {opening.options.records}`, not a list.",
                "Correct `records` in the table's `format`.",
            )
        return [_written(record) for record in found]

    def _read(self) -> str:
        return (
            f"read_json_objects({text_literal(str(self._lines))}, format = 'newline_delimited', compression = 'none', "
            f"maximum_object_size = {_MOST_RECORD_BYTES})"
        )

    def _all_keys(self) -> list[str]:
        """Return the keys of all records in the order in which they first come.

        Raises:
            BadFile: A record is no object, or has a key twice.
        """
        connection = self._opening.connection
        wrong = connection.execute(
            "SELECT n, kind, keys FROM (SELECT row_number() OVER () AS n, json_type(json) AS kind, "
            f"CASE WHEN json_type(json) = 'OBJECT' THEN json_keys(json) END AS keys FROM {self._read()}) "
            "WHERE kind <> 'OBJECT' OR len(keys) <> len(list_distinct(keys)) ORDER BY n LIMIT 1"
        ).fetchone()
        if wrong is not None:
            number, kind, keys = wrong
            twice = sorted({key for key in keys or [] if (keys or []).count(key) > 1})
            what = (
                f"has the key {twice[0]!r} twice" if twice else f"is no object, but {_JSON_KINDS.get(kind, 'a number')}"
            )
            raise self._opening.bad(f"record {number} {what}.", "Each record has to be an object: {…}, of unique keys.")
        found = connection.execute(
            "SELECT key FROM (SELECT n, unnest(keys) AS key, generate_subscripts(keys, 1) AS place FROM "
            f"(SELECT row_number() OVER () AS n, json_keys(json) AS keys FROM {self._read()})) "
            "GROUP BY key ORDER BY min(n), min(place)"
        ).fetchall()
        if not found:
            raise self._opening.bad("has no record with a key in it.", "Ask for the file again, or correct `records`.")
        if len(found) > MAX_COLUMNS:
            raise self._opening.bad(f"its records have {len(found):,} keys; {MAX_COLUMNS:,} are the most.")
        return [str(key) for (key,) in found]

    def _extracted(self) -> str:
        """Return a subquery with column `v`: the list of the values of all keys, as JSON."""
        paths = ", ".join(text_literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in self._keys)
        return f"(SELECT json_extract(json, [{paths}]) AS v FROM {self._read()})"

    @property
    def _demanded(self) -> dict[str, str]:
        connection = self._opening.connection
        return {name.casefold(): type_name(connection, name, kind) for name, kind in self._opening.types.items()}

    def _value(self, place: int) -> str:
        """Return SQL of a column's value."""
        json_ = f"nullif(CAST(v[{place + 1}] AS VARCHAR), 'null')"
        text = _text(place)
        if not hasattr(self, "_facts"):
            self._facts = self._look_at_values()
        strings, nested, truths, wholes, numbers, long_wholes, exact = self._facts[place]
        name = self._columns[place].casefold()
        known = {key.casefold(): kind for key, kind in self._opening.known.items()}.get(name)
        if type_ := self._demanded.get(name):
            return (
                text
                if type_ == "VARCHAR" and not nested
                else self._as_demanded(place, type_, json_ if nested else text)
            )
        if nested:
            return f"CAST({json_} AS JSON)"
        if not strings and not truths and wholes and not numbers and known not in ("VARCHAR", "DOUBLE"):
            wide = long_wholes or known == "DECIMAL(38,0)"
            return text if long_wholes == 2 else f"CAST({text} AS {'DECIMAL(38,0)' if wide else 'BIGINT'})"
        if not strings and not truths and (wholes or numbers) and exact and known != "VARCHAR":
            return f"CAST({text} AS DOUBLE)"
        if truths and not strings and not wholes and not numbers and known != "VARCHAR":
            return f"CAST({text} AS BOOLEAN)"
        return text

    def _as_demanded(self, place: int, type_: str, text: str) -> str:
        form = demanded_form(type_, comma=False)
        value = f"({form.value_of(f'({text})')})"
        check = form.check_of(f"({text})", value)
        return (
            f"CASE WHEN ({text}) IS NULL THEN NULL WHEN ({check}) IS TRUE THEN {value} "
            f"ELSE error('{_MARKER}{place}:' || left(({text}), 200)) END"
        )

    def _look_at_values(self) -> list[tuple[int, ...]]:
        """Return for each key what kinds of values it has in all records.

        As numbers of: texts, objects and lists, truth values, whole numbers, numbers with decimals; then 0, 1 or 2 for
        whole numbers that fit 64 bits, 38 digits or neither, and whether whole numbers are exact as DOUBLE.
        """
        found: list[tuple[int, ...]] = []
        for start in range(0, len(self._keys), 100):
            places = range(start, min(start + 100, len(self._keys)))
            listed = ", ".join(f"CAST(v[{place + 1}] AS VARCHAR) AS j{place}" for place in places)
            tests = ", ".join(_TESTS.replace("{j}", f"j{place}") for place in places)
            row = self._opening.connection.execute(
                f"SELECT {tests} FROM (SELECT {listed} FROM {self._extracted()})"
            ).fetchone()
            assert row is not None
            values = [int(value or 0) for value in row]
            found += [tuple(values[at : at + 7]) for at in range(0, len(values), 7)]
        return found

    def _look_for_malformed(self) -> None:
        """Read the lines with Python, which says in which one something is wrong.

        Raises:
            BadFile: Something is.
        """
        with self._text.open() as file:
            for number, line in enumerate(file, start=1):
                try:
                    if line.strip():
                        json.loads(line, parse_int=str)
                except (json.JSONDecodeError, RecursionError) as error:
                    raise self._opening.bad(
                        f"line {number} is no JSON: {getattr(error, 'msg', 'nested too deeply')} "
                        f"(column {getattr(error, 'colno', 1)}).",
                        "Mend that line, or ask for the file again; a document over several lines needs `type: json`.",
                    ) from error


_WHOLE = "regexp_full_match({j}, '-?[0-9]+')"
_NUMBER = "{j}[1] BETWEEN '0' AND '9' OR {j}[1] = '-'"
_TESTS = ", ".join(
    (
        "count_if({j}[1] = '\"')",
        "count_if({j}[1] IN ('{', '['))",
        "count_if({j} IN ('true', 'false'))",
        f"count_if({_WHOLE})",
        f"count_if(({_NUMBER}) AND NOT {_WHOLE})",
        f"max(CASE WHEN {{j}} IS NULL OR NOT {_WHOLE} OR TRY_CAST({{j}} AS BIGINT) IS NOT NULL THEN 0 "
        "WHEN TRY_CAST({j} AS DECIMAL(38,0)) IS NOT NULL THEN 1 ELSE 2 END)",
        f"bool_and(NOT {_WHOLE} OR strlen({{j}}) <= 15)::INTEGER",
    )
)
_JSON_KINDS = {"ARRAY": "a list", "VARCHAR": "a text", "BOOLEAN": "true or false", "NULL": "null"}


def _text(place: int) -> str:
    """Return SQL of a column's value as text: texts without their quotes, all else as it is written."""
    return f"nullif(v[{place + 1}], 'null'::JSON) ->> '$'"


class _KeyTwice(Exception):
    """An object has a key twice; the text is the key."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):  # all but the last value of a key would be lost
        keys = [key for key, _ in pairs]
        raise _KeyTwice(next(key for key in keys if keys.count(key) > 1)[:80])
    return found


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _written(value: object) -> str:
    """Return a value as JSON, with its numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(one) for one in value) + "]"
    return json.dumps(value)


def _kind_of(value: object) -> str:
    if isinstance(value, _Number):
        return "number"
    return {dict: "object", list: "list", str: "text", bool: "truth value"}.get(type(value), "null")
