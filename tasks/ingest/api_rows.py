"""The rows of a table of an API on their way from texts to Parquet files: typed, selected, new ones only, gated."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from blocks.duck import text_literal
from blocks.file_formats.text_forms import demanded_form
from blocks.file_formats.typed_text import type_name
from blocks.gate import Gate
from blocks.http_api.column_type import TEXT
from blocks.http_api.record_file import RECORD, RecordFile
from blocks.lake_types import arrow_columns, select_list, stored_as
from blocks.parquet_writer import WrittenFile
from blocks.write_query import write_query
from schemas.column_plan import PARTITIONABLE, Column, quote_identifier
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError, GateFailed, ProofFailed, SourceError
from schemas.extraction import PROVENANCE
from schemas.sources.api import ApiSource, ApiTable
from tasks.ingest.gated_files import gated_files
from tasks.ingest.request import IngestRequest
from tasks.ingest.select_input import as_query

NOTHING_DONE = "Nothing of this table was committed; what was read before is as it was."
Request = IngestRequest[ApiSource, ApiTable]
_ROW = "tidegate row"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they will be stored.

    Attributes:
        query: DuckDB SQL, without provenance.
        columns: Its columns.
    """

    query: str
    columns: tuple[Column, ...]

    def only(self, query: str) -> "Rows":
        """Return some of them: those of a query over this one's."""
        return Rows(query, self.columns)


def typed_rows(
    connection: duckdb.DuckDBPyConnection, request: Request, file: RecordFile, known: Sequence[Column], *, keep: bool
) -> Rows:
    """Return the records with their types, the last one of each key, as `select` has them.

    Args:
        connection: Where the query will run.
        request: What was asked.
        file: The records.
        known: Columns that the table had before.
        keep: Whether columns stay that no record has.

    Raises:
        ConfigError: `select`, `key` or `partition_by` do not fit the records.
        SourceError: A value is not of the type that `types` gives its column, or a record has no key.
        ProofFailed: DuckDB reads another number of records than were received.
    """
    entry = request.entry
    before = {} if entry.select else {column.name: column for column in known if not column.added}
    types = file.types(entry.types, before, keep=keep)
    if not entry.select:
        _refuse_without(request, "key", entry.key, list(types))
    _check(connection, request, file, types)
    records = file.query(types)
    try:
        stored = stored_as(connection, _selected(request, records, keys=()))
    except duckdb.Error as error:
        raise _wrong_select(request, error) from error
    columns = arrow_columns(stored)
    _refuse_without(request, "key", entry.key, [column.name for column in columns])
    _refuse_without(request, "partition_by", entry.partition_by, [column.name for column in columns])
    _refuse_names(request, columns)
    unfit = [c for c in columns if c.name in entry.partition_by and c.kind not in PARTITIONABLE]
    if unfit:
        raise ConfigError(
            f"{request.label}.partition_by: {unfit[0].name} ({unfit[0].source_type}) cannot name a folder; only text, "
            "whole numbers, booleans and dates can.",
            state=NOTHING_DONE,
            next_step=f"Take {unfit[0].name} out of partition_by, or give it another type under types.",
        )
    rows = Rows(f"SELECT {select_list(stored)} FROM ({_selected(request, records, entry.key)})", columns)
    if entry.select and entry.key:
        _refuse_keys(connection, request, rows)
    return rows


def _selected(request: Request, records: str, keys: Sequence[str]) -> str:
    """Return the records as `select` has them, the last one of each key only."""
    select, number = (request.entry.select or "*").strip().rstrip(";").rstrip(), quote_identifier(RECORD)
    plain = f"SELECT * EXCLUDE ({number}) FROM ({records})"
    if request.entry.select is not None and as_query(select, request.label) == select:  # it is a whole one
        return f"WITH input AS ({plain}) SELECT * FROM ({select})"  # which record is the last one, it does not tell
    if not keys:
        return f"WITH input AS ({plain}) SELECT {select} FROM input"
    # All rows that were made of a key's last record: whether they are one is for `_refuse_keys` to say.
    names = ", ".join(quote_identifier(name) for name in keys)
    last = f'QUALIFY rank() OVER (PARTITION BY {names} ORDER BY "{_ROW}" DESC) = 1'
    numbered = f'SELECT {select}, {number} AS "{_ROW}" FROM input'
    own = f"COLUMNS(lambda name: name NOT IN ('{RECORD}', '{_ROW}'))"
    return f"WITH input AS ({records}) SELECT {own} FROM (SELECT * FROM ({numbered}) {last})"


