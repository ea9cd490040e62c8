"""The gate over Parquet files that were just written: a look at the columns it needs, and only then at the rest.

Rows are judged in batches. A model that compares rows with each other (`unique`) gets all of them at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import duck, read_files
from blocks.gate import Gate, GateResult, apply_gate
from blocks.parquet_encoding import encoding_options
from blocks.parquet_writer import WrittenFile
from blocks.quarantine import DIGEST, REASON
from blocks.write_query import write_query, written
from schemas.column_plan import Column, row_digest
from schemas.errors import GateFailed
from schemas.run_record import CheckResult
from tasks.ingest.request import IngestRequest

_BATCH_ROWS = 250_000
_NOTHING_TAKEN = "Nothing of this file is in the lake; the file itself was not touched."
_EXAMPLES = 5


class Gated(NamedTuple):
    """Files of the rows that passed, files of those that did not, and what was found."""

    passed: Sequence[WrittenFile]
    failed: Sequence[WrittenFile]
    checks: tuple[CheckResult, ...] = ()


def gated_files(
    request: IngestRequest[Any, Any],
    files: Sequence[WrittenFile],
    columns: Sequence[Column],
    gate: Gate | None,
    name: str,
    scratch: Path,
) -> Gated:
    """Judge all rows, and put those aside that fail, or refuse them all.

    Args:
        request: Of which table; it says what becomes of rows that fail.
        files: The rows, with what the raw layer adds.
        columns: Those of the source.
        gate: What every row has to pass; None lets all through.
        name: Of the file that was read, for errors.
        scratch: A folder with room.

    Raises:
        GateFailed: Rows fail, and the configuration says to refuse that; or the gate does not fit the table.
    """
    if gate is None or not files:
        return Gated(files, ())
    judge = _Judge(gate, columns, name)
    bad = [file for file in files if judge.look(file)] if not judge.at_once else judge.look_at_all(files)
    checks = judge.checks("refused" if request.entry.on_gate_failure == "refuse" else "quarantined")
    if not bad:
        return Gated(files, (), checks)
    if request.entry.on_gate_failure == "refuse":
        rules = "; ".join(f"{rule}: {count} rows" for rule, count in sorted(judge.failures.items()))
        raise GateFailed(
            f"{name}: {judge.failed} of {judge.rows} rows failed the gate {gate.name}: {rules}. For example: "
            f"{'; '.join(judge.examples)}.",
            state=_NOTHING_TAKEN,
            next_step=f"Correct the rows or the gate, or set on_gate_failure: quarantine for {request.label}; then: "
            "tidegate files retry",
        )
    good = [file for file in files if file not in bad]
    aside = scratch / f"{uuid4().hex}.parquet"
    with judge.quarantine(aside, bad[0]) as quarantine:
        for file in bad:
            good += judge.part(file, quarantine, scratch)
    # As archives have it: what an erasure looks a row up by.
    digested = f"SELECT *, {row_digest(tuple(columns))} AS {DIGEST} FROM {read_files([str(aside)])}"
    with duck(request.project.settings) as connection:
        return Gated(good, write_query(connection, digested, scratch), checks)


class _Judge:
    """Judges rows, and keeps what it found."""

    def __init__(self, gate: Gate, columns: Sequence[Column], name: str) -> None:
        self._gate, self._name = gate, name
        schema = gate.model.to_schema() if hasattr(gate.model, "to_schema") else gate.model
        own = [column.name for column in columns]
        self._columns = own if _looks_at_all(schema) else [column for column in own if column in schema.columns]
        self.at_once = _compares_rows(schema)
        self._verdicts: dict[Path, list[bool]] = {}
        self._reasons: dict[Path, Iterator[str]] = {}
        self.rows = self.failed = 0
        self.failures: dict[str, int] = {}
        self.examples: list[str] = []

    def look(self, file: WrittenFile) -> bool:
        """Judge a file's rows batch by batch; return whether some fail."""
        before = self.failed
        for batch in pq.ParquetFile(file.local).iter_batches(_BATCH_ROWS, columns=self._columns):
            self._judged(batch)
        return self.failed > before

    def look_at_all(self, files: Sequence[WrittenFile]) -> list[WrittenFile]:
        """Judge the rows of all files together; return the files in which some fail."""
        tables = [pq.ParquetFile(file.local).read(columns=self._columns) for file in files]
        result = self._judged(_one_batch(pa.concat_tables(tables)))
        passed, left, start = result.passed.to_pylist(), iter(result.reasons), 0
        for file in files:
            verdict = passed[start : start + file.rows]
            start += file.rows
            self._verdicts[file.local] = verdict
            self._reasons[file.local] = iter([next(left) for ok in verdict if not ok])
        return [file for file in files if not all(self._verdicts[file.local])]

    def _judged(self, rows: pa.RecordBatch, *, again: bool = False) -> GateResult:
        try:
            result = apply_gate(self._gate, rows)
        except GateFailed as error:
            error.what, error.state = f"{self._name}: {error.what}", _NOTHING_TAKEN
            raise
        if not again:
            self.rows += rows.num_rows
            self.failed += len(result.reasons)
            for rule, count in result.failures.items():
                self.failures[rule] = self.failures.get(rule, 0) + count
            self.examples += result.reasons[: _EXAMPLES - len(self.examples)]
        return result

    def checks(self, state: Any) -> tuple[CheckResult, ...]:
        """Return what was found, a result a rule; one for the whole gate if all rows pass."""
        if not self.failures:
            return (CheckResult(check=self._gate.name, severity="error", state="passed", checked=self.rows, failed=0),)
        return tuple(
            CheckResult(
                check=rule, severity="error", state=state, checked=self.rows, failed=count,
                examples=tuple(example[:200] for example in self.examples if example.startswith(rule)),
            )
            for rule, count in sorted(self.failures.items())
        )  # fmt: skip

    def quarantine(self, path: Path, like: WrittenFile) -> pq.ParquetWriter:
        """Return a writer for the rows that fail."""
        schema = pq.read_schema(like.local).remove_metadata().append(pa.field(REASON, pa.string()))
        return pq.ParquetWriter(path, schema, compression="zstd")

    def part(self, file: WrittenFile, quarantine: pq.ParquetWriter, scratch: Path) -> list[WrittenFile]:
        """Write a file's rows once more: those that pass into a file of their own, the others into the quarantine."""
        target = scratch / f"{uuid4().hex}.parquet"
        source, start, writer = pq.ParquetFile(file.local), 0, None
        try:
            for batch in source.iter_batches(_BATCH_ROWS):
                passed, reasons = self._verdict(file, batch, start)
                start += batch.num_rows
                mask = pa.array(passed, pa.bool_())
                failed = batch.filter(pa.array([not ok for ok in passed], pa.bool_()))
                if failed.num_rows:
                    columns = [*failed.columns, pa.array(reasons, pa.string())]
                    quarantine.write_batch(pa.RecordBatch.from_arrays(columns, schema=quarantine.schema))
                kept = pa.Table.from_batches([batch.filter(mask)])
                if kept.num_rows:
                    writer = writer or pq.ParquetWriter(target, kept.schema, **encoding_options(kept))
                    writer.write_table(kept)
        finally:
            if writer is not None:
                writer.close()
        file.local.unlink()
        return [written(target, file.partition)] if writer is not None else []

    def _verdict(self, file: WrittenFile, batch: pa.RecordBatch, start: int) -> tuple[list[bool], list[str]]:
        known = self._verdicts.get(file.local)
        if known is None:
            result = self._judged(batch.select(self._columns), again=True)
            return result.passed.to_pylist(), result.reasons
        passed = known[start : start + batch.num_rows]
        reasons = self._reasons[file.local]
        return passed, [next(reasons) for ok in passed if not ok]


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    whole = table.combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in whole.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=whole.schema)


def _looks_at_all(schema: Any) -> bool:
    """Whether a model says something of columns that it does not name."""
    wide = schema.strict or schema.checks or getattr(schema, "unique", None) or getattr(schema, "parsers", None)
    return bool(wide) or any(getattr(column, "regex", False) for column in schema.columns.values())


def _compares_rows(schema: Any) -> bool:
    """Whether a model compares rows with each other, as far as it says so."""
    return bool(getattr(schema, "unique", None)) or any(column.unique for column in schema.columns.values())
