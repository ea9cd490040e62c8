"""Proves that a committed generation is in the lake: re-read by another engine, compared with the attestation.

The only module that can make a `VerifiedGeneration`, and only a `VerifiedGeneration` can be purged.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow.parquet as pq

from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.machine_errors import machine_errors
from blocks.open_lake import open_lake
from schemas.column_plan import DIGEST_MODULUS, Column, duckdb_type, exchange_text, row_digest
from schemas.config import Settings
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.job import Job
from schemas.manifest import DataFile, Manifest, as_hex, dataset_of
from tasks.holds import write_held_keys
from tasks.name_differences import name_differences
from tasks.still_stands import standing_generation

_SEAL = object()
MANY_BYTES = 1024**3  # of files that are fetched and re-read at once
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class VerifiedGeneration:
    """A generation of which every row was just found in the lake, as the source attested it.

    Attributes:
        manifest: Its manifest.
        keys: A local Parquet file made from the very bytes that were proven, ordered by key: the key's columns as
            text `k0`, `k1`, … that the source reads back, and `digest` (uint64). Rows under legal hold are left out.
        held: How many these are.
        holds: What tells the holds from others (`schemas.hold.holds_digest`), if there are any.
    """

    manifest: Manifest
    keys: Path
    seal: InitVar[object]
    held: int = 0
    holds: str | None = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only tasks.verify can make a VerifiedGeneration; call prove()")


def prove(job: Job, manifest_path: str, scratch: Path) -> VerifiedGeneration:
    """Re-read a generation and return the evidence that a purge needs.

    Args:
        job: The job.
        manifest_path: The generation's manifest.
        scratch: A local folder for copies and for the evidence, which lives as long as the folder.

    Raises:
        ProofFailed: Anything is not as attested; the message names what differs, and where. Nothing was deleted.
        LakeUnavailable: The lake could not be read now.
        LakeError: There is no room for the evidence.
    """
    holds = job.holds_digest
    job = job.of_dataset(dataset_of(manifest_path))
    lake = open_lake(job.settings.lake, job.settings.temp_dir)
    generation = standing_generation(Ledger(lake, job.dataset), manifest_path)
    manifest = generation.manifest
    keys = scratch / f"keys-{uuid4().hex}.parquet"
    what = f"Window {manifest.window}, generation {manifest.generation}, cannot be verified"
    with machine_errors(what, "No row was deleted on account of this generation."):
        findings = check_generation(lake, generation, job.settings, scratch, keys=keys)
    if findings:
        raise _proof_failed(job, lake, generation, findings, scratch)
    return VerifiedGeneration(manifest, keys, _SEAL, _leave_out_held(job, lake, generation, keys), holds)


def _leave_out_held(job: Job, lake: Lake, generation: Generation, keys: Path) -> int:
    """Take the rows that a legal hold covers out of the evidence, and return how many these were."""
    held, all_keys = keys.with_suffix(".held"), keys.with_suffix(".all")
    if not write_held_keys(job, lake, generation, held):
        return 0
    keys.rename(all_keys)
    names = [f"k{i}" for i in range(len(generation.manifest.key))]
    with duck(job.settings) as connection:
        rows = f"read_parquet({text_literal(str(all_keys))}, file_row_number = true) AS rows"
        same = " AND ".join(f"rows.{name} = held.{name}" for name in names)
        connection.execute(
            f"COPY (SELECT {', '.join([*names, 'digest'])} FROM {rows} ANTI JOIN {read_files([str(held)])} AS held "
            f"ON {same} ORDER BY file_row_number) TO {text_literal(str(keys))} (FORMAT parquet, COMPRESSION zstd)"
        )
    left = int(pq.read_metadata(all_keys).num_rows - pq.read_metadata(keys).num_rows)
    for path in (held, all_keys):
        path.unlink()
    return left


def _proof_failed(job: Job, lake: Lake, generation: Generation, findings: list[Finding], scratch: Path) -> ProofFailed:
    """Return the error that says what differs, what became of the rows so far, and what can be done."""
    manifest = generation.manifest
    told = [f"  {finding}" for finding in findings]
    if all(finding.check in {"digest", "rows"} for finding in findings):
        differing = name_differences(job, lake, generation, scratch)
        if differing:
            told.append(f"  For example the rows with key (and the columns that differ): {'; '.join(differing)}")
    restore = "Restore what is damaged from a backup or an older object version"
    if generation.purged or Ledger(lake, job.dataset).open_attempts(manifest):
        state = "This run deleted nothing of it; an earlier purge of it had begun, when its proof still held."
        next_step = (
            f"{restore}; the rows that it deleted are nowhere else. Then run: tidegate verify {manifest.archive}"
        )
    else:
        state = "No row was deleted on account of this generation; its rows are in the source."
        next_step = (
            f"{restore}, or move {manifest.path} out of the lake to have the window archived again; "
            f"then run: tidegate archive {manifest.archive}"
        )
    return ProofFailed(
        f"Window {manifest.window}, generation {manifest.generation}: the lake does not hold what the source "
        "attested.\n" + "\n".join(told),
        state=state,
        next_step=next_step,
    )


def check_generation(
    lake: Lake, generation: Generation, settings: Settings, scratch: Path, *, keys: Path | None = None
) -> list[Finding]:
    """Compare a generation's files with its manifest: presence, size, checksum, rows, digests, unique keys.

    Args:
        lake: The lake.
        generation: What to check.
        settings: DuckDB's limits.
        scratch: A local folder for copies.
        keys: Where to write the proven keys with their rows' digests, ordered by key; not written if None.
    """
    manifest = generation.manifest
    findings: list[Finding] = []
    with duck(settings) as connection:
        connection.execute(f"CREATE TABLE proven ({_proven_columns(manifest)})")
        for files in in_portions([file for file in manifest.files if file.path not in generation.removed]):
            findings += _check_files(connection, lake, manifest, files, scratch)
        if not findings and not generation.removed:
            findings += _check_whole(connection, manifest)
        if keys is not None and not findings:
            _write_keys(connection, manifest, keys)
    return findings


def in_portions(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return the files in portions that are small enough to be fetched and read at once."""
    portions: list[list[DataFile]] = []
    size = 0
    for file in files:
        if not portions or size + file.size_bytes > MANY_BYTES:
            portions.append([])
            size = 0
        portions[-1].append(file)
        size += file.size_bytes
    return portions


