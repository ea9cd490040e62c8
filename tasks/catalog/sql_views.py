"""The catalog as DuckDB views of the schema `catalog`, for `tidegate query` and for whoever reads the lake with it.

Three tables hold what the records say: `runs` (the run log), `generations` (manifests) and `damaged` (records that
could not be read, and are in none of the others). The views are made of these, but for `tables`, `schema_versions`
and `lineage`, which are what `tidegate catalog` and `tidegate lineage` show.
"""

from collections.abc import Iterable
from typing import Any

import duckdb
import pyarrow as pa

from blocks.lake import Lake
from blocks.run_log import run_logger
from tasks.catalog.lake_records import LakeRecords, read_records
from tasks.catalog.lineage import lineage_of
from tasks.catalog.schema_history import schema_history
from tasks.catalog.tables import tables_of
from tasks.current_state import current_places

SCHEMA = "catalog"
_MOMENT = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())
_TABLES: dict[str, pa.Schema] = {
    "runs": pa.schema(
        [
            *((name, pa.string()) for name in ("id", "run_id", "job", "name", "dataset", "state")),
            ("started_at", _MOMENT),
            ("seconds", pa.float64()),
            *((name, pa.int64()) for name in ("read", "rows", "bytes", "quarantined")),
            *((name, pa.string()) for name in ("file", "file_version", "error", "manifest")),
            ("inputs", _TEXTS),
            ("drift", _TEXTS),
            ("checks", pa.list_(pa.struct([
                *((name, pa.string()) for name in ("check", "severity", "state")),
                ("checked", pa.int64()), ("failed", pa.int64()), ("examples", _TEXTS), ("message", pa.string()),
            ]))),
            ("statistics", pa.list_(pa.struct([
                ("column", pa.string()), ("type", pa.string()), ("nulls", pa.int64()), ("distinct", pa.int64()),
                ("minimum", pa.string()), ("maximum", pa.string()),
            ]))),
        ]
    ),
    "generations": pa.schema(
        [
            *((name, pa.string()) for name in ("manifest", "dataset", "source", "source_table", "pipeline", "run_id")),
            ("is_current", pa.bool_()),
            ("taken_at", _MOMENT),
            ("committed_at", _MOMENT),
            *((name, pa.int64()) for name in ("rows", "quarantined", "files", "bytes")),
            *((name, pa.string()) for name in ("mode", "watermark")),
            ("schema_version", pa.int64()),
            *((name, pa.string()) for name in ("file", "file_sha256", "takes_place_of")),
            ("file_bytes", pa.int64()),
            ("file_modified_at", _MOMENT),
            ("file_seconds", pa.float64()),
        ]
    ),
    "damaged": pa.schema([("dataset", pa.string()), ("what", pa.string())]),
    "schema_versions": pa.schema(
        [
            ("dataset", pa.string()), ("version", pa.int64()), ("since", _MOMENT), ("generations", pa.int64()),
            ("columns", pa.list_(pa.struct([("name", pa.string()), ("type", pa.string())]))), ("changes", _TEXTS),
        ]
    ),
    "lineage": pa.schema(
        [(name, pa.string()) for name in ("upstream", "upstream_kind", "upstream_column")]
        + [(name, pa.string()) for name in ("downstream", "downstream_kind", "downstream_column")]
    ),
    "tables": pa.schema(
        [
            *((name, pa.string()) for name in ("dataset", "layer", "source")),
            ("rows", pa.int64()), ("rows_are", pa.string()), ("bytes", pa.int64()), ("generations", pa.int64()),
            ("newest_data_at", _MOMENT), ("checked_at", _MOMENT), ("last_run_at", _MOMENT),
            *((name, pa.string()) for name in ("last_run_state", "last_error", "quality")),
            *((name, pa.int64()) for name in ("warned", "refused", "quarantined")),
            ("damaged", pa.string()),
        ]
    ),
}  # fmt: skip
_OF_A_JOB = (
    "SELECT run_id, name, dataset, file, state, started_at, seconds, read, rows, bytes, quarantined, drift, inputs, "
    "error, manifest FROM catalog.runs WHERE job = '{job}'"
)
_VIEWS = {
    "extractions": _OF_A_JOB.format(job="ingest"),
    "builds": _OF_A_JOB.format(job="build"),
    "publications": _OF_A_JOB.format(job="publish"),
    "quality": (
        'SELECT run_id, name, dataset, started_at, c."check" AS "check", c.severity, c.state, c.checked, c.failed, '
        "c.examples, c.message FROM (SELECT *, unnest(checks) AS c FROM catalog.runs)"
    ),
    "statistics": (
        'SELECT run_id, name, dataset, started_at, rows, s."column" AS "column", s.type, s.nulls, '
        'CASE WHEN rows >= s.nulls AND rows > 0 THEN s.nulls / rows END AS null_share, s."distinct" AS "distinct", '
        "s.minimum, s.maximum FROM (SELECT *, unnest(statistics) AS s FROM catalog.runs)"
    ),
    # What became of each file: its rows are in the lake, or were until it came again, or it failed since.
    "files": (
        "WITH failures AS (SELECT dataset, name, file, max(started_at) AS happened_at, count(*) AS attempts, "
        "arg_max(error, started_at) AS error, arg_max(run_id, started_at) AS run_id, "
        "arg_max(seconds, started_at) AS seconds FROM catalog.runs "
        "WHERE job = 'ingest' AND file IS NOT NULL AND state = 'failed' GROUP BY dataset, name, file), "
        "stored AS (SELECT * FROM catalog.generations WHERE file IS NOT NULL) "
        "SELECT dataset, source, file, CASE WHEN is_current THEN 'done' ELSE 'replaced' END AS state, "
        "committed_at AS happened_at, rows, quarantined, file_bytes AS size_bytes, file_modified_at AS modified_at, "
        "file_sha256 AS sha256, file_seconds AS seconds, run_id, manifest, NULL AS error, 1 AS attempts FROM stored "
        "UNION ALL BY NAME "
        "SELECT f.dataset, split_part(f.name, '.', 1) AS source, f.file, 'failed' AS state, f.happened_at, 0 AS rows, "
        "0 AS quarantined, f.seconds, f.run_id, f.error, f.attempts FROM failures f WHERE NOT EXISTS "
        "(FROM stored s WHERE s.dataset = f.dataset AND s.file = f.file AND s.committed_at > f.happened_at)"
    ),
}


