"""From where on a table's rows are to be read, and how far they have been read by then."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from blocks.ledger import Generation
from blocks.source import Since
from schemas.column_plan import Column, Kind
from schemas.duration import Duration
from schemas.extraction import Extraction
from schemas.table_name import TableName

# How far back rows are read again if the configuration does not say: transactions are committed out of order.
OVERLAP = Duration(1, "hour")
OVERLAP_NUMBER = 1_000


def begun_again(extraction: Extraction, generations: Sequence[Generation]) -> Extraction:
    """Return the extraction as one of the whole, if what the lake holds are rows of another query.

    What that one gave says nothing of what this one gives: its rows are not to stand beside those of this one.

    Args:
        extraction: What is extracted.
        generations: What the lake holds of the table, oldest first.
    """
    before = generations[-1].manifest.table if generations else extraction.entry.reads
    if before == extraction.entry.reads or (extraction.entry.query is None and _is_table(before)):
        return extraction
    return extraction.model_copy(update={"options": extraction.options.model_copy(update={"mode": "full"})})


def _is_table(text: str) -> bool:
    try:
        TableName.parse(text)
    except ValueError:
        return False
    return True


def read_since(extraction: Extraction, generations: Sequence[Generation]) -> Since | None:
    """Return where an incremental extraction goes on, or None if it has to read all rows.

    Args:
        extraction: What is extracted.
        generations: What the lake holds of the table, oldest first.
    """
    column = extraction.key_column
    if extraction.options.mode == "full" or column is None or not generations:
        return None
    manifest = generations[-1].manifest
    newest = manifest.extracted
    other_rows = (manifest.table, manifest.where) != (extraction.entry.reads, extraction.where)
    if newest is None or other_rows:  # what was out of scope, or in another table, was not read until now
        return None
    if newest.key_column != column.name or newest.watermark is None:
        return None  # another column was read by until now: what it has not seen, nobody knows
    highest = _value(newest.watermark)
    if isinstance(highest, int) != (column.kind is Kind.INTEGER):
        return None
    return Since(column, _earlier(highest, extraction.options.overlap))


def _value(text: str) -> int | datetime:
    try:
        return int(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _earlier(highest: int | datetime, overlap: int | Duration | None) -> int | datetime:
    if isinstance(highest, int):
        return highest - (overlap if isinstance(overlap, int) else OVERLAP_NUMBER)
    span = overlap if isinstance(overlap, Duration) else OVERLAP
    try:
        return span.before(highest)
    except OverflowError:
        return datetime.min.replace(tzinfo=highest.tzinfo)


class Watermark:
    """The highest value of the key column that was seen so far.

    Args:
        column: The key column; None if there is none, and then there is no watermark.
        before: The watermark of what was read before, or None.
    """

    def __init__(self, column: Column | None, before: str | None) -> None:
        self._column = column
        self._highest: Any = _value(before) if before is not None and column is not None else None

    @property
    def text(self) -> str | None:
        """The value as a manifest keeps it."""
        return None if self._highest is None else str(self._highest).replace(" ", "T")

    def see(self, rows: pa.RecordBatch) -> None:
        """Note the rows' values, but for those that are no moments of a calendar: infinity is no mark to go on from."""
        if self._column is None or not rows.num_rows:
            return
        values = rows.column(self._column.name)
        if self._column.kind is not Kind.INTEGER:
            values = pc.filter(values, _in_calendar(values))
        highest = pc.max(values).as_py()
        if highest is None:
            return
        value: Any = highest if isinstance(highest, int) else _moment(highest)
        if self._highest is None or value > self._highest:
            self._highest = value


def _in_calendar(values: pa.Array) -> pa.Array:
    zone = UTC if pa.types.is_timestamp(values.type) and values.type.tz else None
    lowest, highest = (
        date(year, 1, 1) if pa.types.is_date(values.type) else datetime(year, 1, 1, tzinfo=zone) for year in (1, 9999)
    )
    after, before = (pa.scalar(bound, values.type) for bound in (lowest, highest))
    return pc.and_kleene(pc.greater_equal(values, after), pc.less(values, before))


def _moment(value: date | datetime) -> datetime:
    if not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return value.astimezone(UTC) if value.tzinfo else value