def _check_files(
    connection: duckdb.DuckDBPyConnection, lake: Lake, manifest: Manifest, files: list[DataFile], scratch: Path
) -> list[Finding]:
    findings: list[Finding] = []
    local: dict[str, DataFile] = {}
    copies: list[Path] = []
    for file in files:
        try:
            path = lake.fetch(file.path, scratch)
        except FileNotFoundError:
            findings.append(Finding(check="missing", where=file.path, expected=f"{file.rows} rows", found="no file"))
            continue
        if path.parent == scratch:  # not merely below it: a lake may lie there
            copies.append(path)
        problem = check_bytes(file, path)
        if problem:
            findings.append(problem)
        else:
            local[str(path)] = file
    try:
        if local:
            findings += _check_content(connection, manifest, local)
    finally:
        for path in copies:
            path.unlink()
    return findings


def check_bytes(file: DataFile, path: Path) -> Finding | None:
    """Compare a local file's size and SHA-256 with what the manifest says; None if they are the same."""
    size = path.stat().st_size
    if size != file.size_bytes:
        return Finding(check="size", where=file.path, expected=f"{file.size_bytes} bytes", found=f"{size} bytes")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256 != file.sha256:
        return Finding(check="checksum", where=file.path, expected=f"SHA-256 {file.sha256}", found=sha256)
    return None


