"""Reads a file into local Parquet files, as its table wants it, and proves that no record is missing."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from blocks.duck import text_literal
from blocks.file_formats.open_file import open_file
from blocks.file_formats.records import BadFile, Records
from blocks.gate import Gate
from blocks.lake_types import arrow_columns, select_list, stored_as
from blocks.parquet_writer import WrittenFile
from blocks.write_query import write_query
from schemas.column_plan import PARTITIONABLE, Column, duckdb_type
from schemas.config_problems import did_you_mean
from schemas.errors import LakeError, ProofFailed
from schemas.extraction import PROVENANCE
from schemas.manifest import Manifest
from schemas.run_record import CheckResult
from tasks.ingest.column_drift import column_drift
from tasks.ingest.files_request import Request
from tasks.ingest.gated_files import gated_files
from tasks.ingest.schema_drift import Schema

_NOTHING_TAKEN = "Nothing of this file is in the lake; the file itself was not touched."


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as it will be stored; its Parquet files are local still.

    Attributes:
        columns: Without what the raw layer adds.
        records: Records in the file.
        schema: Version of the columns.
        checks: What the gate found.
        notes: What was found out on the way.
    """

    columns: tuple[Column, ...]
    records: int
    files: Sequence[WrittenFile]
    quarantine: Sequence[WrittenFile]
    schema: Schema
    checks: tuple[CheckResult, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that go into the table."""
        return sum(file.rows for file in self.files)

    @property
    def quarantined(self) -> int:
        """Rows that the gate put aside."""
        return sum(file.rows for file in self.quarantine)


def read_file(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    local: Path,
    path: str,
    *,
    newest: Manifest | None,
    select: str | None,
    gate: Gate | None,
    at: datetime,
    scratch: Path,
) -> ReadFile:
    """Read a file.

    Args:
        connection: For this file alone.
        request: Of which table.
        local: The file on this disk.
        path: Its path at its place, which errors name.
        newest: The newest generation of the table that has columns.
        select: What becomes of the records: one SELECT over `input`.
        gate: What every row has to pass.
        at: When it is read.
        scratch: A local folder for the Parquet files.

    Raises:
        BadFile: It is not what it should be.
        DriftRefused: It has other columns, and the configuration says to refuse that.
        GateFailed: Rows fail the gate, and the configuration says to refuse that.
        ProofFailed: Two ways of reading it do not find the same number of records.
        LakeError: This machine has no room.
    """
    entry = request.entry
    unpacked = scratch / "unpacked"
    unpacked.mkdir(exist_ok=True)
    own_format = entry.format if "format" in entry.model_fields_set else request.source.format
    known = {} if select else _types(newest)
    records = open_file(connection, local, path, own_format, unpacked, types=entry.types, known=known)
    with ThreadPoolExecutor(1) as beside:  # writing leaves a part of the machine free
        counting = beside.submit(records.count)
        columns, files, schema = _written(connection, request, records, path, newest, select, at, scratch)
        counted = counting.result()
    _prove(connection, counted, path, files, select)
    passed, failed, checks = gated_files(request, files, columns, gate, path, scratch)
    wanted, kept = sum(file.rows for file in files), sum(file.rows for file in (*passed, *failed))
    if kept != wanted:
        raise ProofFailed(
            f"{path}: {wanted} rows went into the gate, and {kept} came out of it.",
            state=_NOTHING_TAKEN,
            next_step="Run the same command again; if it happens again, please report it.",
        )
    return ReadFile(columns, counted, passed, failed, schema, checks, tuple(records.notes))


def _written(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    records: Records,
    path: str,
    newest: Manifest | None,
    select: str | None,
    at: datetime,
    scratch: Path,
) -> tuple[tuple[Column, ...], list[WrittenFile], Schema]:
    """Write the records, with types that all of their values have."""
    while True:
        try:
            return _write(connection, request, records, path, newest, select, at, scratch)
        except duckdb.OutOfMemoryException as error:
            raise BadFile(
                f"{path}: reading it takes more memory than it may: {str(error).splitlines()[0]}",
                state=_NOTHING_TAKEN,
                next_step="Raise memory_limit in settings.yaml, then: tidegate files retry",
            ) from error
        except duckdb.Error as error:
            if "No space left" in str(error):
                raise LakeError(
                    f"{path} cannot be written: {error}",
                    state=_NOTHING_TAKEN,
                    next_step="Make room (`df -h`), or set temp_dir in settings.yaml; then run it again.",
                ) from error
            if not records.demote(error):
                raise _explained(connection, request, records, path, select, error) from error


def _write(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    records: Records,
    path: str,
    newest: Manifest | None,
    select: str | None,
    at: datetime,
    scratch: Path,
) -> tuple[tuple[Column, ...], list[WrittenFile], Schema]:
    query = records.query
    if select is not None:
        connection.execute(f"CREATE OR REPLACE TEMP VIEW input AS {query}")
        query = select
    stored = stored_as(connection, query)
    columns = arrow_columns(stored)
    _check_columns(request, columns, path)
    schema = column_drift(newest, columns, request)
    added = zip(PROVENANCE, _provenance(request, path, at, schema.version), strict=True)
    values = ", ".join(f"{value} AS {column.quoted}" for column, value in added)
    rows = f"SELECT {select_list(stored)}, {values} FROM ({query})"
    return columns, write_query(connection, rows, scratch, partition_by=request.entry.partition_by), schema


def _prove(
    connection: duckdb.DuckDBPyConnection,
    counted: int,
    path: str,
    files: Sequence[WrittenFile],
    select: str | None,
) -> None:
    """Find as many records as another reader counted in the Parquet files, or in what `select` is given."""
    if select is None:
        read, where = sum(file.rows for file in files), "the Parquet files written from it hold"
    else:
        found = connection.execute("SELECT count(*) FROM input").fetchone()
        read, where = int(found[0]) if found else 0, "DuckDB reads"
    if read != counted:
        raise ProofFailed(
            f"{path} has {counted} records; {where} {read}.",
            state=_NOTHING_TAKEN,
            next_step="See whether `format` says what the file is (delimiter, quote, skip). If so, please report it.",
        )


def _check_columns(request: Request, columns: Sequence[Column], path: str) -> None:
    taken = {column.name.casefold() for column in columns} & {column.name for column in PROVENANCE}
    if taken:
        raise BadFile(
            f"{path} has columns that the raw layer adds to every row: {', '.join(sorted(taken))}.",
            state=_NOTHING_TAKEN,
            next_step=f'Rename them in {request.label}: `select: "* RENAME ({min(taken)} AS its{min(taken)})"`.',
        )
    by_name = {column.name: column for column in columns}
    for key in request.entry.partition_by:
        column = by_name.get(key)
        if column is None:
            raise BadFile(
                f"{path}: {request.label}.partition_by: there is no column {key!r}{did_you_mean(key, by_name) or '.'}",
                state=_NOTHING_TAKEN,
                next_step=f"Name one of these: {', '.join(list(by_name)[:50])}.",
            )
        if column.kind not in PARTITIONABLE:
            raise BadFile(
                f"{path}: {request.label}.partition_by: {key!r} ({column.source_type}) cannot name a folder; only "
                "text, whole numbers, booleans and dates can.",
                state=_NOTHING_TAKEN,
                next_step=f"Take {key!r} out of partition_by.",
            )


def _explained(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    records: Records,
    path: str,
    select: str | None,
    error: duckdb.Error,
) -> BadFile:
    """Return what is wrong: with the file, or with what `select` makes of it."""
    if select is None:
        return records.explain(error)
    try:
        names = [str(name) for name, *_ in connection.execute(f"DESCRIBE ({records.query})").fetchall()]
        connection.execute(f"SELECT count(*) FROM (SELECT COLUMNS(*)::VARCHAR FROM ({records.query}))").fetchone()
    except duckdb.Error as own:
        return records.explain(own)
    return BadFile(
        f"{path}: {request.label}.select: {str(error).strip().splitlines()[0]}",
        state=_NOTHING_TAKEN,
        next_step=f"It is DuckDB SQL over `input`, whose columns are: {', '.join(names[:50])}. TRY_CAST gives NULL for "
        "what does not fit.",
    )


def _types(newest: Manifest | None) -> Mapping[str, str]:
    """Return the types of the columns so far."""
    return {} if newest is None else {c.name: duckdb_type(c) for c in newest.columns if not c.added}


def _provenance(request: Request, path: str, at: datetime, schema_version: int) -> tuple[str, ...]:
    return (
        f"TIMESTAMPTZ {text_literal(at.isoformat())}",
        text_literal(request.source.name),
        text_literal(path),
        text_literal(request.run_id),
        f"CAST({schema_version} AS INTEGER)",
    )
