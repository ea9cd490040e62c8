"""Writes a generation again without some of its rows; the new one is a draft until its erasure is committed."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from blocks.lake import Lake
from blocks.ledger import Ledger
from schemas.column_plan import DIGEST_MODULUS
from schemas.manifest import DataFile, ErasedRows, Manifest, as_hex
from tasks.matched_rows import MatchedRows
from tasks.rewrite_file import Rewriter


def rewrite_generation(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    manifest: Manifest,
    rows: MatchedRows,
    stem: str,
    scratch: Path,
    *,
    erased_at: datetime,
    run_id: str,
    reason: str | None,
) -> Manifest:
    """Store the files of a generation that hold some of the rows again without them, and return the new manifest.

    Files without such rows are the same in both. The new generation is of the same snapshot: what that vouched for,
    it vouches for still. Its attestation is the old one less the rows that are gone, whose digests are known.

    Args:
        connection: A DuckDB connection.
        lake: The lake.
        manifest: Of the old generation.
        rows: Those that go.
        stem: Of the intent, and so in the names of the new files.
        scratch: A local folder.
        erased_at: For the note in the manifest.
        run_id: For the note in the manifest.
        reason: For the note in the manifest.

    Raises:
        ProofFailed: A file is damaged, or a new one is not what it should be.
    """
    generation = Ledger(lake, manifest.dataset).next_generation(manifest.window)
    rewriter = Rewriter(connection, lake, manifest.archive, manifest.columns, scratch)
    gone = {"rows": 0, "quarantined": 0}
    digest = 0
    kept: dict[str, list[DataFile]] = {"rows": [], "quarantined": []}
    for what, files in (("rows", manifest.files), ("quarantined", manifest.quarantine)):
        for file in files:
            places = rows.rows_of(file.path)
            if not len(places):
                kept[what].append(file)
                continue
            name = f"{manifest.window.id}-g{generation:06d}-{stem}-{what[0]}{len(kept[what]):04d}.parquet"
            rewritten = rewriter.without(file, places, name)
            kept[what] += [rewritten.file] if rewritten.file else []
            gone[what] += rewritten.rows
            digest += rewritten.digest if what == "rows" else 0
    attested = manifest.attestation
    left = attested.model_copy(
        update={
            "rows": attested.rows - gone["rows"],
            "digest": attested.digest and as_hex((int(attested.digest, 16) - digest) % DIGEST_MODULUS),
        }
    )
    note = ErasedRows(
        erasure=stem,
        rows=gone["rows"],
        quarantined=gone["quarantined"],
        erased_at=erased_at,
        run_id=run_id,
        reason=reason,
    )
    return manifest.model_copy(
        update={
            "version": max(manifest.version, 2),
            "generation": generation,
            "attestation": left,
            "files": tuple(kept["rows"]),
            "quarantine": tuple(kept["quarantined"]),
            "run_id": run_id,
            "committed_at": datetime.now(UTC),
            "written_by": f"tidegate {version('tidegate')}",
            "supersedes": (*manifest.supersedes, manifest.path),
            "erasures": (*manifest.erasures, note),
        }
    )
