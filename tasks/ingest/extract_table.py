"""Extracts a source's table into the raw layer: one snapshot, attested rows, committed by a manifest."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from blocks.open_source import reading_snapshot, source_of
from blocks.parquet_writer import DatasetWriter, WrittenFile
from blocks.progress import report_progress
from blocks.source import RowBatch, Since, Slice, SourceSnapshot
from blocks.stop import stop_request
from schemas.archive_options import FILE_MAX_BYTES, FILE_MAX_ROWS
from schemas.column_plan import same_plan
from schemas.errors import Interrupted, ProofFailed, SourceError
from schemas.extracted import Extracted
from schemas.extraction import INGESTED_AT, PROVENANCE, Extraction, with_provenance
from schemas.ingest_report import TableReport, TableState
from schemas.manifest import Attestation, DataFile, Intent, Manifest, as_hex
from schemas.window import Window, WindowUnit, floor_to, next_boundary
from tasks.current_state import current_state
from tasks.ingest.query_errors import name_query
from tasks.ingest.query_key import QueryKey
from tasks.ingest.schema_drift import Schema, schema_drift
from tasks.ingest.seen_rows import seen_rows
from tasks.ingest.table_gate import NOTHING_DONE, TableGate
from tasks.ingest.watermark import Watermark, begun_again, read_since
from tasks.known_rows import KnownRows
from tasks.remove_orphans import remove_orphans
from tasks.store_files import combined, store_file


def extract_table(extraction: Extraction, run_id: str) -> TableReport:
    """Store the rows of a table that the lake does not hold yet, or the whole table if it is read as a whole.

    Nothing exists for readers before the manifest is written, which happens last. The watermark is a part of it.

    Raises:
        Busy: Another run extracts, or archives, this table.
        ConfigError: Its columns have changed, and the configuration says to refuse that.
        GateFailed: Rows failed the gate, and the configuration says to refuse that.
        UnsupportedValue: A value cannot be kept exactly.
        SourceError: The key that a query was given does not tell its rows apart.
        ProofFailed: The rows that were read are not the rows that the source counts.
        LakeError: There is no room for its files, or they may not be written.
        SourceUnavailable, LakeUnavailable: Trying again can help.
    """
    started = time.monotonic()
    lake = open_lake(extraction.settings.lake, extraction.settings.temp_dir)
    ledger = Ledger(lake, extraction.dataset)
    try:
        with (
            machine_errors(f"{extraction.table.quoted} cannot be extracted", NOTHING_DONE),
            source_of(extraction).locked(extraction.table),
        ):
            remove_orphans(lake, ledger)
            report = _extract(extraction, lake, ledger, run_id)
    except SourceError as error:
        error.state = error.state or NOTHING_DONE
        name_query(error, extraction.entry, extraction.label)
        raise
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _extract(extraction: Extraction, lake: Lake, ledger: Ledger, run_id: str) -> TableReport:
    generations = current_state(ledger.generations())
    extraction = begun_again(extraction, generations)
    schema = schema_drift(extraction, generations)
    since = read_since(extraction, generations)
    earlier = [generation.manifest.attestation.snapshot for generation in generations]
    with reading_snapshot(extraction, earlier) as snapshot, lake.scratch() as scratch, stop_request() as stop:
        reading = _Reading(extraction, lake, generations, schema, since, scratch, snapshot, run_id)
        for batch in reading.read():
            if stop.reason is not None:
                raise Interrupted(
                    f"{extraction.table.quoted}: stopped by {stop.reason}, after {reading.rows_read} rows.",
                    state=NOTHING_DONE,
                    next_step="Run the same command again.",
                )
            reading.take(batch)
            report_progress("extract", reading.day, reading.rows_read, reading.candidates, what=extraction.dataset)
        return reading.commit(ledger)


class _Reading:
    """The state of one extraction while its batches come in."""

    def __init__(
        self,
        extraction: Extraction,
        lake: Lake,
        generations: list[Generation],
        schema: Schema,
        since: Since | None,
        scratch: Path,
        snapshot: SourceSnapshot,
        run_id: str,
    ) -> None:
        self._extraction, self._lake, self._generations = extraction, lake, generations
        self._schema, self._since, self._snapshot, self._run_id = schema, since, snapshot, run_id
        self._rows = Slice(where=extraction.where, since=since)
        self._whole = extraction.options.mode == "full"
        self._at = datetime.now(UTC)
        day = floor_to(self._at, WindowUnit.DAY, extraction.zone)
        self.day = Window(start=day, end=next_boundary(day, WindowUnit.DAY, extraction.zone))
        self.rows_in_scope = snapshot.count(extraction, Slice(where=extraction.where))
        self.candidates = snapshot.count(extraction, self._rows) if since else self.rows_in_scope
        self._seen: KnownRows | None = None
        if not self._whole and generations:
            self._seen = seen_rows(extraction, lake, generations, since)
        before = generations[-1].manifest.extracted if generations and since else None
        self._watermark = Watermark(extraction.key_column, before.watermark if before else None)
        self._columns = (*extraction.columns, *PROVENANCE)
        self._writer = DatasetWriter(
            scratch,
            self._columns,
            partition_by=(),
            time=PROVENANCE[0],
            zone=extraction.zone,
            max_bytes=FILE_MAX_BYTES,
            max_rows=FILE_MAX_ROWS,
        )
        self._gate = TableGate(extraction, scratch)
        self._key = QueryKey(extraction, scratch)
        self.rows_read = 0

    def read(self) -> Iterator[RowBatch]:
        """Yield the batches of the rows that may be new."""
        return self._snapshot.read(self._extraction, self._rows, digest=True)

    def take(self, batch: RowBatch) -> None:
        """Write the rows of a batch that the lake does not hold yet and that pass the gate."""
        rows, digests = batch.rows, batch.digests
        assert digests is not None
        self.rows_read += rows.num_rows
        self._watermark.see(rows)
        self._key.see(rows)
        if self._seen is not None:
            unseen = self._seen.unknown(digests)
            rows, digests = rows.filter(pa.array(unseen)), digests[unseen]
        rows, digests = self._gate.passing(rows, digests)
        if rows.num_rows:
            name, version_ = self._extraction.source, self._schema.version
            self._writer.write(with_provenance(rows, name, self._at, self._run_id, version_), digests)

    def commit(self, ledger: Ledger) -> TableReport:
        """Store the files, then the manifest; without anything new there is nothing to commit."""
        if self.rows_read != self.candidates:
            raise ProofFailed(
                f"{self._extraction.table.quoted}: {self.rows_read} rows were read where the source counts "
                f"{self.candidates} in the same snapshot.",
                state=NOTHING_DONE,
                next_step="Run the same command again; if it happens again, please report it."
                if self._extraction.entry.query is None
                else "Run the same command again. If it happens again, the query gives other rows each time it runs: "
                "name days in place of moments (now(), random()), or read what is new with mode: incremental.",
            )
        self._key.check()
        written = self._writer.finish()
        self._gate.refuse_if_told()
        if self._is_unchanged(written):
            return self._report(TableState.UNCHANGED)
        number = ledger.next_generation(self.day)
        stem = f"{self.day.id}-g{number:06d}-{uuid4().hex[:12]}"
        ledger.begin(Intent(stem=stem, run_id=self._run_id, at=datetime.now(UTC)))
        local = self._at.astimezone(self._extraction.zone)
        folder = f"{self._extraction.dataset}/year={local:%Y}/month={local:%m}/day={local:%d}"
        files = tuple(store_file(self._lake, file, folder, stem, n, digest=True) for n, file in enumerate(written))
        aside = self._gate.store(
            self._lake, f"_tidegate/quarantine/{self._extraction.dataset}/{self.day.id}/{stem}.parquet"
        )
        manifest = self._manifest(number, files, aside, as_hex(combined(written)))
        ledger.commit(manifest, stem)
        return self._report(TableState.DONE, manifest)

    def _is_unchanged(self, written: list[WrittenFile]) -> bool:
        """Whether the lake holds all of it already: no row is new, or the whole table is as it was."""
        if not self._generations:
            return False
        if not self._whole:
            return not written and not self._gate.rows
        newest = self._generations[-1].manifest
        stored = tuple(column for column in newest.columns if not column.added)
        is_whole = newest.extracted is not None and newest.extracted.mode == "full"
        # Where later runs go on from a watermark, they have to find by what query it was reached.
        entry, goes_on = self._extraction.entry, self._extraction.options.key_column is not None
        if goes_on and entry.query is not None and newest.table != entry.reads:
            return False
        same = is_whole and same_plan(stored, self._extraction.columns) and newest.key == self._extraction.key
        rows, digest = sum(file.rows for file in written), as_hex(combined(written))
        same = same and (rows, digest) == (newest.attestation.rows, newest.attestation.digest)
        return same and self._gate.is_as_in(self._generations[-1], self._lake)

    @property
    def _quarantined(self) -> int:
        """Rows of those that were read that are put aside, now or by an earlier run."""
        return self._gate.rows + (self._seen.quarantined if self._seen else 0)

    def _manifest(self, number: int, files: tuple[DataFile, ...], aside: tuple[DataFile, ...], digest: str) -> Manifest:
        extraction = self._extraction
        rows = sum(file.rows for file in files)
        return Manifest(
            version=3,
            archive=extraction.dataset,
            dataset=extraction.dataset,
            source=extraction.source,
            table=extraction.entry.reads,
            time_column=INGESTED_AT,
            window=self.day,
            timezone=extraction.settings.timezone,
            generation=number,
            columns=self._columns,
            excluded=extraction.entry.columns.exclude,
            key=extraction.key,
            where=extraction.where,
            gate=extraction.gate_digest,
            attestation=Attestation(
                rows_in_window=self.rows_in_scope,
                rows=rows,
                quarantined=self._quarantined,
                already_archived=self.rows_in_scope - rows - self._quarantined,
                digest=digest,
                snapshot=self._snapshot.record,
            ),
            files=files,
            quarantine=aside,
            run_id=self._run_id,
            committed_at=datetime.now(UTC),
            written_by=f"tidegate {version('tidegate')}",
            extracted=self._extracted(),
        )

    def _extracted(self) -> Extracted:
        options = self._extraction.options
        return Extracted(
            mode="full" if self._whole else "incremental",
            key_column=options.key_column,
            watermark=self._watermark.text,
            since=None if self._since is None else str(self._since.value),
            schema_version=self._schema.version,
            drift=self._schema.drift,
        )

    def _report(self, state: TableState, manifest: Manifest | None = None) -> TableReport:
        extracted = self._extracted()
        return TableReport(
            source=self._extraction.source,
            table=self._extraction.entry.folder,
            dataset=self._extraction.dataset,
            state=state,
            mode=extracted.mode,
            since=extracted.since,
            read=self.rows_read,
            rows=manifest.attestation.rows if manifest else 0,
            quarantined=self._quarantined,
            bytes=manifest.size_bytes if manifest else 0,
            watermark=extracted.watermark,
            schema_version=extracted.schema_version,
            drift=extracted.drift,
            manifest=manifest.path if manifest else None,
        )