def _check_content(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, local: dict[str, DataFile]
) -> list[Finding]:
    """Read the values back, and compare what they say with what the source said, file by file."""
    keys = [f"{column.quoted} AS k{i}" for i, column in enumerate(_key_columns(manifest))]
    files, number = _numbered_files(manifest, list(local))
    values = ", ".join([*keys, f"{row_digest(manifest.columns)} AS digest", f"{number} AS file"])
    try:
        connection.execute("DROP TABLE IF EXISTS portion")
        connection.execute(f"CREATE TEMP TABLE portion AS SELECT {values} FROM {files}")
        connection.execute("INSERT INTO proven SELECT * EXCLUDE (file) FROM portion")
    except duckdb.Error as error:
        where = ", ".join(file.path for file in local.values())
        return [Finding(check="unreadable", where=where, expected="the columns of its manifest", found=str(error))]
    found = {
        number: (rows, as_hex(int(digest)))
        for number, rows, digest in connection.execute(
            f"SELECT file, count(*), sum(digest) % {DIGEST_MODULUS} FROM portion GROUP BY 1"
        ).fetchall()
    }
    findings = []
    for place, file in enumerate(local.values()):
        rows, digest = found.get(place, (0, ""))
        if rows != file.rows:
            findings.append(Finding(check="rows", where=file.path, expected=f"{file.rows} rows", found=f"{rows} rows"))
        elif file.digest is not None and digest != file.digest:
            findings.append(Finding(check="digest", where=file.path, expected=file.digest, found=digest))
    return findings


def _numbered_files(manifest: Manifest, paths: list[str]) -> tuple[str, str]:
    """Return SQL for reading the files, and for the place of a row's file among them."""
    files = read_files(paths)
    if all(column.name.lower() != "file_index" for column in manifest.columns):
        return files, "file_index"
    # A column of that name hides the one of DuckDB.
    places = ", ".join(text_literal(path) for path in paths)
    return f"{files[:-1]}, filename = 'tidegate file')", f'list_position([{places}], "tidegate file") - 1'


def _check_whole(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> list[Finding]:
    attested = manifest.attestation
    row = connection.execute(f"SELECT count(*), coalesce(sum(digest), 0) % {DIGEST_MODULUS} FROM proven").fetchone()
    rows, digest = row or (0, 0)
    findings = []
    if rows != attested.rows:
        findings.append(
            Finding(check="rows", where=manifest.path, expected=f"{attested.rows} rows", found=f"{rows} rows")
        )
    if attested.digest is not None and as_hex(int(digest)) != attested.digest:
        findings.append(
            Finding(
                check="digest", where=manifest.path, expected=f"digest {attested.digest}", found=as_hex(int(digest))
            )
        )
    names = [f"k{i}" for i in range(len(manifest.key))]
    if names:
        printed = ", ".join(f"{name}::VARCHAR" for name in names)  # Python has no 44 BC
        twice = connection.execute(
            f"SELECT {printed} FROM proven GROUP BY {', '.join(names)} HAVING count(*) > 1 LIMIT {EXAMPLES}"
        ).fetchall()
        if twice:
            keys = tuple(str(values[0] if len(values) == 1 else values) for values in twice)
            findings.append(
                Finding(check="key", where=manifest.path, expected="unique keys", found="a key twice", examples=keys)
            )
    return findings


def _write_keys(connection: duckdb.DuckDBPyConnection, manifest: Manifest, keys: Path) -> None:
    columns = [column.model_copy(update={"name": f"k{i}"}) for i, column in enumerate(_key_columns(manifest))]
    texts = [f"{exchange_text(column)} AS {column.name}" for column in columns]
    order = ", ".join(f"proven.{column.name}" for column in columns) or "digest"
    connection.execute(
        f"COPY (SELECT {', '.join([*texts, 'digest'])} FROM proven ORDER BY {order}) "
        f"TO {text_literal(str(keys))} (FORMAT parquet, COMPRESSION zstd)"
    )


def _proven_columns(manifest: Manifest) -> str:
    columns = [f"k{i} {duckdb_type(column)}" for i, column in enumerate(_key_columns(manifest))]
    return ", ".join([*columns, "digest UBIGINT"])


def _key_columns(manifest: Manifest) -> list[Column]:
    return [column for name in manifest.key for column in manifest.columns if column.name == name]
