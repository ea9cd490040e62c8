"""A resource of an HTTP API into the raw layer: as a whole whenever it has changed, or what is new."""

import hashlib
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from blocks.duck import duck
from blocks.gate import Gate, load_gate
from blocks.http_api.client import Answer, ApiClient
from blocks.http_api.pages import first_url, pages
from blocks.http_api.patience import Stopped
from blocks.http_api.record_file import BadRecord, RecordFile
from blocks.lake import Lake
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from blocks.progress import report_progress
from blocks.run_log import log_event
from blocks.stop import stop_request
from blocks.table_log import ALWAYS, Draft, TableLog
from schemas.column_plan import duckdb_type
from schemas.errors import Busy, ConfigError, SourceError
from schemas.extract_config import ExtractMode
from schemas.extracted import Extracted
from schemas.extraction import INGESTED_AT, PROVENANCE
from schemas.ingest_report import TableReport, TableState
from schemas.manifest import Manifest
from tasks.ingest.api_rows import NOTHING_DONE, Request, Rows, Written, check_entry, typed_rows, write_rows
from tasks.ingest.api_watermark import BadWatermark, HighestValue
from tasks.ingest.column_drift import column_drift
from tasks.ingest.known_records import unknown_only
from tasks.ingest.schema_drift import Schema

_TRIES = 3  # of a commit that others are faster than


def ingest_api(request: Request) -> TableReport:
    """Read a resource and commit what the lake does not hold yet, or say what would be asked.

    Nothing exists for readers before the manifest is written, which happens last. The watermark is a part of it.

    Raises:
        ConfigError: `types`, `select`, `key`, `partition_by` or the gate are wrong, or the columns have changed and the
            configuration says to refuse that.
        SourceError: The API refuses, or answers what cannot be stored.
        SourceUnavailable, LakeUnavailable: Trying again can help.
        GateFailed: Rows failed the gate, and the configuration says to refuse that.
        ProofFailed: Not every record that was received was written.
        Busy: Others committed to this table each time that this run was about to.
        Interrupted: Somebody asked the work to stop.
    """
    started = time.monotonic()
    settings = request.project.settings
    lake = open_lake(settings.lake, settings.temp_dir)
    gate = _gate(request)
    log = TableLog(lake, request.dataset)
    try:
        with machine_errors(f"{request.label} cannot be read", NOTHING_DONE), stop_request() as stop:
            if request.dry_run:
                with ApiClient(request.source, lambda: stop.reason) as client:
                    return _planned(request, log, client)
            log.sweep()
            for _ in range(_TRIES - 1):
                try:
                    report = _Reading(request, lake, log, gate, lambda: stop.reason).run()
                    break
                except Busy:  # what the other run stored is not to be stored again: ask with that in mind
                    log.refresh()
            else:
                report = _Reading(request, lake, log, gate, lambda: stop.reason).run()
    except SourceError as error:
        error.state = error.state or NOTHING_DONE
        raise
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _gate(request: Request) -> Gate | None:
    try:
        return load_gate(request.entry.gate) if request.entry.gate else None
    except ConfigError as error:
        error.state = "Nothing was read or written."
        raise


@dataclass(frozen=True, slots=True)
class _Before:
    """What was read before, as far as this run can go on from there.

    Attributes:
        newest: How the newest generation was read, if what was asked then is what is asked now.
        asked: Digest of what is asked now.
        mode: `full` or `incremental`.
        schema_version: Of the table's columns as they are.
    """

    newest: Extracted | None
    asked: str
    mode: ExtractMode
    schema_version: int

    @property
    def watermark(self) -> str | None:
        return self.newest.watermark if self.newest is not None else None


def _before(request: Request, log: TableLog) -> _Before:
    newest = log.generations[-1].manifest.extracted if log.generations else None
    mode: ExtractMode = "full" if request.full else request.entry.extract.mode
    asked, version = _asked(request), newest.schema_version if newest is not None else 1
    if newest is not None and newest.asked != asked:
        newest = None
    return _Before(newest, asked, mode, version)


