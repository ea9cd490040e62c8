"""Parquet: as it is, or as `types` demand where that alters no value. Rows are counted from the file's own metadata."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import read_files, text_literal
from blocks.file_formats.opening import Opening, refuse_machine_errors
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.text_forms import demanded_form
from blocks.file_formats.typed_text import type_name
from schemas.column_plan import quote_identifier

_MAGIC = b"PAR1"
_MARKER = "tidegate-parquet:"


def open_records(opening: Opening) -> Records:
    """Open a Parquet file.

    Raises:
        BadFile: It is none, was cut off, or is encrypted.
    """
    return _ParquetRecords(opening)


class _ParquetRecords:
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        with opening.path.open("rb") as file:
            begins = file.read(4) == _MAGIC
            file.seek(-min(4, opening.path.stat().st_size), 2)
            ends = file.read(4) == _MAGIC
        if not begins:
            raise opening.bad("is not Parquet: it does not begin with PAR1.", "Correct its name or `type` in `format`.")
        if not ends:
            raise opening.bad(
                "is a Parquet file that was cut off: its end, where its metadata is, is missing.",
                "Ask for the file again, or see why its transfer ended early; then run it again.",
            )
        self.count()
        source = read_files([str(opening.path)])
        try:
            described = opening.connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        except duckdb.Error as error:
            raise self.explain(error) from error
        demanded = {name.casefold(): type_name(opening.connection, name, kind) for name, kind in opening.types.items()}
        self._columns = [(str(name), demanded.get(str(name).casefold())) for name, *_ in described]
        absent = [name for name in opening.types if name.casefold() not in {n.casefold() for n, _ in self._columns}]
        if absent:
            opening.notes.append(f"no column {', '.join(absent)}, to which `types` gives a type")
        listed = ", ".join(
            quote_identifier(name)
            if type_ is None
            else f"{_guarded(place, name, kind, type_)} AS {quote_identifier(name)}"
            for place, ((name, type_), (_, kind, *_)) in enumerate(zip(self._columns, described, strict=True))
        )
        self._query = f"SELECT {listed} FROM {source}"

    @property
    def query(self) -> str:
        return self._query

    @property
    def notes(self) -> Sequence[str]:
        return tuple(self._opening.notes)

    def demote(self, error: duckdb.Error) -> bool:
        return False

    def explain(self, error: duckdb.Error) -> BadFile:
        refuse_machine_errors(self._opening.name, error)
        _, found, rest = str(error).partition(_MARKER)
        if found:
            place, _, value = rest.partition(":")
            return self._wrong_value(*self._columns[int(place)], value)
        return self._opening.bad(f"cannot be read as Parquet: {str(error).splitlines()[0]}", "Ask for the file again.")

    def _wrong_value(self, column: str, type_: str | None, value: str) -> BadFile:
        row = self._opening.connection.execute(
            f"SELECT min(file_row_number) + 1 FROM read_parquet({text_literal(str(self._opening.path))}, "
            "hive_partitioning = false, file_row_number = true) "
            f"WHERE left(CAST({quote_identifier(column)} AS VARCHAR), 200) = {text_literal(value)}"
        ).fetchone()
        where = f"row {row[0]}: " if row and row[0] else ""
        return self._opening.bad(
            f"{where}column {column}: {value[:80]!r} is no {type_}, or would not be the same as one.",
            "Correct the value, or give the column another type in the table's `types`.",
        )

    def count(self) -> int:
        try:
            return int(pq.read_metadata(self._opening.path).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise self._opening.bad(f"cannot be read as Parquet: {error}.", "Ask for the file again.") from error


def _guarded(place: int, name: str, kind: str, type_: str) -> str:
    """Return SQL of a column as another type, which fails of a value that would not survive that.

    Text has to say what its value is, as in a file of text; all else has to come back as it was.
    """
    column = quote_identifier(name)
    if type_ in ("VARCHAR", kind):
        return f"CAST({column} AS {type_})"
    form = demanded_form(type_, comma=False)
    value = f"({form.value_of(column)})" if kind == "VARCHAR" else f"TRY_CAST({column} AS {type_})"
    check = form.check_of(column, value) if kind == "VARCHAR" else f"TRY_CAST({value} AS {kind}) = {column}"
    return (
        f"CASE WHEN {column} IS NULL THEN NULL WHEN ({check}) IS TRUE THEN {value} "
        f"ELSE error('{_MARKER}{place}:' || left(CAST({column} AS VARCHAR), 200)) END"
    )
