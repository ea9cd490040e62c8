"""Exports one window: one snapshot, through the gate, into Parquet, committed by a manifest."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from blocks.gate import Gate, apply_gate, load_gate
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from blocks.open_source import reading_snapshot
from blocks.parquet_writer import DatasetWriter
from blocks.progress import report_progress
from blocks.quarantine import Quarantine
from blocks.source import RowBatch, Slice, SourceSnapshot
from schemas.errors import GateFailed, ProofFailed, SourceError
from schemas.exported import Exported
from schemas.job import Job
from schemas.manifest import Attestation, Intent, Manifest, as_hex, dataset_of
from schemas.partition import partition_path
from schemas.window import Window
from tasks.known_rows import KnownRows, known_rows
from tasks.plan import unknown_rows
from tasks.store_files import combined, store_file

NOTHING_DONE = "Nothing of this window was committed or deleted."


def export_window(job: Job, window: Window, earlier: tuple[str, ...], run_id: str) -> Exported:
    """Archive the rows of a window that no earlier generation holds, and commit them as a further generation.

    Nothing exists for readers before the manifest is written, which happens last; a crash leaves only files that
    the next run removes.

    Args:
        job: The job.
        window: The window to read.
        earlier: Manifests of the committed generations that share time with it.
        run_id: Recorded in the manifest.

    Raises:
        GateFailed: Rows failed the gate and the job says to refuse them.
        UnsupportedValue: A value cannot be kept exactly.
        ProofFailed: The rows that were read are not the rows that the source counts.
        Busy: Another run has committed a generation of this window meanwhile; nothing was.
        LakeError: There is no room for its files, or they may not be written.
        SourceUnavailable, LakeUnavailable: Trying again can help.
    """
    started = time.monotonic()
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    generations = [Ledger(lake, dataset_of(path)).generation(path) for path in earlier]
    try:
        with (
            machine_errors(f"Window {window} cannot be exported", NOTHING_DONE),
            reading_snapshot(job, [g.manifest.attestation.snapshot for g in generations]) as snapshot,
        ):
            # Children first: whoever sees a row of the table in the lake sees all that belongs to it.
            *children, own = [
                _export(
                    member,
                    window,
                    lake,
                    [g for g in generations if g.manifest.dataset == member.dataset],
                    snapshot,
                    run_id,
                )
                for member in reversed(job.family)
            ]
    except SourceError as error:
        error.state = error.state or NOTHING_DONE
        raise
    return own.with_children(children).model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _export(
    job: Job, window: Window, lake: Lake, generations: list[Generation], snapshot: SourceSnapshot, run_id: str
) -> Exported:
    own = [generation for generation in generations if generation.manifest.dataset == job.dataset]
    ledger = Ledger(lake, job.dataset)
    # The number is taken before the rows are read: whoever commits one of them meanwhile takes the number as well.
    number = ledger.next_generation(window)
    for manifest in ledger.newcomers(window, {generation.manifest.path for generation in own}):
        if manifest.run_id != run_id:
            raise ledger.taken_over(manifest.generation, window)
        return _committed(manifest)  # by this run, in an attempt that failed after that
    with lake.scratch() as scratch:
        export = _Export(job, window, lake, own, scratch, snapshot)
        for batch in export.read():
            export.take(batch)
            report_progress("export", window, export.rows_read, export.candidates)
        return export.commit(ledger, number, run_id)


def _committed(manifest: Manifest, held_by: tuple[str, ...] = ()) -> Exported:
    return Exported(
        manifest=manifest.path,
        generation=manifest.generation,
        rows=manifest.attestation.rows,
        quarantined=manifest.attestation.quarantined,
        size_bytes=manifest.size_bytes,
        held_by=held_by,
    )


class _Export:
    """The state of one export while its batches come in."""

    def __init__(
        self,
        job: Job,
        window: Window,
        lake: Lake,
        generations: list[Generation],
        scratch: Path,
        snapshot: SourceSnapshot,
    ) -> None:
        self._job, self._window, self._lake, self._snapshot = job, window, lake, snapshot
        self._rows = unknown_rows(snapshot, job, window, generations)
        self.rows_in_window = snapshot.count(job, Slice(window, job.archive.where))
        self.candidates = snapshot.count(job, self._rows) if self._rows.written_after else self.rows_in_window
        self._known: KnownRows | None = known_rows(job, lake, generations, scratch) if generations else None
        self._gate: Gate | None = load_gate(job.archive.gate) if job.archive.gate else None
        self._quarantine = Quarantine(scratch, job.columns)
        self._writer = DatasetWriter(
            scratch,
            job.columns,
            partition_by=job.archive.partition_by,
            time=job.time,
            zone=job.zone,
            max_bytes=job.archive.file_max_bytes,
            max_rows=job.archive.file_max_rows,
        )
        self.rows_read = 0
        self._failures: dict[str, int] = {}
        self._examples: list[str] = []

    def read(self) -> Iterator[RowBatch]:
        """Yield the batches of the rows that may be new."""
        wants_digest = self._job.archive.proof == "rows" or self._known is not None or self._gate is not None
        return self._snapshot.read(self._job, self._rows, digest=wants_digest)

    def take(self, batch: RowBatch) -> None:
        """Write the rows of a batch that are new and pass the gate."""
        rows, digests = batch.rows, batch.digests
        self.rows_read += rows.num_rows
        if self._known is not None and digests is not None:
            rows, digests = _keep(rows, digests, self._known.unknown(digests))
        if self._gate is not None and digests is not None and rows.num_rows:
            result = apply_gate(self._gate, rows)
            passed = result.passed.to_numpy(zero_copy_only=False)
            if not passed.all():
                failed, failed_digests = _keep(rows, digests, ~passed)
                self._note_failures(result.failures, failed)
                self._quarantine.add(failed, failed_digests, result.reasons)
                rows, digests = _keep(rows, digests, passed)
        if rows.num_rows:
            self._writer.write(rows, digests if self._job.archive.proof == "rows" else None)

    def _note_failures(self, failures: dict[str, int], rows: pa.RecordBatch) -> None:
        for rule, count in failures.items():
            self._failures[rule] = self._failures.get(rule, 0) + count
        for row in rows.select(list(self._job.key)).slice(0, 5 - len(self._examples)).to_pylist():
            self._examples.append(str(row))

    def commit(self, ledger: Ledger, generation: int, run_id: str) -> Exported:
        """Store the files, then the manifest; without a new row there is nothing to commit."""
        job, window = self._job, self._window
        if self.rows_read != self.candidates:
            raise ProofFailed(
                f"Window {window}: the export read {self.rows_read} rows where the source counts {self.candidates} "
                "in the same snapshot.",
                state="Nothing of this window was committed or deleted.",
                next_step="Run the same command again; if it happens again, please report it.",
            )
        written = self._writer.finish()
        self._refuse_if_told()
        rows = sum(file.rows for file in written)
        known_bad = self._known.quarantined if self._known else 0
        quarantined = self._quarantine.rows + known_bad
        held_by = self._known.held_by if self._known else ()
        if not rows and not self._quarantine.rows:
            return Exported(manifest=None, quarantined=quarantined, held_by=held_by)
        # An attempt that failed half-way has left files; the next one must not meet their names.
        stem = f"{window.id}-g{generation:06d}-{uuid4().hex[:12]}"
        ledger.begin(Intent(stem=stem, run_id=run_id, at=datetime.now(UTC)))
        digest = combined(written)
        files = tuple(
            store_file(
                self._lake,
                file,
                "/".join(filter(None, [job.dataset, partition_path(file.partition)])),
                stem,
                n,
                digest=job.archive.proof == "rows",
            )
            for n, file in enumerate(written)
        )
        manifest = Manifest(
            archive=job.archive.name,
            dataset=job.dataset,
            source=job.archive.source,
            table=str(job.archive.table),
            time_column=job.time.name,
            window=window,
            timezone=job.settings.timezone,
            generation=generation,
            columns=job.columns,
            excluded=job.archive.columns.exclude,
            key=job.key,
            partition_by=job.archive.partition_by,
            where=job.archive.where,
            gate=job.gate_digest,
            proof=job.archive.proof,
            attestation=Attestation(
                rows_in_window=self.rows_in_window,
                rows=rows,
                quarantined=quarantined,
                already_archived=self.rows_in_window - rows - quarantined,
                digest=as_hex(digest) if job.archive.proof == "rows" else None,
                snapshot=self._snapshot.record,
            ),
            files=files,
            quarantine=self._quarantine.store(
                self._lake, f"_tidegate/quarantine/{job.dataset}/{window.id}/{stem}.parquet"
            ),
            run_id=run_id,
            committed_at=datetime.now(UTC),
            written_by=f"tidegate {version('tidegate')}",
        )
        ledger.commit(manifest, stem)
        return _committed(manifest, held_by)

    def _refuse_if_told(self) -> None:
        if not self._quarantine.rows or self._job.archive.on_gate_failure == "quarantine":
            return
        rules = "; ".join(f"{rule}: {count} rows" for rule, count in sorted(self._failures.items()))
        raise GateFailed(
            f"Window {self._window}: {self._quarantine.rows} rows failed the gate {self._job.archive.gate}: {rules}. "
            f"For example the rows with key {', '.join(self._examples)}.",
            state="Nothing of this window was committed or deleted.",
            next_step="Correct the rows or the gate, or set on_gate_failure: quarantine in archives.yaml.",
        )


def _keep(
    rows: pa.RecordBatch, digests: NDArray[np.uint64], mask: NDArray[np.bool_]
) -> tuple[pa.RecordBatch, NDArray[np.uint64]]:
    return (rows, digests) if mask.all() else (rows.filter(pa.array(mask)), digests[mask])