@dataclass(frozen=True, slots=True)
class Written:
    """Files of rows; those that a gate put aside by themselves."""

    files: Sequence[WrittenFile]
    quarantine: Sequence[WrittenFile]

    @property
    def rows(self) -> int:
        """Rows in the files."""
        return sum(file.rows for file in self.files)

    @property
    def quarantined(self) -> int:
        """Rows that were put aside."""
        return sum(file.rows for file in self.quarantine)


def write_rows(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    rows: Rows,
    gate: Gate | None,
    scratch: Path,
    at: datetime,
    schema_version: int,
) -> Written:
    """Write rows, with where they came from, and prove that none is missing.

    Raises:
        GateFailed: Rows failed the gate, and the configuration says to refuse that.
        ProofFailed: Other rows were written than there are.
        SourceError: `select` fails on a value.
    """
    added = ", ".join(
        f"{value} AS {column.quoted}"
        for column, value in zip(PROVENANCE, _provenance(request, at, schema_version), strict=True)
    )
    try:
        ((counted,),) = connection.execute(f"SELECT count(*) FROM ({rows.query})").fetchall()
        query = f"SELECT *, {added} FROM ({rows.query})"
        files = write_query(connection, query, scratch, partition_by=request.entry.partition_by)
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        raise _wrong_select(request, error) from error
    try:
        passed, failed, _ = gated_files(request, files, rows.columns, gate, request.label, scratch)
    except GateFailed as error:
        error.state, error.next_step = NOTHING_DONE, error.next_step.partition("; then: ")[0]
        raise
    written = Written(passed, failed)
    if counted != written.rows + written.quarantined:
        raise ProofFailed(
            f"{request.label}: {written.rows + written.quarantined} rows were written of {counted}.",
            state=NOTHING_DONE,
            next_step="Run the same command again; if it happens again, please report it.",
        )
    return written


def check_entry(connection: duckdb.DuckDBPyConnection, request: Request) -> None:
    """Refuse SQL that does not parse, and types that DuckDB does not know, before anything is asked.

    Raises:
        ConfigError: There is such a thing.
    """
    if request.entry.select is not None:
        as_query(request.entry.select, request.label)
    for name, kind in request.entry.types.items():
        try:
            connection.execute(f"SELECT CAST(NULL AS {kind})").fetchall()
        except duckdb.Error as error:
            raise ConfigError(
                f"{request.label}.types.{name}: {kind!r} is no type of DuckDB: {_first_line(error)}",
                state="Nothing was read or written.",
                next_step="Name one such as BIGINT, DECIMAL(12,2), DATE, TIMESTAMPTZ, VARCHAR or BOOLEAN.",
            ) from error


