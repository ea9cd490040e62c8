"""Parquet: as it is. Rows are counted by pyarrow, from the file's own metadata."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import read_files
from blocks.file_formats.opening import Opening, refuse_machine_errors
from blocks.file_formats.records import BadFile, Records
from blocks.file_formats.typed_text import type_name
from schemas.column_plan import quote_identifier

_MAGIC = b"PAR1"


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
            columns = [str(row[0]) for row in opening.connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        except duckdb.Error as error:
            raise self.explain(error) from error
        demanded = {name.casefold(): type_name(opening.connection, name, kind) for name, kind in opening.types.items()}
        listed = ", ".join(
            f"CAST({quote_identifier(name)} AS {demanded[name.casefold()]}) AS {quote_identifier(name)}"
            if name.casefold() in demanded
            else quote_identifier(name)
            for name in columns
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
        return self._opening.bad(f"cannot be read as Parquet: {str(error).splitlines()[0]}", "Ask for the file again.")

    def count(self) -> int:
        try:
            return int(pq.read_metadata(self._opening.path).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise self._opening.bad(f"cannot be read as Parquet: {error}.", "Ask for the file again.") from error