def _asked(request: Request) -> str:
    """Return a digest of what is asked: after a change of this, what was read before says nothing of what is there.

    Of a table that is always read as a whole, it is also of what becomes of the records: the same answer is stored
    again if `select` is another one.
    """
    fields = {"path", "params", "records", "extract"}
    if request.entry.extract.mode == "full":
        fields |= {"types", "select", "partition_by", "key", "gate", "on_gate_failure"}
    entry = request.entry.model_dump(mode="json", include=fields)
    body = json.dumps([request.source.url, entry], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def _more(request: Request, since: str | None) -> dict[str, str]:
    """Return the parameter that says from where on, if there is something to say."""
    param = request.entry.extract.param
    return {} if param is None or since is None else {param: since}


def _since(request: Request, before: _Before) -> str | None:
    extract = request.entry.extract
    start = None if extract.start is None else str(extract.start)
    return start if before.mode == "full" else before.watermark or start


def _planned(request: Request, log: TableLog, client: ApiClient) -> TableReport:
    """Ask for the first page, and nothing else."""
    before = _before(request, log)
    since = _since(request, before)
    url = first_url(request.source, request.entry, _more(request, since))
    first = next(pages(client, request.entry, url), None)
    return TableReport(
        source=request.source.name,
        table=request.entry.folder,
        dataset=request.dataset,
        state=TableState.PLANNED,
        mode=before.mode,
        since=since,
        read=len(first.records) if first else 0,
        watermark=before.watermark,
        schema_version=before.schema_version,
    )


class _Reading:
    """One reading of a resource, from the first request to the commit."""

    def __init__(self, request: Request, lake: Lake, log: TableLog, gate: Gate | None, stopped: Stopped) -> None:
        self._request, self._lake, self._log, self._gate, self._stopped = request, lake, log, gate, stopped
        self._before = _before(request, log)
        self._since = _since(request, self._before)
        self._whole = self._before.mode == "full"
        self._at = datetime.now(UTC)
        self._received = 0
        self._fingerprint: str | None = None
        self._highest: HighestValue | None = None
        self._schema = Schema(self._before.schema_version)

    def run(self) -> TableReport:
        request = self._request
        with ExitStack() as stack:
            client = stack.enter_context(ApiClient(request.source, self._stopped))
            scratch = stack.enter_context(self._lake.scratch())
            connection = stack.enter_context(duck(request.project.settings))
            check_entry(connection, request)
            url = first_url(request.source, request.entry, _more(request, self._since))
            first = client.get(url, **self._conditions())
            if first.status == 304:
                return self._report(TableState.UNCHANGED)
            with RecordFile(scratch / "records.jsonl") as file:
                self._receive(client, first, file)
            if self._is_unchanged(file):
                return self._report(TableState.UNCHANGED)
            self._lake.attach(connection)
            rows = self._rows(connection, file)
            written = write_rows(connection, request, rows, self._gate, scratch, self._at, self._schema.version)
            if not self._whole and not written.files and not written.quarantine:
                return self._report(TableState.UNCHANGED)
            manifest = self._commit(rows, written, first if client.answers == 1 else None)
            return self._report(TableState.DONE, manifest)

    def _conditions(self) -> dict[str, str]:
        """Return what makes the API answer only if something is different; all that is stored has to be known by it."""
        newest = self._before.newest
        if not self._whole or self._request.full or newest is None or newest.mode != "full":
            return {}
        named = {"If_None_Match": newest.etag, "If_Modified_Since": newest.last_modified}
        return {name: value for name, value in named.items() if value}

    def _receive(self, client: ApiClient, first: Answer, file: RecordFile) -> None:
        """Write the records of all pages to a file."""
        entry = self._request.entry
        column = entry.extract.key_column
        before = None if self._whole else self._before.watermark
        self._highest = HighestValue(column, before) if column else None
        for page in pages(client, entry, first.url, first):
            try:
                for record in page.records:
                    file.add(record)
                    if self._highest is not None:
                        self._highest.see(record, file.records)
            except (BadRecord, BadWatermark) as error:
                raise client.refusals.wrong(page.answer.url, page.place, f"cannot be stored: {error}") from error
            self._received = file.records
            report_progress("extract", ALWAYS, self._received, 0, what=self._request.dataset)
        file.finish()
        if self._highest is not None:
            try:
                self._highest.check()
            except BadWatermark as error:
                raise client.refusals.wrong(
                    first.url, "", f"cannot be read incrementally: {error}", f"Correct {self._request.label}.extract."
                ) from error

    def _is_unchanged(self, file: RecordFile) -> bool:
        """Whether nothing of it is new: there is no record, or the whole table is as it was."""
        if not self._whole:
            return not file.records
        content = f"{self._before.asked} {file.content}"
        self._fingerprint = hashlib.sha256(content.encode()).hexdigest()
        newest = self._before.newest
        if newest is not None and newest.mode == "full" and newest.fingerprint == self._fingerprint:
            return True
        if not file.records and self._log.generations:
            log_event("api_empty", dataset=self._request.dataset, was="not empty")
        return not file.records and not self._log.generations

    def _rows(self, connection: duckdb.DuckDBPyConnection, file: RecordFile) -> Rows:
        newest = self._newest
        columns = newest.columns if newest else ()
        if not file.records:  # the table has become empty: with the columns that it had
            kept = tuple(column for column in columns if not column.added)
            nothing = ", ".join(f"CAST(NULL AS {duckdb_type(column)}) AS {column.quoted}" for column in kept)
            return Rows(f"SELECT {nothing or '1'} WHERE false", kept)
        rows = typed_rows(connection, self._request, file, columns, keep=not self._whole)
        self._schema = column_drift(newest, rows.columns, self._request)
        if self._whole:
            return rows
        return rows.only(
            unknown_only(rows.query, rows.columns, self._request.entry.key, self._lake, self._log.generations)
        )

    def _commit(self, rows: Rows, written: Written, only_answer: Answer | None) -> Manifest:
        request, settings = self._request, self._request.project.settings
        local = self._at.astimezone(settings.zone)
        draft = Draft(
            source=request.source.name,
            table=f"GET /{request.entry.path.lstrip('/')}",
            columns=(*rows.columns, *PROVENANCE),
            key=request.entry.key,
            time_column=INGESTED_AT,
            folder=f"year={local:%Y}/month={local:%m}/day={local:%d}",
            rows_read=written.rows + written.quarantined,
            files=written.files,
            quarantine=written.quarantine,
            gate=self._gate.digest if self._gate else None,
            timezone=settings.timezone,
            extracted=self._extracted(only_answer),
        )
        return self._log.commit(draft, request.run_id)

    def _extracted(self, only_answer: Answer | None = None) -> Extracted:
        headers = only_answer.headers if only_answer is not None and self._whole else {}
        return Extracted(
            mode=self._before.mode,
            key_column=self._request.entry.extract.key_column,
            watermark=self._highest.text if self._highest is not None else self._before.watermark,
            since=self._since,
            schema_version=self._schema.version,
            drift=self._schema.drift,
            asked=self._before.asked,
            fingerprint=self._fingerprint,
            etag=headers.get("etag"),
            last_modified=headers.get("last-modified"),
        )

    @property
    def _newest(self) -> Manifest | None:
        return self._log.generations[-1].manifest if self._log.generations else None

    def _report(self, state: TableState, manifest: Manifest | None = None) -> TableReport:
        extracted = self._extracted()
        return TableReport(
            source=self._request.source.name,
            table=self._request.entry.folder,
            dataset=self._request.dataset,
            state=state,
            mode=extracted.mode,
            since=extracted.since,
            read=self._received,
            rows=manifest.attestation.rows if manifest else 0,
            quarantined=manifest.attestation.quarantined if manifest else 0,
            bytes=manifest.size_bytes if manifest else 0,
            watermark=extracted.watermark,
            schema_version=extracted.schema_version,
            drift=extracted.drift,
            manifest=manifest.path if manifest else None,
        )
