"""Whether the key that the configuration gives a query tells its rows apart: no database vouches for it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import duck, read_files
from schemas.column_plan import arrow_schema
from schemas.errors import SourceError
from schemas.extraction import Extraction
from tasks.ingest.table_gate import NOTHING_DONE

_EXAMPLES = 3


class QueryKey:
    """Keeps the keys of all rows of one moment, and finds those that come twice; a table's key is not looked at.

    Of rows with one key readers see one: of two that the query gives at the same moment, they would lose one unseen.
    """

    def __init__(self, extraction: Extraction, scratch: Path) -> None:
        self._extraction = extraction
        self._columns = extraction.key_columns if extraction.entry.query is not None else ()
        self._path = scratch / "keys.parquet"
        self._writer: pq.ParquetWriter | None = None

    def see(self, rows: pa.RecordBatch) -> None:
        """Note the keys of rows."""
        if not self._columns or not rows.num_rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, arrow_schema(self._columns), compression="zstd")
        self._writer.write_batch(rows.select([column.name for column in self._columns]))

    def check(self) -> None:
        """Find keys that are no key.

        Raises:
            SourceError: Two rows have the same one, or a column of it is NULL.
        """
        if self._writer is None:
            return
        self._writer.close()
        names = ", ".join(column.quoted for column in self._columns)
        missing = " OR ".join(f"{column.quoted} IS NULL" for column in self._columns)
        shown = ", ".join(f"{column.quoted}::VARCHAR" for column in self._columns)
        query = (
            f'SELECT {shown}, count(*) AS "tidegate rows" FROM {read_files([str(self._path)])} GROUP BY {names} '
            f'HAVING "tidegate rows" > 1 OR {missing} ORDER BY ALL LIMIT {_EXAMPLES}'
        )
        with duck(self._extraction.settings) as connection:
            found = connection.execute(query).fetchall()
        if found:
            examples = "; ".join(f"{', '.join(text or 'NULL' for text in key)} ({count} rows)" for *key, count in found)
            raise SourceError(
                f"{self._extraction.label}.key: {', '.join(self._extraction.key)} does not tell the rows of the query "
                f"apart, or is NULL, for example {examples}.",
                state=NOTHING_DONE,
                next_step="Name all columns that it takes, or leave `key` out; or correct the query.",
            )