def _check(connection: duckdb.DuckDBPyConnection, request: Request, file: RecordFile, types: dict[str, str]) -> None:
    """Look at all records once: their number, their keys, and the values whose types the configuration gives."""
    texts = file.texts(types)
    typed = [name for name in request.entry.types if name in types and types[name] != TEXT]
    keyed = () if request.entry.select else request.entry.key
    found = ["count(*)"] + [f"min(CASE WHEN {texts[name]} IS NULL THEN n END)" for name in keyed]
    for name in typed:
        form = demanded_form(type_name(connection, name, types[name]), comma=False)
        fits = f"({form.check_of(texts[name], f'({form.value_of(texts[name])})')}) IS TRUE"
        fits += f" AND TRY_CAST({texts[name]} AS {types[name]}) IS NOT NULL"
        bad = f"CASE WHEN {texts[name]} IS NOT NULL AND NOT ({fits}) THEN n END"
        found += [f"min({bad})", f"arg_min({texts[name]}, {bad})"]
    ((count, *rest),) = connection.execute(f"SELECT {', '.join(found)} FROM {file.source()}").fetchall()
    if count != file.records:
        raise ProofFailed(
            f"{request.label}: {file.records} records were received, and {count} of them can be read back.",
            state=NOTHING_DONE,
            next_step="Run the same command again; if it happens again, please report it.",
        )
    keyless, values = rest[: len(keyed)], rest[len(keyed) :]
    for name, number in zip(keyed, keyless, strict=True):
        if number is not None:
            raise SourceError(
                f"{request.label}: record {number} has no '{name}', which is of the key.",
                state=NOTHING_DONE,
                next_step=f"Name columns that every record has under key of {request.label}, or leave key out.",
            )
    for name, number, value in zip(typed, values[::2], values[1::2], strict=True):
        if number is not None:
            raise SourceError(
                f"{request.label}: record {number} has {str(value)[:80]!r} as {name}, which is no {types[name]}, or "
                "would not be the same as one.",
                state=NOTHING_DONE,
                next_step=f"Correct types.{name} of {request.label}; VARCHAR takes every value.",
            )


def _refuse_without(request: Request, option: str, wanted: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise ConfigError(
            f"{request.label}.{option}: there is no column '{missing[0]}'{did_you_mean(missing[0], columns) or '.'} "
            f"Columns: {', '.join(columns[:50])}.",
            state=NOTHING_DONE,
            next_step=f"Correct {option} of {request.label}.",
        )


def _refuse_keys(connection: duckdb.DuckDBPyConnection, request: Request, rows: Rows) -> None:
    """Refuse rows that `select` makes with the same key, or without one: readers would see one of them, or none."""
    keys = ", ".join(quote_identifier(name) for name in request.entry.key)
    empty = " OR ".join(f"{quote_identifier(name)} IS NULL" for name in request.entry.key)
    try:
        wrong = connection.execute(
            f"SELECT CAST(({keys},) AS VARCHAR), count(*) FROM ({rows.query}) GROUP BY {keys} "
            f"HAVING count(*) > 1 OR {empty} LIMIT 1"
        ).fetchall()
    except duckdb.Error as error:
        raise _wrong_select(request, error) from error
    if wrong:
        ((value, count),) = wrong
        raise ConfigError(
            f"{request.label}.key: `select` makes {count} rows with the key {value[:100]}; a key has one row, "
            "and none of it is null.",
            state=NOTHING_DONE,
            next_step=f"Name all columns that tell the rows apart under key of {request.label}, or leave key out.",
        )


def _refuse_names(request: Request, columns: Sequence[Column]) -> None:
    taken = {column.name.casefold() for column in columns} & {column.name for column in PROVENANCE}
    if taken:
        raise ConfigError(
            f"{request.label}: the records have columns that the raw layer adds to every row: "
            f"{', '.join(sorted(taken))}.",
            state=NOTHING_DONE,
            next_step=f'Give them other names: `select: "* RENAME ({min(taken)} AS api{min(taken)})"`.',
        )


def _wrong_select(request: Request, error: duckdb.Error) -> ConfigError | SourceError:
    what = f"{request.label}.select: {_first_line(error)}"
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException):
        return SourceError(what, state=NOTHING_DONE, next_step="Make it take every value: TRY_CAST gives NULL.")
    return ConfigError(
        what, state=NOTHING_DONE, next_step="It is DuckDB SQL over `input`: a list of columns, or a whole SELECT."
    )


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _provenance(request: Request, at: datetime, schema_version: int) -> tuple[str, ...]:
    return (
        f"TIMESTAMPTZ {text_literal(at.isoformat())}",
        text_literal(request.source.name),
        "CAST(NULL AS VARCHAR)",
        text_literal(request.run_id),
        f"CAST({schema_version} AS INTEGER)",
    )
