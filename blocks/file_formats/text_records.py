"""Records whose columns are read as text and then typed: what CSV, fixed width and XML have in common."""

from collections.abc import Sequence

import duckdb

from blocks.file_formats.opening import Opening, in_order, refuse_machine_errors
from blocks.file_formats.records import BadFile
from blocks.file_formats.typed_text import TypedText


class TextRecords:
    """Records of a source of text columns; a format adds how its records are counted and what its errors mean."""

    def __init__(self, opening: Opening, source: str, columns: Sequence[str], *, comma: bool | None) -> None:
        self._opening, self._columns = opening, columns
        self._typed: TypedText | None = None
        if len(columns) > MAX_COLUMNS:
            raise opening.bad(
                f"has {len(columns):,} columns; {MAX_COLUMNS:,} are the most.",
                "See whether `delimiter` is right. A table that wide is better stored as rows of name and value.",
            )
        try:
            self._typed = TypedText(
                opening.connection,
                source,
                columns,
                types=opening.types,
                known=opening.known,
                comma=comma,
                notes=opening.notes,
            )
        except duckdb.Error as error:
            raise self.explain(error) from error

    @property
    def query(self) -> str:
        """See `Records`."""
        assert self._typed is not None
        return self._typed.query

    @property
    def notes(self) -> Sequence[str]:
        """See `Records`."""
        return tuple(self._opening.notes)

    def demote(self, error: duckdb.Error) -> bool:
        """See `Records`."""
        assert self._typed is not None
        try:
            with in_order(self._opening.connection):
                return self._typed.demote(error)
        except duckdb.Error as other:
            raise self.explain(other) from other

    def explain(self, error: duckdb.Error) -> BadFile:
        """See `Records`."""
        refuse_machine_errors(self._opening.name, error)
        failed = self._typed.failed_value(error) if self._typed else None
        if failed is None:
            return self._wrong_line(error)
        place, form, value = failed
        with in_order(self._opening.connection):
            where = self._place_of(place, value)
        return self._opening.bad(
            f"{where}{': ' if where else ''}column {self._columns[place]}: {value[:80]!r} is no {form.type}, "
            "or would not be the same as one.",
            "Correct the value, or give the column another type in the table's `types`.",
        )

    def _place_of(self, column: int, value: str) -> str:
        """Return the line or record that has a value in a column, of which the first 200 characters are given."""
        raise NotImplementedError

    def _wrong_line(self, error: duckdb.Error) -> BadFile:
        """Return what DuckDB stumbled over."""
        return self._opening.bad(f"DuckDB cannot read it: {str(error).split('Possible')[0].strip()}")


MAX_COLUMNS = 2_000
"""More make DuckDB take gigabytes: it handles 2,048 rows of all columns at once, for each thread."""
