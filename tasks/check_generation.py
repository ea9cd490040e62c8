"""Compares a committed generation with its manifest: re-read by another engine than wrote it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import duckdb

from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.ledger import Generation
from schemas.column_plan import DIGEST_MODULUS, Column, duckdb_type, exchange_text, row_digest
from schemas.config import Settings
from schemas.finding import Finding
from schemas.manifest import DataFile, Manifest, as_hex

MANY_BYTES = 1024**3  # of files that are fetched and re-read at once
EXAMPLES = 5


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