def add_catalog(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Create the schema `catalog`, as the lake's records are now.

    Records that are damaged are in `catalog.damaged`, and a warning says so: what they told is in none of the others.
    """
    records = read_records(lake, whole=True)
    for what in records.all_damaged:
        run_logger().warning("The catalog is not complete: %s", what)
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    for name, rows in (
        ("runs", (run.model_dump(include=set(_TABLES["runs"].names)) for run in records.runs)),
        ("generations", _generations(records)),
        ("damaged", ({"dataset": name or None, "what": w} for name, all_ in records.damaged.items() for w in all_)),
        ("schema_versions", _schema_versions(records)),
        ("lineage", _lineage(records)),
        ("tables", (table.model_dump() for table in tables_of(records))),
    ):
        _create(connection, name, rows)
    for name, query in _VIEWS.items():
        connection.execute(f"CREATE VIEW {SCHEMA}.{name} AS {query}")


def _create(connection: duckdb.DuckDBPyConnection, name: str, rows: Iterable[dict[str, Any]]) -> None:
    connection.register("_tidegate_rows", pa.Table.from_pylist(list(rows), schema=_TABLES[name]))
    connection.execute(f"CREATE TABLE {SCHEMA}.{name} AS FROM _tidegate_rows")
    connection.unregister("_tidegate_rows")


def _generations(records: LakeRecords) -> Iterable[dict[str, Any]]:
    for generations in records.generations.values():
        current = set(current_places(generations))
        for place, generation in enumerate(generations):
            manifest, extracted = generation.manifest, generation.manifest.extracted
            kept = [file for file in manifest.files if file.path not in generation.removed]
            origin = extracted.origin if extracted else None
            yield {
                "manifest": manifest.path,
                "dataset": manifest.dataset,
                "source": manifest.source,
                "source_table": manifest.table,
                "pipeline": manifest.built.pipeline if manifest.built else None,
                "run_id": manifest.run_id,
                "is_current": place in current,
                "taken_at": manifest.attestation.snapshot.taken_at,
                "committed_at": manifest.committed_at,
                "rows": sum(file.rows for file in kept),
                "quarantined": sum(file.rows for file in generation.quarantine),
                "files": len(kept),
                "bytes": sum(file.size_bytes for file in kept),
                "mode": extracted.mode if extracted else manifest.built.mode if manifest.built else None,
                "watermark": extracted.watermark if extracted else None,
                "schema_version": extracted.schema_version if extracted else None,
                "file": origin.path if origin else None,
                "file_sha256": origin.sha256 if origin else None,
                "takes_place_of": origin.takes_place_of if origin else None,
                "file_bytes": origin.size_bytes if origin else None,
                "file_modified_at": origin.modified_at if origin else None,
                "file_seconds": origin.seconds if origin else None,
            }


def _schema_versions(records: LakeRecords) -> Iterable[dict[str, Any]]:
    for dataset, generations in records.generations.items():
        for version in schema_history(generations):
            columns = [{"name": name, "type": kind} for name, kind in version.columns.items()]
            yield {**version.model_dump(), "dataset": dataset, "columns": columns}


def _lineage(records: LakeRecords) -> Iterable[dict[str, Any]]:
    graph = lineage_of(records)
    for downstream, inputs in graph.up.items():
        for upstream in inputs:
            yield {
                "upstream": upstream,
                "upstream_kind": graph.nodes[upstream].kind,
                "downstream": downstream,
                "downstream_kind": graph.nodes[downstream].kind,
            }
    for (downstream, column), made_of in graph.columns.items():
        for upstream, of_column in made_of:
            yield {
                "upstream": upstream,
                "upstream_kind": graph.nodes[upstream].kind if upstream in graph.nodes else "table",
                "upstream_column": of_column,
                "downstream": downstream,
                "downstream_kind": graph.nodes[downstream].kind,
                "downstream_column": column,
            }
