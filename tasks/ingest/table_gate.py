"""The gate of a database's table: rows that fail it are put aside with the reason, or the table is refused."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.duck import duck, read_files
from blocks.gate import apply_gate, load_gate
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.quarantine import DIGEST, Quarantine
from schemas.column_plan import DIGEST_MODULUS
from schemas.errors import GateFailed
from schemas.extraction import Extraction
from schemas.manifest import DataFile

NOTHING_DONE = "Nothing of this table was committed; what was extracted before is as it was."
_EXAMPLES = 5
_SHOWN_WITHOUT_A_KEY = 3


class TableGate:
    """Parts the rows of one extraction into those that pass its gate and those that do not; all pass without a gate.

    Attributes:
        rows: Rows that failed.
        digest: The sum of their digests.
    """

    def __init__(self, extraction: Extraction, scratch: Path) -> None:
        entry = extraction.entry
        self._extraction = extraction
        self._gate = load_gate(entry.gate) if entry.gate else None
        self._quarantine = Quarantine(scratch, extraction.columns)
        self._failures: dict[str, int] = {}
        self._examples: list[str] = []
        self.digest = 0

    @property
    def rows(self) -> int:
        """Rows that failed."""
        return self._quarantine.rows

    def passing(self, rows: pa.RecordBatch, digests: NDArray[np.uint64]) -> tuple[pa.RecordBatch, NDArray[np.uint64]]:
        """Return the rows that pass, and keep the others for the quarantine.

        Raises:
            GateFailed: The gate does not fit the table.
        """
        if self._gate is None or not rows.num_rows:
            return rows, digests
        try:
            result = apply_gate(self._gate, rows)
        except GateFailed as error:
            error.state = NOTHING_DONE
            raise
        passed = result.passed.to_numpy(zero_copy_only=False)
        if passed.all():
            return rows, digests
        failed, failed_digests = rows.filter(pa.array(~passed)), digests[~passed]
        self._quarantine.add(failed, failed_digests, result.reasons)
        self.digest = (self.digest + int(failed_digests.sum(dtype=np.uint64))) % DIGEST_MODULUS
        for rule, count in result.failures.items():
            self._failures[rule] = self._failures.get(rule, 0) + count
        shown = list(self._extraction.key) or failed.schema.names[:_SHOWN_WITHOUT_A_KEY]
        self._examples += [
            str(row) for row in failed.select(shown).slice(0, _EXAMPLES - len(self._examples)).to_pylist()
        ]
        return rows.filter(result.passed), digests[passed]

    def refuse_if_told(self) -> None:
        """Raise what failed, if the configuration says to refuse the table then.

        Raises:
            GateFailed: Rows failed, and `on_gate_failure` is `refuse`.
        """
        entry = self._extraction.entry
        if not self.rows or entry.on_gate_failure == "quarantine":
            return
        rules = "; ".join(f"{rule}: {count} rows" for rule, count in sorted(self._failures.items()))
        raise GateFailed(
            f"{self._extraction.label}: {self.rows} rows failed the gate {entry.gate}: {rules}. "
            f"For example the rows {', '.join(self._examples)}.",
            state=NOTHING_DONE,
            next_step="Correct the rows or the gate, or set on_gate_failure: quarantine for the table in sources.yaml.",
        )

    def is_as_in(self, generation: Generation, lake: Lake) -> bool:
        """Return whether the same rows failed when the generation was read."""
        with duck(self._extraction.settings) as connection:
            lake.attach(connection)
            found = quarantined_digests(connection, lake, [generation])
        return (len(found), int(found.sum(dtype=np.uint64)) % DIGEST_MODULUS) == (self.rows, self.digest)

    def store(self, lake: Lake, path: str) -> tuple[DataFile, ...]:
        """Move the rows that failed into the lake, if there are any."""
        return self._quarantine.store(lake, path)


def quarantined_digests(
    connection: duckdb.DuckDBPyConnection, lake: Lake, generations: Sequence[Generation], condition: str = "true"
) -> NDArray[np.uint64]:
    """Return the digests of the rows that were put aside.

    Args:
        connection: Where the lake's files can be read.
        lake: The lake.
        generations: Whose rows.
        condition: Which of them, as SQL over the table's columns.
    """
    paths = [lake.duckdb_path(file.path) for generation in generations for file in generation.quarantine]
    if not paths:
        return np.empty(0, np.uint64)
    query = f"SELECT {DIGEST} AS digest FROM {read_files(paths)} WHERE {condition}"
    return np.asarray(connection.execute(query).fetchnumpy()["digest"], np.uint64)
